"""What Spark's own event logs say: which executors each user had, when they worked, and when work waited for one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_SESSION = re.compile(r'session_id: \\+"([0-9a-f-]{36})')
_KINDS = ("ApplicationEnd", "ExecutorAdded", "ExecutorRemoved", "JobStart", "JobEnd", "TaskEnd")
_READ = tuple(f'{{"Event":"SparkListener{kind}"' for kind in _KINDS)

Span = tuple[float, float]
"""From, to, in seconds of whatever clock the caller counts with."""


@dataclass
class Application:
    """One Spark application."""

    executors: dict[str, Span] = field(default_factory=dict)
    """From its registration to its end."""
    tasks: dict[str, list[Span]] = field(default_factory=dict)
    """For each executor."""
    jobs: list[Span] = field(default_factory=list)
    sessions: set[str] = field(default_factory=set)
    """Spark Connect sessions whose work it ran."""

    def waits(self) -> list[Span]:
        """When it had work and no executor."""
        return subtract(merge(self.jobs), merge(self.executors.values()))

    def busy(self) -> float:
        """Executor-seconds in which a task ran."""
        return sum(length(merge(spans)) for spans in self.tasks.values())

    def held(self) -> float:
        """Executor-seconds in all."""
        return length(self.executors.values())


def read(directory: Path, offset: float) -> list[Application]:
    """Every application that logged its events in `directory`. `offset` is added to Spark's Unix times."""
    return [_read(path, offset) for path in sorted(directory.iterdir()) if not path.name.startswith(".")]


def _read(path: Path, offset: float) -> Application:
    found, added, jobs, last = Application(), dict[str, float](), dict[int, float](), 0.0

    def when(milliseconds: float) -> float:
        return milliseconds / 1000 + offset

    for event in _events(path):
        match event["Event"].removeprefix("SparkListener"):
            case "ExecutorAdded":
                last = added[event["Executor ID"]] = when(event["Timestamp"])
            case "ExecutorRemoved":
                last, name = when(event["Timestamp"]), event["Executor ID"]
                if name in added:  # one that was decommissioned is told again when its process has ended
                    found.executors[name] = added.pop(name), last
            case "JobStart":
                last = jobs[event["Job ID"]] = when(event["Submission Time"])
                found.sessions.update(event["sessions"])
            case "JobEnd":
                last = when(event["Completion Time"])
                found.jobs.append((jobs.pop(event["Job ID"], last), last))
            case "TaskEnd":
                info = event["Task Info"]
                span = when(info["Launch Time"]), when(info["Finish Time"])
                found.tasks.setdefault(info["Executor ID"], []).append(span)
                last = span[1]
            case "ApplicationEnd":
                last = when(event["Timestamp"])
    # What had not ended when the log did, ends there.
    found.executors.update((name, (since, last)) for name, since in added.items())
    found.jobs.extend((since, last) for since in jobs.values())
    return found


def _events(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if not line.startswith(_READ):
                continue
            try:
                event: dict[str, Any] = json.loads(line)
            except ValueError:
                return  # the application was killed while it wrote
            event["sessions"] = _SESSION.findall(line) if "JobStart" in line[:40] else ()
            yield event


def length(spans: Iterable[Span]) -> float:
    """Seconds in all."""
    return sum(end - start for start, end in spans)


def longest(spans: Iterable[Span]) -> float:
    """Seconds of the longest, 0 if there is none."""
    return max((end - start for start, end in spans), default=0.0)


def merge(spans: Iterable[Span]) -> list[Span]:
    """The same time, in spans that neither touch nor overlap, in order."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def subtract(spans: list[Span], other: list[Span]) -> list[Span]:
    """What of `spans` is in none of `other`; both as `merge` gives them."""
    left: list[Span] = []
    for start, end in spans:
        now = start
        for begin, until in other:
            if until <= now or begin >= end:
                continue
            if begin > now:
                left.append((now, begin))
            now = max(now, until)
        if now < end:
            left.append((now, end))
    return left
