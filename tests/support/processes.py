"""What processes are, though they may end while they are looked at."""

from __future__ import annotations

import psutil


def line_of(process: psutil.Process) -> list[str]:
    """Its command line; empty if it has ended, or is somebody else's."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def listening(process: psutil.Process) -> set[tuple[str, int]]:
    """The addresses and ports at which it takes connections; none if it has ended, or is somebody else's."""
    try:
        return {tuple(each.laddr) for each in process.net_connections("tcp") if each.status == psutil.CONN_LISTEN}
    except psutil.Error:
        return set()


def environment_of(process: psutil.Process) -> dict[str, str]:
    """Its environment; empty if it has ended, or is somebody else's."""
    try:
        return process.environ()
    except psutil.Error:
        return {}
