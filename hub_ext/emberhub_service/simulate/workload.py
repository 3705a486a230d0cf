"""The work of a scenario's users, drawn once from the seed: every policy is given the very same."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass

from emberhub.wire.resources import Resources

from .scenario import CellSpec, Scenario, Spread, StageSpec, UserSpec


@dataclass(frozen=True, slots=True)
class Task:
    """Seconds on one slot, and the bytes that it leaves cached there."""

    seconds: float
    cached: int = 0
    again: bool = False
    """Done before, and lost."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Tasks that may run at once; `gang` executors must, where it is not 0."""

    tasks: tuple[Task, ...]
    gang: int = 0


@dataclass(frozen=True, slots=True)
class Cell:
    """Stages one after another, after some thought (seconds)."""

    think: float
    stages: tuple[Stage, ...]


@dataclass(frozen=True, slots=True)
class Session:
    """One user's work, from arrival to the last cell."""

    user: str
    queue: str
    executor: Resources
    slots: int
    floor: int
    ceiling: int
    priority: int
    asks: int
    arrives: float
    cells: tuple[Cell, ...]

    @property
    def asked(self) -> float:
        """Task-seconds in all."""
        return sum(task.seconds for cell in self.cells for stage in cell.stages for task in stage.tasks)

    @property
    def gang(self) -> int:
        """The largest gang in it."""
        return max((stage.gang for cell in self.cells for stage in cell.stages), default=0)

    def alone(self, executors: int) -> float:
        """Seconds that its cells take, thinking left out, with so many executors always there."""
        return sum(_alone(stage, executors * self.slots) for cell in self.cells for stage in cell.stages)


def _alone(stage: Stage, slots: int) -> float:
    if stage.gang:
        return max(task.seconds for task in stage.tasks)
    free = [0.0] * min(slots, len(stage.tasks))
    for task in stage.tasks:
        heapq.heapreplace(free, free[0] + task.seconds)
    return max(free)


def draw(scenario: Scenario, seed: int) -> list[Session]:
    """Every user's session, in the order of the file; the same for the same seed."""
    sessions = []
    for spec in scenario.users:
        width = len(str(spec.count))
        for number in range(1, spec.count + 1):
            name = spec.name if spec.count == 1 else f"{spec.name}-{number:0{width}d}"
            # A generator for each user, so that one more user changes nobody else's work.
            sessions.append(_session(spec, name, random.Random(f"{seed}/{name}")))  # noqa: S311 - no secret
    return sessions


def _session(spec: UserSpec, name: str, chance: random.Random) -> Session:
    arrives = _pick(spec.arrives, chance)
    cells = tuple(_cell(cell, chance) for cell in spec.cells for _ in range(cell.repeat))
    return Session(
        user=name,
        queue=spec.queue,
        executor=spec.executor,
        slots=spec.slots,
        floor=spec.floor,
        ceiling=spec.ceiling,
        priority=spec.priority,
        asks=spec.asks,
        arrives=arrives,
        cells=cells,
    )


def _cell(spec: CellSpec, chance: random.Random) -> Cell:
    return Cell(_pick(spec.think, chance), tuple(_stage(stage, chance) for stage in spec.stages))


def _stage(spec: StageSpec, chance: random.Random) -> Stage:
    tasks = tuple(Task(_pick(spec.lasts, chance), spec.cached) for _ in range(spec.gang or spec.tasks))
    return Stage(tasks, spec.gang)


def _pick(spread: Spread, chance: random.Random) -> float:
    # To the millisecond: tables stay readable, and sums do not depend on the machine.
    return round(chance.uniform(spread.low, spread.high), 3)
