"""Numbers out of what the users and Spark's event logs told. Every definition is here."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import msgspec

from ..alloc.model import Rules
from ..alloc.rotation import wait_bound
from ..simulate.metrics import jain
from .events import Application, Span, longest, merge

DEFINITIONS = {
    "first result": "seconds from asking for a cluster to the result of the first query",
    "set-up": "the first notebook, from asking for a cluster to its end; the other notebooks: from the start of their "
    "first cell to the end of their last, think time between them included",
    "whole run": "of one user: from asking for a cluster to the end of the fourth notebook",
    "makespan": "from the first user's asking to the end of the last user's fourth notebook",
    "slowest ÷ fastest": "of the users' whole runs",
    "Jain": "Jain's index of 1 ÷ whole run over the users: 1 is all alike, 1/n is one served and n-1 not",
    "of set-up": "the same two numbers, of the users' set-up notebooks",
    "busy": "share of executor-seconds, from registration to end, in which a task ran",
    "pool": "task-seconds ÷ executors of the pool times makespan",
    "first executor": "longest time from any user's first job to that user's first executor",
    "bound": "what rule D promises for it: a first turn (a third of the quantum, or four starts) times ⌈users beyond "
    "executors ÷ executors⌉, notice, and one start: the median wait of as many users as there are executors, those who "
    "were served first and had to wait for nobody",
    "longest wait": "longest time for which any user had a job and no executor, first or later",
    "memory": "most of all processes together (PSS), clients included",
    "leaked": "executors left after the last user stopped, and processes left after the end",
}


class Visit(msgspec.Struct, frozen=True):
    """What one user's process told. Seconds since the users were let in."""

    user: str
    asked: float
    done: float | None
    """None where it failed."""
    cells: tuple[tuple[str, str, float, float, str], ...]
    """Notebook, cell, start, end, result."""
    sessions: tuple[str, ...] = ()
    error: str = ""


class UserMetrics(msgspec.Struct, frozen=True):
    """One user. Seconds; None where it never came to that."""

    user: str
    asked: float
    first_result: float | None
    notebooks: dict[str, float]
    total: float | None
    first_executor: float | None
    longest_wait: float
    executors: tuple[Span, ...]
    """When each of them was there."""
    waits: tuple[Span, ...]
    """When there was work and no executor."""
    results: tuple[str, ...]
    error: str = ""


class Metrics(msgspec.Struct, frozen=True):
    """One policy for one number of users. See `DEFINITIONS`."""

    policy: str
    tuning: str
    users: int
    executors: int
    failed: int
    first_result_median: float | None
    first_result_p95: float | None
    first_result_worst: float | None
    makespan: float
    slowest_to_fastest: float | None
    jain: float | None
    setup_slowest_to_fastest: float | None
    setup_jain: float | None
    busy: float | None
    pool: float
    first_executor_worst: float | None
    bound: float | None
    """None where the policy promises nothing."""
    longest_wait: float
    memory: int
    """Bytes."""
    memory_rss: int
    processes: int
    executors_leaked: int
    processes_leaked: int
    each: tuple[UserMetrics, ...]


class Context(msgspec.Struct, frozen=True):
    """What is known of a run besides what its users told."""

    policy: str
    tuning: str
    executors: int
    quantum: float | None
    """None where nothing rotates."""
    notice: float
    memory: int
    memory_rss: int
    processes: int
    executors_leaked: int
    processes_leaked: int


def measure(context: Context, visits: Sequence[Visit], applications: Sequence[Application]) -> Metrics:
    """What it comes to."""
    each = tuple(_user(visit, applications) for visit in visits)
    firsts = [user.first_result for user in each if user.first_result is not None]
    totals = [user.total for user in each if user.total is not None]
    setups = [user.notebooks["set-up"] for user in each if "set-up" in user.notebooks]
    starts = [user.first_executor for user in each if user.first_executor is not None]
    ends = [visit.done for visit in visits if visit.done is not None] or [
        end for visit in visits for *_, end, _ in visit.cells
    ]
    makespan = max(ends, default=0.0) - min((visit.asked for visit in visits), default=0.0)
    held = sum(application.held() for application in applications)
    ran = sum(application.busy() for application in applications)
    return Metrics(
        policy=context.policy,
        tuning=context.tuning,
        users=len(visits),
        executors=context.executors,
        failed=sum(visit.done is None for visit in visits),
        first_result_median=percentile(firsts, 50),
        first_result_p95=percentile(firsts, 95),
        first_result_worst=max(firsts, default=None),
        makespan=makespan,
        slowest_to_fastest=_ratio(totals),
        jain=jain([1 / total for total in totals]),
        setup_slowest_to_fastest=_ratio(setups),
        setup_jain=jain([1 / setup for setup in setups]),
        busy=ran / held if held else None,
        pool=ran / (context.executors * makespan) if makespan else 0.0,
        first_executor_worst=max(starts, default=None),
        bound=_bound(context, len(visits), starts),
        longest_wait=max((user.longest_wait for user in each), default=0.0),
        memory=context.memory,
        memory_rss=context.memory_rss,
        processes=context.processes,
        executors_leaked=context.executors_leaked,
        processes_leaked=context.processes_leaked,
        each=each,
    )


def percentile(values: Sequence[float], percent: int) -> float | None:
    """The smallest value that so many per cent of them do not exceed."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def _user(visit: Visit, applications: Sequence[Application]) -> UserMetrics:
    own = [each for each in applications if each.sessions & set(visit.sessions)]
    waits = merge(span for each in own for span in each.waits())
    executors = sorted(span for each in own for span in each.executors.values())
    jobs = [start for each in own for start, _ in each.jobs]
    notebooks: dict[str, float] = {}
    for notebook in dict.fromkeys(cell[0] for cell in visit.cells):
        cells = [cell for cell in visit.cells if cell[0] == notebook]
        began = cells[0][2] if notebooks else visit.asked
        notebooks[notebook] = cells[-1][3] - began
    return UserMetrics(
        user=visit.user,
        asked=visit.asked,
        first_result=visit.cells[0][3] - visit.asked if visit.cells else None,
        notebooks=notebooks,
        total=None if visit.done is None else visit.done - visit.asked,
        first_executor=max(0.0, executors[0][0] - min(jobs)) if executors and jobs else None,
        longest_wait=longest(waits),
        executors=tuple(executors),
        waits=tuple(waits),
        results=tuple(cell[4] for cell in visit.cells),
        error=visit.error,
    )


def _bound(context: Context, users: int, starts: Sequence[float]) -> float | None:
    if context.quantum is None or not starts:
        return None
    # Everybody else's wait has others' turns in it.
    start = statistics.median(sorted(starts)[: context.executors])
    rules = Rules(rotation_quantum=context.quantum, executor_start=start, reclaim_notice=context.notice)
    waiting = max(0, users - context.executors)
    return wait_bound(waiting, context.executors, rules, newcomers=True) if waiting else start


def _ratio(values: Sequence[float]) -> float | None:
    return max(values) / min(values) if values else None
