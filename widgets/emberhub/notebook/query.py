"""A running query, and what is shown of it: pure. Times are in seconds on one clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from html import escape
from typing import Literal

from ..status import unmet_sentences
from ..wire import rest
from . import messages

MOST_STAGES = 5
"""Stages that are shown at a time."""
ENOUGH = 0.05
"""The part of a query that must be done before the rest is estimated."""

Outcome = Literal["", "done", "interrupted", "failed"]


@dataclass(frozen=True)
class Stage:
    """One stage of a query, as Spark Connect reports it."""

    id: int
    tasks: int
    done: int
    bytes_read: int = 0
    over: bool = False


@dataclass
class Query:
    """What is known of one query."""

    began: float
    stages: tuple[Stage, ...] = ()
    running: int = 0
    """Tasks that run now."""
    first_task: float | None = None
    """When tasks were first seen to run."""
    quiet_since: float | None = None
    """Since when no task of it runs; None while one does."""
    rows_read: int = 0
    rows: int = 0
    """Rows that have arrived here."""
    ended: float | None = None
    outcome: Outcome = ""
    waits: str = ""
    """Why it waits, as sentences; empty while it does not."""

    @property
    def counted(self) -> tuple[Stage, ...]:
        """The stages without those that Spark skips: it plans anew as it goes, and their tasks never run."""
        furthest = max((stage.id for stage in self.stages if stage.done), default=-1)
        return tuple(stage for stage in self.stages if stage.done or stage.id > furthest)

    @property
    def tasks(self) -> int:
        """Tasks in all stages that are known by now."""
        return sum(stage.tasks for stage in self.counted)

    @property
    def done(self) -> int:
        """Tasks that are done."""
        return sum(stage.done for stage in self.stages)

    @property
    def bytes_read(self) -> int:
        """Bytes that were read from storage."""
        return sum(stage.bytes_read for stage in self.stages)

    def __post_init__(self) -> None:
        self.quiet_since = self.began

    def quiet(self, now: float) -> float:
        """Seconds since a task of it last ran. Executors may be taken in the middle of a query, too."""
        return 0.0 if self.quiet_since is None else now - self.quiet_since

    def progress(self, stages: Iterable[Stage], running: int, now: float) -> None:
        """Take over a report of Spark Connect's. A stage that is no longer reported has ended."""
        known = {stage.id: stage for stage in self.stages} | {stage.id: stage for stage in stages}
        # Spark counts a task that was run again as done twice.
        self.stages = tuple(replace(known[id_], done=min(known[id_].done, known[id_].tasks)) for id_ in sorted(known))
        self.running = running
        if running:
            self.quiet_since = None
        elif self.quiet_since is None:
            self.quiet_since = now
        if self.first_task is None and (running or self.done):
            self.first_task = now

    def left(self, now: float) -> float | None:
        """Seconds until the stages that are known by now are done, at the pace so far; None where it is too early."""
        if self.first_task is None or not self.tasks or self.done < max(1, ENOUGH * self.tasks):
            return None
        return (now - self.first_task) * (self.tasks - self.done) / self.done


def text(query: Query, now: float) -> str:
    """The query in one line."""
    if query.ended is not None:
        return _ended(query)
    elapsed = span(now - query.began)
    if query.waits and not query.running:
        done = f"; {query.done} of {query.tasks} tasks done" if query.done else ""
        return messages.QUERY_WAITS.say(elapsed=elapsed, done=done, why=query.waits)
    if not query.tasks:
        return messages.QUERY_BEGINS.say(elapsed=elapsed)
    parts = [f"{query.done} of {query.tasks} tasks done, {query.running} running"]
    if query.bytes_read:
        parts.append(f"{size(query.bytes_read)} read")
    left = query.left(now)
    parts.append(f"{elapsed}, about {span(left)} left" if left is not None and query.done < query.tasks else elapsed)
    return messages.QUERY_RUNS.say(how_far="; ".join(parts))


def html(query: Query, now: float) -> str:
    """The same with a bar, and with the stages that run inside it."""
    line = escape(text(query, now))
    if query.ended is not None:
        return f'<div class="emberhub-query" style="{_SMALL}">{line}</div>'
    value = f' value="{query.done}" max="{query.tasks}"' if query.running or query.done else ""
    bar = f'<progress aria-label="Progress of the query"{value} style="{_BAR}"></progress>'
    stages = "".join(
        f'<div style="{_STAGE}">Stage {stage.id}: <progress aria-label="Stage {stage.id}" value="{stage.done}" '
        f'max="{stage.tasks}" style="{_SHORT}"></progress> {stage.done} of {stage.tasks} tasks</div>'
        for stage in open_stages(query)
    )
    return f'<div class="emberhub-query" style="{_SMALL}">{bar} {line}{stages}</div>'


def open_stages(query: Query) -> list[Stage]:
    """The stages that are worth a line of their own: those that have begun and are not over, if there are several."""
    if len(query.counted) < 2:
        return []
    found = [stage for stage in query.counted if not stage.over and stage.done < stage.tasks]
    return found[:MOST_STAGES]


def waits_for(cluster: rest.Cluster) -> str:
    """Why a cluster's query does not begin, as sentences; empty if it need not wait."""
    if cluster.running:
        return ""
    if cluster.unmet is not None:
        return " ".join(unmet_sentences(cluster.unmet))
    if cluster.granted:
        return messages.EXECUTOR_COMES.say()
    return cluster.message or messages.NO_EXECUTOR_YET.say()


def span(seconds: float) -> str:
    """A time for reading."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 119.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7170 else f"{seconds / 3600:.1f} h"


def size(number: float) -> str:
    """Bytes for reading, in powers of 1024."""
    unit = 0
    while number >= 1023.5 and unit < 5:
        number, unit = number / 1024, unit + 1
    return f"{number:.0f} B" if not unit else f"{number:.3g} {'KMGTP'[unit - 1]}iB"


def count(number: int, one: str) -> str:
    """`3 tasks`, `1 task`."""
    return f"{number:,} {one}{'' if number == 1 else 's'}"


def _ended(query: Query) -> str:
    assert query.ended is not None
    took = span(query.ended - query.began)
    if query.outcome == "interrupted":
        return messages.QUERY_INTERRUPTED.say(took=took, done=query.done, tasks=count(query.tasks, "task"))
    if query.outcome == "failed":
        return messages.QUERY_FAILED.say(took=took)
    read = [
        count(query.rows_read, "row") if query.rows_read else "",
        size(query.bytes_read) if query.bytes_read else "",
    ]
    stages = sum(stage.done > 0 for stage in query.stages)
    facts = [f"{count(query.done, 'task')} in {count(stages, 'stage')}" if stages else ""]
    facts.append(f"{' and '.join(filter(None, read))} read" if any(read) else "")
    facts.append(f"{count(query.rows, 'row')} here" if query.rows else "")
    told = "; ".join(filter(None, facts))
    return messages.QUERY_DONE.say(took=took, facts=f": {told}" if told else "")


_SMALL = "font-size:var(--jp-ui-font-size1,13px);font-variant-numeric:tabular-nums"
_BAR = "width:16em;vertical-align:middle"
_SHORT = "width:8em;vertical-align:middle"
_STAGE = "padding-left:1em"
