"""What a scenario says: who comes when, with what work, to which pool."""

from __future__ import annotations

import msgspec
from emberhub.wire.resources import Resources

from emberhub_service.alloc.model import Pool, Queue, Reservation, Rules


class Struct(msgspec.Struct, frozen=True):
    """Part of a scenario. Times are in seconds."""


class Spread(Struct, frozen=True):
    """A time drawn uniformly between two bounds, or always the same one."""

    low: float = 0.0
    high: float = 0.0


class StageSpec(Struct, frozen=True):
    """Tasks that may all run at once; the next stage waits for the last of them."""

    lasts: Spread
    tasks: int = 1
    gang: int = 0
    """A barrier stage: so many executors at once with one task on each, or nothing. 0: an ordinary stage."""
    cached: int = 0
    """Bytes that each task leaves cached on its executor."""


class CellSpec(Struct, frozen=True):
    """A cell of a notebook, run `repeat` times, each time after some thought."""

    stages: tuple[StageSpec, ...]
    think: Spread = Spread()
    repeat: int = 1


class UserSpec(Struct, frozen=True):
    """A user, or `count` alike, each with one cluster and a session of work."""

    name: str
    queue: str
    executor: Resources
    cells: tuple[CellSpec, ...]
    count: int = 1
    floor: int = 0
    ceiling: int = 4
    arrives: Spread = Spread()
    priority: int = 0
    slots: int = 1
    """Tasks that an executor runs at once."""
    asks: int = 1
    """How many times what the work could use the cluster asks for: 1 is honest."""


class SparkDynamic(Struct, frozen=True):
    """Settings of Spark's dynamic allocation."""

    initial: int = 0
    """`initialExecutors`."""
    backlog: float = 1.0
    """`schedulerBacklogTimeout`, and the sustained one."""
    idle: float = 60.0
    """`executorIdleTimeout`."""


class Costs(Struct, frozen=True):
    """What it takes to move executors. The defaults were measured on Spark standalone."""

    executor_start: float = 1.0
    """From promise to first task."""
    driver_start: float = 0.0
    decommission: float = 1.0
    """To decommission an idle executor without blocks."""
    bandwidth: int = 200 << 20
    """Bytes a second at which blocks leave an executor that is being decommissioned."""
    drain_limit: float | None = None
    """A decommissioned executor that is not gone after so long is killed (Spark's `forceKillTimeout`); None: never."""


class Scenario(Struct, frozen=True):
    """A whole scenario."""

    name: str
    title: str
    shows: str
    pools: tuple[Pool, ...]
    queues: Queue
    users: tuple[UserSpec, ...]
    rules: Rules = Rules()
    reservations: tuple[Reservation, ...] = ()
    costs: Costs = Costs()
    spark_dynamic: SparkDynamic = SparkDynamic()
    fifo_idle: float = 60.0
    """After so long without a task, the policy `fifo` takes an executor back."""
    seed: int = 1
    horizon: float = 86400.0
    """The simulation ends here even if work is left."""

    def holds(self, size: Resources) -> int:
        """How many executors of this size all pools together hold."""
        return sum(size.how_many(pool.capacity) for pool in self.pools)
