"""Where the executors of one machine keep their blocks: a directory for each start of a worker, and none left over.

The executors of a worker that was killed, or of its engine, live for seconds longer. What they use stays until they
have ended: with no directory each of their tasks fails at once, and is given to them again, and after four failures
Spark gives up the query.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

ENV_SCRATCH = "SPARK_LOCAL_DIRS"
"""The variable by which Spark's worker is told; its executors and their Python workers inherit it."""


def fresh(directory: Path, name: str) -> Path:
    """Make one for the daemon of this name."""
    return Path(tempfile.mkdtemp(dir=directory, prefix=f"{name}-"))


def clear(directory: Path, present: Iterable[Path]) -> None:
    """Delete all but the `present` ones and those that a process still has from before."""
    left = set(directory.iterdir()).difference(present)
    for each in left - _used() if left else ():
        shutil.rmtree(each, ignore_errors=True)


def _used() -> set[Path]:
    import psutil  # noqa: PLC0415 (the engine seldom needs it)

    used = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            used.add(Path(process.environ().get(ENV_SCRATCH, "")))
    return used
