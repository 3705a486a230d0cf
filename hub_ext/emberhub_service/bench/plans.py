"""What is played: policies, the size of things, and one plan for each run."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from emberhub.wire.resources import Resources

from ..commands import leftovers

HOST = "127.0.0.1"
POLICIES = ("ember", "spark-dynamic", "static")
TUNINGS = ("plain", "tuned")
SHAPE = Resources.of(cores=1, memory="1G")
QUICK = "-XX:TieredStopAtLevel=1"
"""What a profile for short queries adds for executors: they start sooner, and compute more slowly once warm."""
INITIAL, LEAST, IDLE = 2, 1, 60
"""Spark's dynamic allocation: half the pool at the start, as Edinburgh's 15 executors of 30; at least 1; seconds."""
THINK = (2.0, 6.0)
"""Least and most seconds between two cells: of somebody who knows the notebook, and runs it once more."""


@dataclass(frozen=True)
class Plan:
    """One run: a policy for a number of users."""

    policy: str
    tuning: str
    users: int
    executors: int
    warm: int
    """Warm drivers that the service keeps; only `ember` knows them."""
    directory: Path
    full: bool = False
    """With a hub, notebook servers and kernels; only `ember`."""
    think: tuple[float, float] = THINK

    @property
    def names(self) -> list[str]:
        """The users."""
        return [f"user-{number:02}" for number in range(1, self.users + 1)]

    @property
    def events(self) -> Path:
        """Where Spark's event logs go."""
        return self.directory / "events"


@dataclass(frozen=True)
class Access:
    """What one user's process is given."""

    environment: dict[str, str]
    order: str = ""


def event_log(directory: Path) -> dict[str, str]:
    """Settings that make an application log its events, for every policy alike."""
    return {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": f"file://{directory}",
        "spark.eventLog.rolling.enabled": "false",
        "spark.eventLog.compress": "false",
    }


@contextlib.contextmanager
def marked(directory: Path) -> Iterator[None]:
    """Everything that is started meanwhile carries the run's mark, so that none of it is missed."""
    before = os.environ.get(leftovers.ENV_STATE)
    os.environ[leftovers.ENV_STATE] = str(directory)
    try:
        yield
    finally:
        if before is None:
            del os.environ[leftovers.ENV_STATE]
        else:
            os.environ[leftovers.ENV_STATE] = before


@contextlib.contextmanager
def opened(plan: Plan) -> Iterator[None]:
    """Make the plan's directories, and mark what is started."""
    plan.directory.mkdir(mode=0o700, parents=True)
    plan.events.mkdir(mode=0o700)
    with marked(plan.directory):
        yield
