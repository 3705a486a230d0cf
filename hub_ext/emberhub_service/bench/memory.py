"""The memory of a run as a whole, looked at now and then."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from ..commands import leftovers

LEAST_PAUSE = 2.0
SHARE = 0.03
"""Of one core's time that looking may take at most: it must not slow down what it looks at."""


@dataclass(frozen=True)
class Look:
    """All processes of a run at one moment. Bytes."""

    processes: int
    pss: int
    """Memory that several share is counted once in all."""
    rss: int


def look(state: Path) -> Look:
    """Add up what the processes of a run use."""
    count = pss = rss = 0
    for process in leftovers.processes(state):
        try:
            memory = process.memory_full_info()
        except psutil.Error:
            continue  # it has just ended
        count, pss, rss = count + 1, pss + memory.pss, rss + memory.rss
    return Look(count, pss, rss)


class Sampler(threading.Thread):
    """Looks again and again, and remembers the most."""

    def __init__(self, state: Path) -> None:
        super().__init__(daemon=True)
        self.peak = Look(0, 0, 0)
        self._state = state
        self._over = threading.Event()

    def run(self) -> None:
        """Look until `stop`."""
        pause = 0.0
        while not self._over.wait(pause):
            began = time.thread_time()
            seen = look(self._state)
            if seen.pss > self.peak.pss:
                self.peak = seen
            pause = max(LEAST_PAUSE, (time.thread_time() - began) / SHARE)

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self.join()


def executors(state: Path) -> int:
    """Executor processes of a run that live."""
    found = 0
    for process in leftovers.processes(state):
        try:
            found += any("CoarseGrainedExecutorBackend" in part for part in process.cmdline())
        except psutil.Error:
            continue
    return found
