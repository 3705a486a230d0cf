"""The simulator's clock: callbacks at times, in an order that nothing but the scenario decides."""

from __future__ import annotations

import heapq
from collections.abc import Callable


class Timer:
    """A callback to come, which may be called off."""

    __slots__ = ("action", "at")

    def __init__(self, at: float, action: Callable[[], None]) -> None:
        self.at = at
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        self.action = None


class Clock:
    """Simulated time, in seconds from the scenario's start."""

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Timer]] = []
        self._count = 0

    def at(self, when: float, action: Callable[[], None]) -> Timer:
        """Call `action` at `when`, or now if that is past; among equals in the order of asking."""
        timer = Timer(max(when, self.now), action)
        self._count += 1
        heapq.heappush(self._heap, (timer.at, self._count, timer))
        return timer

    def after(self, seconds: float, action: Callable[[], None]) -> Timer:
        return self.at(self.now + seconds, action)

    def advance(self, horizon: float) -> bool:
        """Go to the next time at which anything happens, and let all of it happen.

        False if nothing is left, or nothing before `horizon`.
        """
        while self._heap and self._heap[0][2].action is None:
            heapq.heappop(self._heap)
        if not self._heap or self._heap[0][0] > horizon:
            return False
        self.now = self._heap[0][0]
        while self._heap and self._heap[0][0] <= self.now:
            action = heapq.heappop(self._heap)[2].action
            if action is not None:
                action()
        return True
