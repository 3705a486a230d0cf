"""The WebSocket between a driver's agent and the service.

The driver opens it at `<service>/agent`, with its cluster's id, generation and agent token in headers. It speaks
first, with a `Report` of its whole state; every later `Report` is whole too, so that a service which has just
started needs to hear each driver once to know everything. Times that cross the wire are spans in seconds, never
dates: the two clocks need not agree.
"""

from __future__ import annotations

import msgspec

from .livy import AnyAsk

PROTOCOL = 1
"""Version of this protocol. The service closes the socket (code 4400) on a version that it does not speak."""

HEADER_CLUSTER = "Emberhub-Cluster"
HEADER_GENERATION = "Emberhub-Generation"
HEADER_PROTOCOL = "Emberhub-Protocol"
# The token travels as "Authorization: Bearer <agent token>".

CLOSE_PROTOCOL = 4400
CLOSE_SUPERSEDED = 4409
"""The service refuses this driver for good: the cluster is gone, or a later generation took over. The driver stops."""


class Message(msgspec.Struct, frozen=True, tag=True, tag_field="type", omit_defaults=True):
    """Any message on the socket; `type` names its struct."""


class ExecutorReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """One executor that Spark has, as its driver sees it. The numbers say what it would cost to lose it."""

    id: str
    """Spark's id, unique within the application and never used twice."""
    host: str = ""
    cores: int = 0
    age: float = 0.0
    """Seconds since it registered."""
    decommissioning: bool = False
    active_tasks: int = 0
    oldest_task: float = 0.0
    """Seconds for which its longest-running task has run; 0 if none runs."""
    idle: float = 0.0
    """Seconds since it last ran a task; 0 while one runs."""
    cached_bytes: int = 0
    shuffle_bytes: int = 0


class Endpoint(msgspec.Struct, frozen=True):
    """Where the driver's Spark Connect server listens."""

    host: str
    port: int


# --- from the driver ---------------------------------------------------------------------------------------------


class Report(Message, frozen=True, omit_defaults=True):
    """A driver's whole state. Sent when anything in it changes, and each `heartbeat` seconds when nothing does."""

    wanted: int
    """Executors that Spark could use now: pending and running tasks over task slots, before floor and ceiling. One at
    least while a query is under way, which has no tasks while it is planned.
    """
    target: int
    """The `Target` last applied."""
    executors: tuple[ExecutorReport, ...] = ()
    """Every executor that is registered, those that are being decommissioned included."""
    endpoint: Endpoint | None = None
    """Spark Connect, once it can take work."""
    application: str = ""
    """Spark's application id."""
    ui: Endpoint | None = None
    """Spark's web UI, once it was asked for: see `wire.driver.ui_key`."""
    idle: float = 0.0
    """Seconds since the cluster last ran or queued any task."""


class Alternative(Message, frozen=True):
    """Answer to a `Reclaim`: take `instead` rather than `executor`."""

    executor: str
    instead: str


class Deferral(Message, frozen=True):
    """Answer to a `Reclaim`: a little longer, please. Granted once an executor, as far as the rules allow."""

    executor: str
    reason: str = ""


class Answer(Message, frozen=True):
    """Answer to a `Question`, with the same number."""

    number: int
    body: msgspec.Raw
    """A document as JSON; where `status` is 400 or more, the sentence to answer."""
    status: int = 200


class Farewell(Message, frozen=True):
    """The driver is about to stop, by itself or as told. Its executors are still counted until seen gone."""

    reason: str


# --- from the service --------------------------------------------------------------------------------------------


class Welcome(Message, frozen=True):
    """First message: the agreement for this connection."""

    lease: float
    """Seconds without a word from the service after which the driver gives executors back, down to its floor. After
    twice as long it stops."""
    heartbeat: float
    """Seconds after which each side sends a `Report` or a `Ping` if it had nothing to say."""
    floor: int = 0
    """The cluster's guaranteed executors: what the driver may keep past its lease."""
    warm: bool = False
    """The driver is nobody's yet: it waits for a user."""


class Target(Message, frozen=True):
    """Have Spark hold this many executors in all. Lowering it takes no running executor away: `Revoke` does."""

    executors: int


class Reclaim(Message, frozen=True):
    """Phase one of taking executors back: these will be revoked in `deadline` seconds, if still needed then."""

    executors: tuple[str, ...]
    deadline: float
    reason: str


class CallOff(Message, frozen=True):
    """These executors are no longer reclaimed."""

    executors: tuple[str, ...]
    reason: str = ""


class Revoke(Message, frozen=True):
    """Phase two: decommission these now, moving their blocks, and hold `target` executors afterwards."""

    executors: tuple[str, ...]
    target: int
    reason: str


class ShowUi(Message, frozen=True):
    """Somebody wants to see Spark's web UI: open it, if that was not done yet. The next `Report` says where."""


class Question(Message, frozen=True):
    """About one Livy session of this cluster. Answered once, by an `Answer`."""

    number: int
    session: int
    about: AnyAsk


class Ping(Message, frozen=True):
    """The service is there; renews the lease, as every message from it does."""


class Stop(Message, frozen=True):
    """Stop the application and exit."""

    reason: str


FromDriver = Report | Alternative | Deferral | Answer | Farewell
FromService = Welcome | Target | Reclaim | CallOff | Revoke | ShowUi | Question | Ping | Stop

MAX_MESSAGE = 4 << 20
"""Bytes in one message; a report of 10,000 executors stays under it."""

encode = msgspec.json.Encoder().encode
decode_from_driver = msgspec.json.Decoder(FromDriver).decode
decode_from_service = msgspec.json.Decoder(FromService).decode
