"""How long should a turn be? What turns of several lengths cost, and how long people wait, under the real allocator.

What an executor takes to come and to go is measured on real Spark; a class is then played in the simulator under
`ember`, once for each length of turn, with these costs and the same work.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from emberhub.errors import EmberhubError
from emberhub.wire.resources import Resources

from ..alloc.model import Pool, Queue, Rules
from ..simulate.metrics import measure
from ..simulate.run import simulate
from ..simulate.scenario import CellSpec, Costs, Scenario, Spread, StageSpec, UserSpec

QUANTA = (15.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0)
USERS, EXECUTORS = 30, 4
CELLS = 8
ENOUGH = 1.1
"""The shortest turn whose overhead is at most so many times the least of all is the one to take."""

Say = Callable[[str], None]


class Turn(msgspec.Struct, frozen=True):
    """A class with turns of one length. Seconds."""

    quantum: float
    overhead: float
    """Share of executor-seconds, from promise to gone, in which executors came or went."""
    wait_median: float
    """Of the users' longest waits for an executor while they had work."""
    wait_worst: float
    bound: float | None
    makespan: float
    executors: int
    """Started in all."""


class Curve(msgspec.Struct, frozen=True):
    """What `emberhub bench rotation` finds."""

    users: int
    pool: int
    start: float
    """Measured: from asking for an executor to its registration."""
    leave: float
    """Measured: from dismissing an idle executor until it is gone."""
    turns: tuple[Turn, ...]

    @property
    def advised(self) -> float:
        """The shortest turn that costs hardly more than the cheapest."""
        least = min(turn.overhead for turn in self.turns)
        return next(turn.quantum for turn in self.turns if turn.overhead <= ENOUGH * least)


def scenario(quantum: float, start: float, leave: float, users: int = USERS, executors: int = EXECUTORS) -> Scenario:
    """A class whose cells are as the workshop's: some seconds of work in short tasks, then some thought."""
    size = Resources.of(cores=1, memory="1G")
    query = StageSpec(lasts=Spread(0.2, 0.8), tasks=16), StageSpec(lasts=Spread(0.1, 0.1))
    training = tuple(StageSpec(lasts=Spread(0.1, 0.3), tasks=8) for _ in range(12))
    cells = CellSpec(stages=query, think=Spread(2.0, 6.0), repeat=3), CellSpec(stages=training, think=Spread(2.0, 6.0))
    student = UserSpec(
        name="student", queue="class", executor=size, cells=cells * (CELLS // 4), count=users, ceiling=executors,
        arrives=Spread(0.0, 5.0),
    )  # fmt: skip
    # A turn is never shorter than what an executor takes to start and the least hold: short ones need a short hold.
    hold = min(Rules().min_hold, quantum / 2)
    return Scenario(
        name="rotation",
        title=f"{users} users on {executors} executors",
        shows="What turns cost, and how long people wait.",
        pools=(Pool("main", size * executors),),
        queues=Queue("class"),
        users=(student,),
        rules=Rules(rotation_quantum=quantum, min_hold=hold, executor_start=start),
        costs=Costs(executor_start=start, decommission=leave),
    )


def sweep(start: float, leave: float, say: Say, quanta: Sequence[float] = QUANTA, users: int = USERS) -> Curve:
    """Play the class once for each length of turn, given what was measured."""
    turns = []
    for quantum in quanta:
        turns.append(_turn(scenario(quantum, start, leave, users), quantum))
        say(f"turns of {quantum:g} s: {turns[-1].overhead:.0%} overhead, {turns[-1].wait_worst:.0f} s longest wait")
    return Curve(users, EXECUTORS, start, leave, tuple(turns))


def _turn(played: Scenario, quantum: float) -> Turn:
    outcome = simulate(played)
    found = measure(outcome)
    held = sum(user.executor_seconds for user in found.users)
    made = sum(app.made for app in outcome.apps)
    waits = [user.longest_wait for user in found.users]
    return Turn(
        quantum=quantum,
        overhead=made * (played.costs.executor_start + played.costs.decommission) / held if held else 0.0,
        wait_median=statistics.median(waits),
        wait_worst=max(waits),
        bound=found.bound,
        makespan=found.makespan,
        executors=made,
    )


def draw(curve: Curve, path: Path) -> None:
    """Overhead and waiting over the length of a turn. Raises EmberhubError."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import, and only pictures need it
    except ImportError:
        raise EmberhubError("pictures need matplotlib: pip install 'emberhub[plot]'") from None
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    left = figure.subplots()
    right = left.twinx()
    quanta = [turn.quantum for turn in curve.turns]
    cost = left.plot(
        quanta, [100 * turn.overhead for turn in curve.turns], "o-", color="#e4572e", label="overhead (left)"
    )
    worst = right.plot(
        quanta, [turn.wait_worst for turn in curve.turns], "s-", color="#4c78a8", label="longest wait (right)"
    )
    middle = right.plot(
        quanta, [turn.wait_median for turn in curve.turns], "s--", color="#9ecae9", label="median user's (right)"
    )
    left.axvline(curve.advised, color="0.5", lw=1, ls=":")
    left.set_xlabel("length of a turn (rotation_quantum), seconds")
    left.set_ylabel("% of executor-seconds spent on coming and going")
    right.set_ylabel("seconds without an executor, with work")
    left.set_ylim(bottom=0)
    right.set_ylim(bottom=0)
    left.set_title(
        f"{curve.users} users on {curve.pool} executors, which take {curve.start:.1f} s to come",
        loc="left",
        fontsize=10,
    )
    left.legend(handles=[*cost, *worst, *middle], frameon=False, loc="upper center")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110, metadata={"Software": None} if path.suffix == ".png" else None)
    except OSError as error:
        raise EmberhubError(f"cannot write {path}: {error.strerror}") from error
