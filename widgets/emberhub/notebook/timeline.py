"""What a cluster's executors did in the last minutes, as far as anybody looked: pure. Times in seconds on one clock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from ..wire import rest

WINDOW = 120.0
"""Seconds that are kept and shown."""
LANES = 16
"""Executors that are shown; those that are more are counted."""
STEPS = 240
"""Changes of the demand that are kept."""


@dataclass
class Span:
    """A time in which an executor ran the same number of tasks."""

    begin: float
    tasks: int
    end: float | None = None


@dataclass
class Lane:
    """One executor, from its first sight to its last."""

    name: str
    begin: float
    spans: list[Span] = field(default_factory=list)
    end: float | None = None


class Timeline:
    """Grows with each look at a cluster, and forgets what is older than its window."""

    def __init__(self) -> None:
        self._lanes: dict[str, Lane] = {}
        self._demand: deque[tuple[float, int, int]] = deque(maxlen=STEPS)
        """When, executors wanted, executors that ran."""

    def add(self, cluster: rest.Cluster, now: float) -> None:
        """Take over one look."""
        present = {each.id: each for each in cluster.running}
        for gone in (lane for name, lane in self._lanes.items() if name not in present and lane.end is None):
            gone.end = now
            _close(gone, now)
        for each in cluster.running:
            lane = self._lanes.get(each.id)
            if lane is None or lane.end is not None:
                # Another start of the cluster counts its executors anew.
                lane = self._lanes[each.id] = Lane(each.id, now - each.age)
            if not lane.spans or lane.spans[-1].tasks != each.active_tasks:
                _close(lane, now)
                lane.spans.append(Span(now if lane.spans else lane.begin, each.active_tasks))
        if not self._demand or self._demand[-1][1:] != (cluster.wanted, len(present)):
            self._demand.append((now, cluster.wanted, len(present)))
        self._forget(now - WINDOW)

    def _forget(self, before: float) -> None:
        self._lanes = {name: lane for name, lane in self._lanes.items() if lane.end is None or lane.end > before}
        for lane in self._lanes.values():
            lane.spans = [span for span in lane.spans if span.end is None or span.end > before]
        while len(self._demand) > 1 and self._demand[1][0] < before:
            self._demand.popleft()

    def seen(self, now: float) -> dict[str, object]:
        """What is drawn: ages in seconds before now, the oldest first."""
        lanes = sorted(self._lanes.values(), key=lambda lane: (lane.end is not None, lane.begin, lane.name))
        return {
            "window": WINDOW,
            "lanes": [_drawn(lane, now) for lane in lanes[:LANES]],
            "more": max(0, len(lanes) - LANES),
            "demand": [[round(now - at, 2), wanted, ran] for at, wanted, ran in self._demand],
        }


def _close(lane: Lane, now: float) -> None:
    if lane.spans and lane.spans[-1].end is None:
        lane.spans[-1].end = now


def _drawn(lane: Lane, now: float) -> dict[str, object]:
    spans = [
        [round(now - span.begin, 2), None if span.end is None else round(now - span.end, 2), span.tasks]
        for span in lane.spans
    ]
    return {"name": lane.name, "spans": spans, "gone": lane.end is not None}
