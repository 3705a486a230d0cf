"""How many executors a cluster's work is believed to want: neither a moment's dip nor a moment's rise counts. Pure."""

from __future__ import annotations

from dataclasses import dataclass

DIP = 1.0
"""Seconds for which less demand must last to be believed: between two stages of a query there is none for a moment."""

BACKLOG = 1.0
"""Seconds for which work must have lasted before a cluster that has an executor asks for more of them: what ends sooner
is only slowed by executors that start beside it. Spark's own allocation waits as long
(`spark.dynamicAllocation.schedulerBacklogTimeout`).
"""


@dataclass
class Demand:
    """What a driver's reports say, over time."""

    reported: int = 0
    """As the last report has it."""
    peak: int = 0
    """What it was before it fell, which counts until `peak_until`."""
    peak_until: float = 0.0
    working_since: float | None = None
    """Since when there has been work; None while there is none."""

    def hear(self, wanted: int, now: float) -> None:
        """A report has come."""
        before = self.believed(now)
        if not before:
            self.working_since = None
        if wanted >= before:
            self.peak_until = 0.0
        elif now >= self.peak_until:
            self.peak, self.peak_until = before, now + DIP
        self.reported = wanted
        if self.working_since is None and self.believed(now):
            self.working_since = now

    def believed(self, now: float) -> int:
        """Executors that the work could use."""
        return max(self.reported, self.peak) if now < self.peak_until else self.reported

    @property
    def grows_at(self) -> float:
        """When work that goes on makes a cluster ask for more than it has."""
        return self.working_since + BACKLOG if self.working_since is not None else 0.0
