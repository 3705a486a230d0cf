"""Why a driver ended, as a sentence for its user."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from emberhub.wire.driver import FILE_REASON

_TAIL = 64 << 10
_LONGEST = 300
_ROOM = 1 << 20
"""Bytes; a disk with less is full."""
_AGAIN = "Start the cluster again to go on."
_TELLING = re.compile(r"(?:ERROR|FATAL|CRITICAL|Exception|Error:|Killed)")
_SECRET_LIKE = re.compile(r"(?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{24,}")


def why(directory: Path, status: int | None) -> str:
    """What happened, from what the driver left in its directory and its exit status, if that is known; and what to do.

    Called while the directory still exists.
    """
    try:
        reason = (directory / FILE_REASON).read_text().strip()
    except OSError:
        reason = ""
    tail = _tail(directory / "driver.log")
    if "java.lang.OutOfMemoryError" in tail:
        return (
            "The Spark driver ran out of memory: collect less into the notebook, or write large results to files. "
            f"{_AGAIN}"
        )
    if _full(directory):
        return (
            "The Spark driver stopped, for the disk that it writes to is full: tell your administrator. "
            "Start the cluster again when there is room."
        )
    if reason:
        return f"{_sentence(f'The Spark driver stopped: {reason}')}. {_AGAIN}"
    if status is not None and status < 0:
        return f"The Spark driver was killed by signal {-status}, as the system does when memory runs out. {_AGAIN}"
    last = next((line for line in reversed(tail.splitlines()) if _TELLING.search(line)), "")
    if last:
        return f"{_sentence(f'The Spark driver ended by itself; the last error in its log: {last.strip()}')}. {_AGAIN}"
    return f"The Spark driver was killed, or ended without saying why. {_AGAIN}"


def _full(directory: Path) -> bool:
    try:
        return shutil.disk_usage(directory).free < _ROOM
    except OSError:
        return False


def _sentence(text: str) -> str:
    # Nothing that could be a token is told, whatever put it there.
    text = _SECRET_LIKE.sub("…", text).rstrip(".")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
