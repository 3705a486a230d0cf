"""How often to look at Spark: pure.

A look costs a few milliseconds of processor time here and in Spark, and a class of thirty that waits has thirty drivers
that look. So the pause grows while executors neither come nor go, and work only goes on or waits.
"""

from __future__ import annotations

from emberhub.wire.agent import Report

LOOK_BUSY, LOOK_STEADY, LOOK_QUIET = 0.12, 0.6, 2.5
"""Seconds between looks: after a change, while nothing changes, and without work. News ends the last at once."""
SLOWER = 1.5
"""Each pause without a change is so many times longer than the one before, from the first of these to the second."""


class Pace:
    """The pauses of one driver."""

    def __init__(self) -> None:
        self._seen: object = None
        self._pause = LOOK_BUSY

    def after(self, report: Report, *, executing: bool, heartbeat: float) -> float:
        """Seconds to wait after this look; `executing`: a query is under way, be it one that runs no task."""
        longest = heartbeat / 2  # so that the report that each heartbeat brings is never late
        if quiet(report) and not executing:
            self.hurry()
            return min(LOOK_QUIET, longest)
        seen = shape(report)
        self._pause = min(self._pause * SLOWER, LOOK_STEADY) if seen == self._seen else LOOK_BUSY
        self._seen = seen
        return min(self._pause, longest)

    def hurry(self) -> None:
        """Something has happened: the next pause is short."""
        self._seen = None


def quiet(report: Report) -> bool:
    """Whether nothing runs, nothing waits and nothing is on its way."""
    settled = len(report.executors) == report.target and not any(
        each.active_tasks or each.decommissioning for each in report.executors
    )
    return report.wanted == 0 and settled


def shape(report: Report) -> object:
    """What changes when executors come or go, or when the work outgrows them or fits them, and not with each task."""
    executors = tuple((each.id, each.decommissioning) for each in report.executors)
    return min(report.wanted, len(executors) + 1), report.target, report.endpoint, report.ui, executors
