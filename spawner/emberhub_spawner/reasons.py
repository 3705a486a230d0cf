"""Why a driver ended, as a sentence for its user: what all backends say alike. Pure."""

from __future__ import annotations

import re

AGAIN = "Start the cluster again to go on."
_LONGEST = 300
_TELLING = re.compile(r"(?:ERROR|FATAL|CRITICAL|Exception|Error:|Killed)")
_SECRET_LIKE = re.compile(r"(?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{24,}")


def why_ended(reason: str, log: str, status: int | None) -> str:
    """What happened, from what the driver said itself, the end of its log, and its exit status (negative: a signal) as
    far as these are known; and what to do.
    """
    if "java.lang.OutOfMemoryError" in log:
        return (
            "The Spark driver ran out of memory: collect less into the notebook, or write large results to files. "
            f"{AGAIN}"
        )
    if reason:
        return f"{sentence(f'The Spark driver stopped: {reason}')}. {AGAIN}"
    if status is not None and status < 0:
        return f"The Spark driver was killed by signal {-status}, as the system does when memory runs out. {AGAIN}"
    last = next((line for line in reversed(log.splitlines()) if _TELLING.search(line)), "")
    if last:
        return f"{sentence(f'The Spark driver ended by itself; the last error in its log: {last.strip()}')}. {AGAIN}"
    return f"The Spark driver was killed, or ended without saying why. {AGAIN}"


def sentence(text: str) -> str:
    """The text without its full stop, of a bearable length, and without anything that could be a token."""
    text = _SECRET_LIKE.sub("…", text).rstrip(".")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
