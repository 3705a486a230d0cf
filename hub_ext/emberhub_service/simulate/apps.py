"""The applications of users and their executors: plain state, which `world` changes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from emberhub_service.alloc.model import Reclaiming

from .clock import Timer
from .workload import Session, Stage, Task

State = Literal["starting", "up", "draining", "gone"]


@dataclass(eq=False, slots=True)
class Executor:
    """One executor."""

    id: str
    number: int
    app: App
    pool: str
    promised: float
    state: State = "starting"
    since: float = 0.0
    """When it came up."""
    running: dict[int, Running] = field(default_factory=dict)
    cached: list[Task] = field(default_factory=list)
    idle_since: float | None = None
    reclaiming: Reclaiming | None = None
    limit: Timer | None = None

    @property
    def free(self) -> int:
        return self.app.session.slots - len(self.running) if self.state == "up" else 0

    @property
    def cached_bytes(self) -> int:
        return sum(task.cached for task in self.cached)


@dataclass(slots=True)
class Running:
    """A task that runs."""

    task: Task
    since: float
    end: Timer


@dataclass(slots=True)
class Sample:
    """An application at one moment; holds until the next."""

    time: float
    held: int
    """Executors promised or there."""
    up: int
    """Executors there."""
    busy: int
    """Task slots that run something."""
    useful: int
    """Executors that run something."""
    asking: bool
    """Has work."""
    waiting: bool
    """Has work, and no executor that does any of it or could; a gang's work needs all of them."""


@dataclass(eq=False)
class App:
    """A user's application and how far its session is."""

    id: str
    session: Session
    registered: float | None = None
    """When its driver was up."""
    cell: int = -1
    stage: int = -1
    thinking: bool = True
    pending: deque[Task] = field(default_factory=deque)
    lost: list[Task] = field(default_factory=list)
    """To be computed again in the next stage."""
    gang_waits: Stage | None = None
    executors: dict[str, Executor] = field(default_factory=dict)
    made: int = 0
    """Executors so far."""
    started: int = 0
    """Tasks so far."""
    running: int = 0
    gang_done: list[Task] = field(default_factory=list)
    """Of the present stage, if it is a gang's: its parts count only together."""
    done_seconds: float = 0.0
    again_seconds: float = 0.0
    wasted_seconds: float = 0.0
    submitted: list[float] = field(default_factory=list)
    finished: list[float] = field(default_factory=list)
    first_up: float | None = None
    ended: float | None = None
    decommissioned: int = 0
    moved_bytes: int = 0
    samples: list[Sample] = field(default_factory=list)

    @property
    def live(self) -> bool:
        return self.registered is not None and self.ended is None

    @property
    def gang(self) -> int:
        """Executors that its present stage needs at once; 0 if any number will do."""
        session = self.session
        if self.thinking or not self.live:
            return 0
        return session.cells[self.cell].stages[self.stage].gang

    @property
    def outstanding(self) -> int:
        """Tasks that run or could."""
        return self.running + len(self.pending)

    @property
    def needed(self) -> int:
        """Executors that its work could use now."""
        if self.gang_waits is not None or (self.gang and self.running):
            return self.gang
        return -(-self.outstanding // self.session.slots)

    @property
    def wanted(self) -> int:
        """Executors that it says it could use."""
        return self.needed * self.session.asks

    @property
    def staying(self) -> list[Executor]:
        """Executors that are not leaving."""
        return [e for e in self.executors.values() if e.state in ("starting", "up")]
