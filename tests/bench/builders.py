"""Visits and applications as a workshop would have left them."""

from __future__ import annotations

from emberhub_service.bench.events import Application
from emberhub_service.bench.metrics import Context, Metrics, Visit, measure


def a_context(policy: str = "ember", **changes: object) -> Context:
    given = {
        "policy": policy,
        "tuning": "plain",
        "executors": 4,
        "quantum": 90.0 if policy == "ember" else None,
        "notice": 5.0,
        "memory": 3 << 30,
        "memory_rss": 4 << 30,
        "processes": 12,
        "executors_leaked": 0,
        "processes_leaked": 0,
    }
    return Context(**{**given, **changes})  # type: ignore[arg-type]


def a_visit(user: str, first: float, done: float | None, asked: float = 0.0) -> Visit:
    """The set-up takes as long as the first result and a second more."""
    cells = (
        ("set-up", "count", asked, asked + first, "10"),
        ("set-up", "look", asked + first + 0.5, asked + first + 1, "x"),
        ("counts", "counts", asked + first + 3, asked + first + 5, "y"),
    )
    return Visit(user, asked, done, cells, (f"session-{user}",), "" if done is not None else "it broke")


def an_application(user: str, executors: list[tuple[float, float]], jobs: list[tuple[float, float]]) -> Application:
    """Each executor works half of its time."""
    names = [str(number) for number in range(len(executors))]
    return Application(
        executors=dict(zip(names, executors, strict=True)),
        tasks={name: [(start, (start + end) / 2)] for name, (start, end) in zip(names, executors, strict=True)},
        jobs=jobs,
        sessions={f"session-{user}"},
    )


def a_run(policy: str, firsts: list[float], totals: list[float | None], **changes: object) -> Metrics:
    """One run with these first results and whole runs."""
    names = [f"user-{number:02}" for number in range(1, len(firsts) + 1)]
    visits = [a_visit(*each) for each in zip(names, firsts, totals, strict=True)]
    applications = [
        an_application(name, [(first - 1, first + 9)], [(first - 3, first + 5)])
        for name, first in zip(names, firsts, strict=True)
    ]
    return measure(a_context(policy, **changes), visits, applications)
