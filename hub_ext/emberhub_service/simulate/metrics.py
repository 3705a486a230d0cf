"""Numbers out of what happened. Every definition is here, and printed in the documentation from here."""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

from ..alloc.rotation import wait_bound
from .apps import App, Sample
from .run import Outcome

DEFINITIONS = {
    "first executor": "from running the first cell to the first executor that is up: worst, 95th percentile and "
    "median user",
    "first result": "from running the first cell to its end: worst and median user",
    "longest wait": "longest time for which any user had work and no executor for it (a gang: fewer than it needs), "
    "first or later",
    "makespan": "from the first arrival to the end of the last session",
    "slowest ÷ fastest": "of the users' slowdowns: time from running to end, over all cells of the user, divided by "
    "what the same cells take alone on as many executors as the user may have",
    "Jain": "Jain's index of 1 ÷ slowdown over the users: 1 is all alike, 1/n is one served and n-1 not",
    "busy": "share of executor-seconds, from promise to gone, in which task slots ran something",
    "pool": "useful task-seconds ÷ task slots of the pool, times makespan; nothing that was done twice counts",
    "moved": "executors taken back by decommissioning",
    "again": "task-seconds computed again because blocks or running tasks were lost",
}


class UserMetrics(msgspec.Struct, frozen=True):
    """One user. Seconds, where a time; None where it never came to that."""

    user: str
    asked: float
    """Task-seconds."""
    done: float
    first_executor: float | None
    first_result: float | None
    longest_wait: float
    time: float
    """From running to end, over all cells."""
    slowdown: float | None
    executor_seconds: float
    """Held, from promise to gone."""
    finished: bool


class Metrics(msgspec.Struct, frozen=True):
    """One policy on one scenario. See `DEFINITIONS`."""

    scenario: str
    policy: str
    seed: int
    users: tuple[UserMetrics, ...]
    unfinished: int
    first_executor_worst: float | None
    first_executor_p95: float | None
    first_executor_median: float | None
    first_result_worst: float | None
    first_result_median: float | None
    longest_wait: float
    bound: float | None
    """What the first wait under `ember` must not exceed (rule D); None where users never outnumber executors."""
    drain: float
    """How much longer it may be because an executor leaves only after the last of its tasks, in each turn."""
    makespan: float
    slowest_to_fastest: float | None
    jain: float | None
    busy: float
    pool: float
    moved: int
    moved_bytes: int
    again: float
    asked: float
    done: float


def measure(outcome: Outcome) -> Metrics:
    """What the outcome comes to."""
    users = tuple(_user(outcome, app) for app in outcome.apps)
    first = _known([user.first_executor for user in users])
    results = _known([user.first_result for user in users])
    slowdowns = _known([user.slowdown for user in users])
    start = min(app.session.arrives for app in outcome.apps)
    makespan = outcome.end - start
    held_slots = sum(
        sample.held * app.session.slots * seconds for app in outcome.apps for sample, seconds in _spans(app, outcome)
    )
    ran = sum(sample.busy * seconds for app in outcome.apps for sample, seconds in _spans(app, outcome))
    done = sum(app.done_seconds for app in outcome.apps)
    return Metrics(
        scenario=outcome.scenario.name,
        policy=outcome.policy,
        seed=outcome.seed,
        users=users,
        unfinished=sum(not user.finished for user in users),
        first_executor_worst=max(first) if first else None,
        first_executor_p95=_percentile(first, 95),
        first_executor_median=_percentile(first, 50),
        first_result_worst=max(results) if results else None,
        first_result_median=_percentile(results, 50),
        longest_wait=max(user.longest_wait for user in users),
        bound=bound(outcome),
        drain=_drain(outcome),
        makespan=makespan,
        slowest_to_fastest=max(slowdowns) / min(slowdowns) if slowdowns else None,
        jain=jain([1 / slowdown for slowdown in slowdowns]),
        busy=ran / held_slots if held_slots else 0.0,
        pool=done / (_slots(outcome) * makespan) if makespan else 0.0,
        moved=sum(app.decommissioned for app in outcome.apps),
        moved_bytes=sum(app.moved_bytes for app in outcome.apps),
        again=sum(app.again_seconds + app.wasted_seconds for app in outcome.apps),
        asked=sum(user.asked for user in users),
        done=done,
    )


def jain(values: list[float]) -> float | None:
    """Jain's fairness index: (Σx)² ÷ n·Σx²."""
    squares = sum(value * value for value in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else None


def bound(outcome: Outcome) -> float | None:
    """Rule D's bound on the wait for a first executor, from the scenario alone, in seconds."""
    executors, waiting = _contended(outcome)
    return wait_bound(waiting, executors, outcome.scenario.rules, newcomers=True) if waiting else None


def _contended(outcome: Outcome) -> tuple[int, int]:
    """Executors that rotate, and as many users as can be left without one.

    Those that are somebody's floor never rotate; they and their owners count for nothing.
    """
    executors = min(outcome.scenario.holds(app.session.executor) for app in outcome.apps)
    executors -= sum(app.session.floor for app in outcome.apps)
    waiting = sum(not app.session.floor for app in outcome.apps) - executors
    return executors, max(0, waiting) if executors > 0 else 0


def _drain(outcome: Outcome) -> float:
    """In each turn, the longest task can stand in the way of a decommissioned executor."""
    tasks = (
        task.seconds
        for app in outcome.apps
        for cell in app.session.cells
        for stage in cell.stages
        for task in stage.tasks
    )
    limit, costs = outcome.scenario.costs.drain_limit, outcome.scenario.costs
    longest = max(tasks, default=0.0)
    executors, waiting = _contended(outcome)
    turns = math.ceil(waiting / executors) if waiting else 0
    return turns * ((longest if limit is None else min(longest, limit)) + costs.decommission)


def _slots(outcome: Outcome) -> int:
    """Task slots of all pools, filled with the executors that make most of them first, then with the others."""
    shapes = {(app.session.executor, app.session.slots) for app in outcome.apps}
    total = 0
    for pool in outcome.scenario.pools:
        room = pool.capacity
        for size, slots in sorted(shapes, key=lambda s: (-s[0].how_many(pool.capacity) * s[1], s[0].amounts())):
            count = size.how_many(room)
            room = room - size * count
            total += count * slots
    return total


def _spans(app: App, outcome: Outcome) -> Iterator[tuple[Sample, float]]:
    ends = [*(sample.time for sample in app.samples[1:]), outcome.end]
    for sample, end in zip(app.samples, ends, strict=False):
        yield sample, end - sample.time


def _user(outcome: Outcome, app: App) -> UserMetrics:
    spans = list(_spans(app, outcome))
    ends = [*app.finished, *([outcome.end] if len(app.submitted) > len(app.finished) else [])]
    time = sum(end - begin for begin, end in zip(app.submitted, ends, strict=True))
    finished = app.ended is not None
    alone = app.session.alone(min(app.session.ceiling, outcome.scenario.holds(app.session.executor)))
    begun = app.submitted[0] if app.submitted else None
    return UserMetrics(
        user=app.session.user,
        asked=app.session.asked,
        done=app.done_seconds,
        first_executor=None if begun is None or app.first_up is None else max(0.0, app.first_up - begun),
        first_result=None if begun is None or not app.finished else app.finished[0] - begun,
        longest_wait=_longest(spans),
        time=time,
        slowdown=max(1.0, time / alone) if finished and alone else None,
        executor_seconds=sum(sample.held * seconds for sample, seconds in spans),
        finished=finished,
    )


def _longest(spans: list[tuple[Sample, float]]) -> float:
    longest = current = 0.0
    for sample, seconds in spans:
        current = current + seconds if sample.waiting else 0.0
        longest = max(longest, current)
    return longest


def _known(values: list[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _percentile(values: list[float], percent: int) -> float | None:
    """The smallest value that so many per cent of them do not exceed."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]
