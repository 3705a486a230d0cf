"""What the service asks a driver about Livy sessions, and the documents that come back.

A Livy session is an interpreter beside its user's driver. The driver keeps its statements and their results, so that
the service may go and come while one runs. The documents are Livy's own: they go to its clients as they are.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

Kind = Literal["pyspark", "sql"]
SessionState = Literal["starting", "idle", "busy", "shutting_down", "error", "dead", "killed"]
StatementState = Literal["waiting", "running", "cancelling", "available", "error", "cancelled"]
ENDED: tuple[StatementState, ...] = ("available", "error", "cancelled")

MAX_CODE = 1 << 20
"""Bytes of one request's body: data that is sent to Spark travels as code."""
MAX_OUTPUT = 2 << 20
"""Bytes of one statement's result."""


class Ask(msgspec.Struct, frozen=True, tag=True, tag_field="ask", omit_defaults=True):
    """Any question about one session."""


class Show(Ask, frozen=True):
    """How is it? Its interpreter is started if this driver has never heard of the session: a `SessionDocument`."""

    timeout: float = 0.0
    """Seconds after which a session that nobody asks about is ended, while it does nothing; 0: never."""


class Log(Ask, frozen=True):
    """The lines that it has logged: a `LogDocument`."""

    start: int = 0
    size: int = 100


class Run(Ask, frozen=True):
    """Run this after all that was sent before: a `Statement`, with status 201."""

    code: str
    kind: Kind = "pyspark"


class Read(Ask, frozen=True):
    """One statement: a `Statement`."""

    statement: int


class List(Ask, frozen=True):
    """Its statements, in order: `Statements`."""

    start: int = 0
    size: int = 100


class Cancel(Ask, frozen=True):
    """Cancel one statement, whether it waits or runs."""

    statement: int


class Close(Ask, frozen=True):
    """End it, and whatever it runs."""


AnyAsk = Show | Log | Run | Read | List | Cancel | Close

# --- documents ---------------------------------------------------------------------------------------------------


class SessionDocument(msgspec.Struct, frozen=True):
    """What a driver knows of a session."""

    state: SessionState
    log: tuple[str, ...] = ()
    """Its last lines."""


class LogDocument(msgspec.Struct, frozen=True):
    """`GET sessions/{id}/log`, without the id."""

    start: int
    total: int
    log: tuple[str, ...]


class Output(msgspec.Struct, frozen=True, omit_defaults=True):
    """A statement's result: `data` by MIME type, or an error."""

    status: Literal["ok", "error"]
    execution_count: int = msgspec.field(default=-1)
    data: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    ename: str | msgspec.UnsetType = msgspec.UNSET
    evalue: str | msgspec.UnsetType = msgspec.UNSET
    traceback: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


class Statement(msgspec.Struct, frozen=True):
    """`GET sessions/{id}/statements/{n}`."""

    id: int
    code: str
    state: StatementState
    output: Output | None = None
    progress: float = 0.0
    started: int = 0
    """Milliseconds of Unix time; 0 before."""
    completed: int = 0


class Statements(msgspec.Struct, frozen=True):
    """`GET sessions/{id}/statements`."""

    total_statements: int
    statements: tuple[Statement, ...]


# --- what clients send -------------------------------------------------------------------------------------------


class CreateSession(msgspec.Struct, frozen=True, rename={"heartbeat": "heartbeatTimeoutInSecond"}):
    """`POST sessions`. What else Livy's clients may send is passed over, and named in the session's log."""

    kind: str = "pyspark"
    name: Annotated[str, msgspec.Meta(max_length=80)] | None = None
    conf: Annotated[dict[str, str | int | float | bool], msgspec.Meta(max_length=100)] | None = None
    heartbeat: Annotated[float, msgspec.Meta(ge=0, le=86400)] | None = None
    cluster: str = "main"
    """Ours: which of my clusters."""
    profile: str | None = None
    """Ours: the profile to start it with."""


class CreateStatement(msgspec.Struct, frozen=True):
    """`POST sessions/{id}/statements`."""

    code: str
    kind: str | None = None
