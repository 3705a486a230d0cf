"""The tables, the structs that their rows become, and the states that a cluster may pass through."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import sqlalchemy as sa
from emberhub.wire.resources import Resources

Status = Literal["pending", "starting", "running", "stopping", "stopped", "failed"]
Goal = Literal["running", "stopped"]

TRANSITIONS: dict[Status, tuple[Status, ...]] = {
    # Asked for; no driver exists. Goes back to stopped if it is stopped before its turn comes.
    "pending": ("starting", "stopped"),
    # A driver process is being started or gets ready. To pending where a service that has just started finds that its
    # predecessor never came to start the driver; to failed where it does not start or ends by itself.
    "starting": ("running", "stopping", "failed", "pending"),
    # Its Spark Connect server takes work, or took work before the driver was lost from sight.
    "running": ("stopping", "failed"),
    # The driver is being ended. Its executors count until the backend has seen everything gone.
    "stopping": ("stopped",),
    # No driver; its user starts it again by asking for it.
    "stopped": ("pending",),
    # As stopped, against its user's will: the message says why.
    "failed": ("pending",),
}
"""From each status, those that may follow. `disconnected` is no status: it is a running cluster that is not heard."""

ENDED: tuple[Status, ...] = ("stopped", "failed")
"""No driver exists."""


class ClusterRecord(msgspec.Struct, frozen=True):
    """A row of `clusters`. Handlers write `goal` and what was asked for; the reconciler alone writes `status`."""

    id: str
    user: str
    name: str
    profile: str
    queue: str
    pool: str
    executor: Resources
    """The size of one executor, kept from when the cluster was started."""
    floor: int
    ceiling: int
    conf: dict[str, str]
    """What the user asked for; the profile's settings are added when a driver is started."""
    status: Status
    goal: Goal
    generation: int
    """Counts the starts; 0 before the first."""
    agent_token_hash: str
    """SHA-256 of the agent's token, as hex; the token itself is kept nowhere."""
    connect_token: str
    """Spark Connect's token in clear, since its owner may ask for it: the database must be private to the service."""
    created: float
    """Unix time; as all times here."""
    started: float
    """When the present driver was started."""
    last_active: float
    """When its user last asked for it or changed it."""
    message: str
    """Why it stopped or failed, as a sentence."""
    restarted: str
    """Why it had been stopped before this start; empty at the first one."""
    version: int
    """Grows with each write: what compare-and-set compares."""
    driver: str = ""
    """The present driver's name at its backend: the cluster's own id, or the id that a warm driver was started under
    before this cluster took it over. Empty before the first start.
    """
    resumable: int = 0
    """The first generation since which it was only ever parked: see `rest.Cluster`."""
    made_as: str = ""
    """Of a warm driver, what its pods are made as (`pods.fingerprint`)."""

    @classmethod
    def asked_for(cls, now: float, **what: Any) -> ClusterRecord:
        """A record of what was just asked for, at `now`; nothing has been started for it."""
        return cls(
            pool="",
            status="pending",
            goal="running",
            generation=0,
            agent_token_hash="",
            connect_token="",
            created=now,
            started=0.0,
            last_active=now,
            message="",
            restarted="",
            version=1,
            **what,
        )

    @property
    def warm(self) -> bool:
        """Whether this is a driver that waits for a user, rather than somebody's cluster."""
        return not self.user

    @property
    def driver_generation(self) -> int:
        """As the driver knows it: a warm driver was started once, whatever its cluster has been through."""
        return self.generation if self.driver == self.id else 1

    def __repr__(self) -> str:
        # Tokens never reach a log, not even by accident.
        return f"ClusterRecord({self.id!r}, user={self.user!r}, name={self.name!r}, status={self.status!r})"


class UserRecord(msgspec.Struct, frozen=True):
    """A row of `users`: the allocator's memory of a user."""

    name: str
    credit: float
    recent: float
    updated: float
    """When the two were true; they decay from then on."""


metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(column_0_label)s",
    }
)

clusters = sa.Table(
    "clusters",
    metadata,
    sa.Column("id", sa.String(80), primary_key=True),
    sa.Column("user", sa.String(255), nullable=False),
    sa.Column("name", sa.String(40), nullable=False),
    sa.Column("profile", sa.String(255), nullable=False),
    sa.Column("queue", sa.String(255), nullable=False),
    sa.Column("pool", sa.String(255), nullable=False),
    sa.Column("executor", sa.JSON, nullable=False),
    sa.Column("floor", sa.Integer, nullable=False),
    sa.Column("ceiling", sa.Integer, nullable=False),
    sa.Column("conf", sa.JSON, nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("goal", sa.String(20), nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("agent_token_hash", sa.String(64), nullable=False),
    sa.Column("connect_token", sa.String(128), nullable=False),
    sa.Column("created", sa.Float(53), nullable=False),
    sa.Column("started", sa.Float(53), nullable=False),
    sa.Column("last_active", sa.Float(53), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("restarted", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("driver", sa.String(80), nullable=False, server_default=""),
    sa.Column("resumable", sa.Integer, nullable=False, server_default="0"),
    sa.Column("made_as", sa.String(64), nullable=False, server_default=""),
    sa.UniqueConstraint("user", "name"),
)


class Event(msgspec.Struct, frozen=True):
    """A row of `events`: something that was decided or done, and why."""

    id: int
    """Grows with each event, across restarts of the service."""
    at: float
    """Unix time."""
    kind: str
    """A decision's name, such as Grant, or what was done, such as stop."""
    actor: str
    """Who did it; empty for the service itself."""
    user: str
    """Whose cluster it is about; this and the next three are empty where it is about none."""
    cluster: str
    """Its id."""
    name: str
    queue: str
    rule: str
    """The allocator's rule, where one decided."""
    text: str
    """What happened and why, as a sentence or two."""


class SessionRecord(msgspec.Struct, frozen=True):
    """A row of `livy_sessions`: an interpreter beside one start of a cluster's driver, which keeps all the rest."""

    id: int
    user: str
    cluster: str
    """The cluster's id."""
    generation: int
    """The start of the cluster that it belongs to: with that, it ends."""
    kind: str
    name: str
    """Empty if it was given none."""
    heartbeat: float
    """Seconds without a question after which it ends; 0: never."""
    note: str
    """What was not taken over of what its client asked for, as a sentence; else empty."""


sessions = sa.Table(
    "livy_sessions",
    metadata,
    # Never one twice: else a notebook could take somebody's later session for its own.
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("user", sa.String(255), nullable=False),
    sa.Column("cluster", sa.String(80), nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("name", sa.String(80), nullable=False),
    sa.Column("heartbeat", sa.Float(53), nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)

queue_changes = sa.Table(
    "queue_changes",
    metadata,
    sa.Column("queue", sa.String(255), primary_key=True),
    # What is laid over the file's settings of this queue, as `config.Changes` has it.
    sa.Column("settings", sa.JSON, nullable=False),
)

users = sa.Table(
    "users",
    metadata,
    sa.Column("name", sa.String(255), primary_key=True),
    sa.Column("credit", sa.Float(53), nullable=False),
    sa.Column("recent", sa.Float(53), nullable=False),
    sa.Column("updated", sa.Float(53), nullable=False),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.Float(53), nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("actor", sa.String(255), nullable=False),
    sa.Column("user", sa.String(255), nullable=False),
    sa.Column("cluster", sa.String(80), nullable=False),
    sa.Column("name", sa.String(40), nullable=False),
    sa.Column("queue", sa.String(255), nullable=False),
    sa.Column("rule", sa.String(20), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
)
