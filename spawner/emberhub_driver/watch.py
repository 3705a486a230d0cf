"""Look at Spark and say what there is to report.

A look is cheap, and cheapest on an idle cluster: without executors and without demand it is one call.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from emberhub.wire.agent import Endpoint, ExecutorReport, Report

from .spark import Executor, SparkApplication

_SETTLED_EVERY = 1.0
"""Seconds between looks at executors that have nothing to do."""
_ASK_AGAIN = 5.0
"""Seconds after which Spark is asked again for executors that have not come."""
_TASKS_EVERY = 1.0
"""Seconds between looks at the ages of tasks, which cost more than all else."""
_TELL_NUMBERS = 1.0
"""Seconds between reports that differ in mere numbers, such as cached bytes."""
_A_QUERY = 0.2
"""Seconds after which a query without tasks is taken to need an executor soon: most commands are over by then."""


@dataclass
class _Seen:
    """What is remembered of one executor."""

    since: float
    worked: float
    total_tasks: int


class Watch:
    """Makes reports of one Spark application. Used from one thread."""

    def __init__(
        self, spark: SparkApplication, clock: Callable[[], float] = time.monotonic, busy: Callable[[], bool] = bool
    ) -> None:
        """`busy` tells whether there is work that Spark does not know of: then the cluster is not idle."""
        self._spark = spark
        self._clock = clock
        self._busy = busy
        self._seen: dict[str, _Seen] = {}
        self._worked = clock()
        self._oldest: dict[str, float] = {}
        self._oldest_at = float("-inf")
        self._endpoint: Endpoint | None = None
        self._executors_seen: list[Executor] = []
        self._looked_at = float("-inf")
        self._asked_at = float("-inf")
        self._told = True
        self._executing_since: float | None = None
        self.ui: Endpoint | None = None
        """Spark's web UI, once it was opened."""
        self.target = 0
        """The target that was last applied."""

    @property
    def executing(self) -> bool:
        """Whether a query was under way at the last look, be it one that runs no task."""
        return self._executing_since is not None

    def hold(self, target: int) -> None:
        """Have Spark hold this many executors in all."""
        self._told = self._spark.apply_target(target)
        self.target, self._asked_at = target, self._clock()

    def give_back(self, executors: Sequence[str], target: int) -> None:
        """Let these executors go, and hold `target` afterwards."""
        self._told = self._spark.decommission(executors, target)
        self.target, self._asked_at = target, self._clock()

    def look(self) -> Report:
        """Spark's state now."""
        now = self._clock()
        if self._endpoint is None:
            self._endpoint = self._spark.endpoint()
        wanted = self._wanted(now)
        executors = self._executors(wanted, now)
        if (len(executors) < self.target or not self._told) and now - self._asked_at >= _ASK_AGAIN:
            # A standalone master that was started anew remembers the application, but not what it asked for.
            self.hold(self.target)
        if wanted or self._busy() or any(executor.active_tasks for executor in executors):
            self._worked = now
        self._age_tasks(executors, now)
        reports = tuple(self._report(executor, now) for executor in executors)
        self._seen = {executor.id: self._seen[executor.id] for executor in executors}
        return Report(
            wanted=wanted,
            target=self.target,
            executors=reports,
            endpoint=self._endpoint,
            application=self._spark.application(),
            ui=self.ui,
            idle=round(now - self._worked, 1),
        )

    def _wanted(self, now: float) -> int:
        """What Spark's tasks could use; and one executor for a query that is being planned, at its start or between
        two of its jobs: it will need that in a moment, and should not lose it now.
        """
        wanted = self._spark.wanted()
        if not self._spark.executing():
            self._executing_since = None
        elif self._executing_since is None:
            self._executing_since = now
        planned = self._executing_since is not None and now - self._executing_since >= _A_QUERY
        return max(wanted, int(planned))

    def _executors(self, wanted: int, now: float) -> list[Executor]:
        """Asked for only as often as they can have changed: while nothing runs or comes, now and then."""
        settled = len(self._executors_seen) == self.target and not any(
            each.active_tasks or each.decommissioning for each in self._executors_seen
        )
        if wanted or not settled or (self._executors_seen and now - self._looked_at >= _SETTLED_EVERY):
            self._executors_seen, self._looked_at = self._spark.executors(), now
        return self._executors_seen

    def _age_tasks(self, executors: list[Executor], now: float) -> None:
        if not any(executor.active_tasks for executor in executors):
            self._oldest, self._oldest_at = {}, float("-inf")
        elif now - self._oldest_at >= _TASKS_EVERY:
            self._oldest, self._oldest_at = self._spark.oldest_tasks(), now

    def _report(self, executor: Executor, now: float) -> ExecutorReport:
        seen = self._seen.setdefault(executor.id, _Seen(now, now, executor.total_tasks))
        busy = executor.active_tasks > 0
        # A short task may have come and gone between two looks.
        if busy or executor.total_tasks != seen.total_tasks:
            seen.worked, seen.total_tasks = now, executor.total_tasks
        oldest = self._oldest.get(executor.id)
        return ExecutorReport(
            id=executor.id,
            host=executor.host,
            cores=executor.cores,
            age=round(now - seen.since, 1),
            decommissioning=executor.decommissioning,
            active_tasks=executor.active_tasks,
            oldest_task=round(oldest + now - self._oldest_at, 1) if busy and oldest is not None else 0.0,
            idle=0.0 if busy else round(now - seen.worked, 1),
            cached_bytes=executor.cached_bytes,
            shuffle_bytes=executor.shuffle_bytes,
        )


def urgent(report: Report) -> object:
    """What in a report the service decides by: a change of it is sent at once."""
    return (
        report.wanted,
        report.target,
        report.endpoint,
        report.ui,
        tuple((each.id, each.decommissioning, each.active_tasks > 0) for each in report.executors),
    )


def telling(report: Report) -> object:
    """What in a report has changed by more than time going by: a change of it is sent before long."""
    return (urgent(report), tuple((e.active_tasks, e.cached_bytes, e.shuffle_bytes) for e in report.executors))


def worth_telling(report: Report, sent: Report | None, since: float, heartbeat: float) -> bool:
    """Whether it says something new, or nothing was said for a heartbeat; `since` is seconds since `sent` was."""
    return (
        sent is None
        or urgent(report) != urgent(sent)
        or (since >= _TELL_NUMBERS and telling(report) != telling(sent))
        or since >= heartbeat
    )
