"""Why a driver of this machine ended: what it left, read, and said as a sentence for its user."""

from __future__ import annotations

import shutil
from pathlib import Path

from emberhub.wire.driver import FILE_REASON

from ..reasons import why_ended

_TAIL = 64 << 10
_ROOM = 1 << 20
"""Bytes; a disk with less is full."""


def why(directory: Path, status: int | None) -> str:
    """What happened, from what the driver left in its directory and its exit status, if that is known; and what to do.

    Called while the directory still exists.
    """
    try:
        reason = (directory / FILE_REASON).read_text().strip()
    except OSError:
        reason = ""
    log = _tail(directory / "driver.log")
    if _full(directory) and "java.lang.OutOfMemoryError" not in log:
        return (
            "The Spark driver stopped, for the disk that it writes to is full: tell your administrator. "
            "Start the cluster again when there is room."
        )
    return why_ended(reason, log, status)


def _full(directory: Path) -> bool:
    try:
        return shutil.disk_usage(directory).free < _ROOM
    except OSError:
        return False


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
