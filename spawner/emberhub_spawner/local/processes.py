"""Processes that are ours but maybe not our children: found, recognised and ended.

A process is known by its id and its start time together, since ids are used again.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from emberhub.wire.driver import ENV_MARK

_SWEEPS = (1.0, 3.0, 8.0, 20.0)
"""Seconds between looks at a driver that is gone: a busy worker may take long to launch an executor."""
_POLL = 0.1
_PROC = Path("/proc")


@dataclass(frozen=True)
class Identity:
    """One process, for as long as it lives."""

    pid: int
    started: float
    """When, in the machine's own counting: compared, never shown."""

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """The process that has this id now; None if none does."""
        try:
            return cls(pid, _start_of(pid))
        except psutil.NoSuchProcess:
            return None

    def alive(self) -> bool:
        """Whether it still runs; one that has ended and only waits to be noticed does not."""
        try:
            return _start_of(self.pid) == self.started and psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def send(self, number: signal.Signals) -> None:
        """Signal it, if it still runs."""
        if self.alive():
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(self.pid).send_signal(number)

    async def gone(self, timeout: float) -> bool:
        """Wait until it has ended; False if it still runs after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while self.alive():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_POLL)
        return True


def _start_of(pid: int) -> float:
    """When a process was started. Raises NoSuchProcess.

    By the kernel's own count since the machine was started: the time of day that psutil makes of it moves when the
    clock is set, and every process would look like another one.
    """
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except FileNotFoundError:
        # No such process; or no Linux.
        return psutil.Process(pid).create_time()
    except ProcessLookupError:
        raise psutil.NoSuchProcess(pid) from None
    # Field 22. The second is the command in brackets, and may hold anything.
    return float(stat.rpartition(")")[2].split()[19])


def marked(mark: str) -> list[psutil.Process]:
    """Every process of the driver with this mark: the driver, its JVM, its executors, their Python workers."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(ENV_MARK) == mark:
                found.append(process)
    return found


async def clear(mark: str, patience: float) -> None:
    """Wait until no process of this driver is left; those that stay longer than `patience` seconds are killed."""
    deadline = time.monotonic() + patience
    while left := await asyncio.to_thread(marked, mark):
        if time.monotonic() > deadline:
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        await asyncio.sleep(_POLL)


async def sweep(mark: str) -> None:
    """End what still appears under this mark: an executor that was being launched just as its driver ended."""
    for pause in _SWEEPS:
        await asyncio.sleep(pause)
        await clear(mark, patience=0)
