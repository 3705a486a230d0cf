"""An event loop whose time is driven: where nothing is to be done, it is at once as late as the next timer.

Sockets are real, and both of their ends are here: what was sent is there to be read before time goes on.
"""

from __future__ import annotations

import asyncio
import selectors
import socket
from collections.abc import Callable, Coroutine
from typing import Any

_SETTLE = 0.0005
"""Real seconds in which the kernel has carried what was sent to where it is read."""


class _Selector(selectors.DefaultSelector):
    """Waits by letting the loop's time pass."""

    def __init__(self, sleep: Callable[[float], None]) -> None:
        super().__init__()
        self._sleep = sleep

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        ready = super().select(_SETTLE)
        if ready or timeout is None:
            return ready
        self._sleep(timeout)
        return ready


class DrivenLoop(asyncio.SelectorEventLoop):
    """See the module."""

    def __init__(self) -> None:
        self._now = 1000.0
        super().__init__(_Selector(self._sleep))

    def time(self) -> float:
        return self._now

    def _sleep(self, seconds: float) -> None:
        # A little more than asked for, as any clock would: else a timer could be a rounding error away for ever.
        self._now += max(seconds, 0.0) + 1e-6

    async def getaddrinfo(self, host: Any, port: Any, **how: Any) -> Any:
        # In no other thread, whose real time this loop's would outrun.
        return socket.getaddrinfo(host, port, **how)


def run(work: Coroutine[Any, Any, None]) -> None:
    """As `asyncio.run`, in driven time."""
    with asyncio.Runner(loop_factory=DrivenLoop) as runner:
        runner.run(work)
