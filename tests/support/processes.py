"""What processes are, though they may end while they are looked at."""

from __future__ import annotations

import psutil


def line_of(process: psutil.Process) -> list[str]:
    """Its command line; empty if it has ended, or is somebody else's."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def environment_of(process: psutil.Process) -> dict[str, str]:
    """Its environment; empty if it has ended, or is somebody else's."""
    try:
        return process.environ()
    except psutil.Error:
        return {}
