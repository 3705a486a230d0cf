"""What the allocator is told and what it answers: `Snapshot` and `Plan`.

Both are plain data with a JSON form of their own (msgspec), so that a snapshot saved from a live service can be
examined elsewhere. Times are seconds on one clock of the caller's choice; `Snapshot.now` is its present. The letters
are the allocator's rules.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from emberhub.wire.resources import Resources

__all__ = [
    "CallOff",
    "Cluster",
    "Decision",
    "Executor",
    "Grant",
    "Limits",
    "Plan",
    "Pool",
    "Promise",
    "Queue",
    "Reclaim",
    "Reclaiming",
    "Refuse",
    "Reservation",
    "Resources",
    "Revoke",
    "Rules",
    "Snapshot",
    "User",
]

Policy = Literal["fair", "user-fair", "fifo"]


class Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """Frozen, so that it is in no cycle and the collector need not walk it; an unknown key in its JSON is an error."""


# --- the snapshot ------------------------------------------------------------------------------------------------


class Limits(Struct, frozen=True):
    """A bound on some resources; None leaves that one unbounded."""

    millicores: int | None = None
    memory: int | None = None
    milligpus: int | None = None
    nvme: int | None = None


class Pool(Struct, frozen=True):
    """A named capacity at a site. A site whose nodes are unlike declares one pool for each kind of node."""

    name: str
    capacity: Resources
    labels: dict[str, str] = {}
    """What constraints are matched against (L); `site` and `pool` are labels like others. A value is text; numbers
    compare as numbers where both sides are. A label without a value has the empty string."""
    node: Resources | None = None
    """The largest node: a larger executor can never start here. None: the pool is one node."""
    health: float = 1.0
    """0 to 1; pools that have lately failed executors score lower (L), and 0 takes none."""


class Queue(Struct, frozen=True):
    """A node of the tree of queues (B). Clusters sit in leaves. Names are unique in the tree."""

    name: str
    children: tuple[Queue, ...] = ()
    policy: Policy = "user-fair"
    """How its children, or a leaf's clusters, share."""
    weight: float = 1.0
    guaranteed: Resources = Resources()
    """Never taken from it against its will while it has use for it."""
    max: Limits = Limits()
    borrows: bool = True
    """Whether it may hold more than it is guaranteed while its siblings leave that idle. Without a guarantee it
    always may."""


class Reclaiming(Struct, frozen=True):
    """Phase one has named this executor (I)."""

    since: float
    deadline: float
    """When it may be revoked."""
    deferred: bool = False
    """The driver has used its one deferral."""
    reason: str = ""


class Executor(Struct, frozen=True):
    """One executor that runs, and what it would cost to lose it."""

    id: str
    pool: str
    since: float
    """When it was first seen."""
    active_tasks: int = 0
    oldest_task: float = 0.0
    """Seconds of work in its longest-running task."""
    idle_since: float | None = None
    """When it ran out of tasks; None while it has some."""
    cached_bytes: int = 0
    shuffle_bytes: int = 0
    reclaiming: Reclaiming | None = None
    revoked: bool = False
    """Phase two has been ordered; it counts until it is seen gone (A) and may not be named again."""


class Promise(Struct, frozen=True):
    """Executors granted and not seen yet; they count as held (A)."""

    pool: str
    executors: int
    since: float


class Cluster(Struct, frozen=True):
    """One user's Spark application, with its demand and what it holds."""

    id: str
    user: str
    queue: str
    """Name of a leaf."""
    executor: Resources
    """The size of one executor."""
    wanted: int
    """Executors that its work could use now, before floor and ceiling."""
    floor: int = 0
    """Executors that it is to have whether it works or not, and that are never taken (I)."""
    ceiling: int = 1
    gang: int = 1
    """Executors that it needs at once to make any progress (F); it has none, or at least as many."""
    gang_seconds: float | None = None
    """How long an executor of it is expected to be busy, where known: lets others fill in before a gang (G)."""
    priority: int = 0
    """Larger is sooner, among equals (C)."""
    needs: str = ""
    """Constraint on pool labels that must hold (L)."""
    prefers: str = ""
    """Constraint that scores pools higher where it holds (L)."""
    pools: tuple[str, ...] | None = None
    """Pools that its driver can reach; None: any."""
    data: tuple[str, ...] = ()
    """Sites that hold its data, best first (L)."""
    executors: tuple[Executor, ...] = ()
    promises: tuple[Promise, ...] = ()
    waiting_since: float | None = None
    """Since when it has wanted more than it has; None if it does not."""
    starved_since: float | None = None
    """Since when it has been below its fair share while wanting more (H); None if it is not."""
    frozen: bool = False
    """Its driver is not heard from: it keeps what it has, and is given and asked nothing."""


class User(Struct, frozen=True):
    """What is remembered of a user."""

    name: str
    credit: float = 0.0
    """Executor-seconds lent (positive) or borrowed (negative) against an equal share, decayed (E)."""
    recent: float = 0.0
    """Executor-seconds held lately, decayed with the same half-life: who has had most (D)."""
    waiting_since: float | None = None
    """Since when the user has had no executor while asking for one (D)."""


class Reservation(Struct, frozen=True):
    """Capacity promised to a queue in a window of time (M)."""

    id: str
    queue: str
    amount: Resources
    start: float
    end: float
    pool: str | None = None
    """None: any pool."""
    lead: float = 60.0
    """Seconds before `start` at which borrowers are asked to leave: the measured time to drain an executor."""


class Rules(Struct, frozen=True):
    """The numbers in the rules. Seconds, where a time."""

    rotation_quantum: float = 90.0
    """How long a user keeps an executor that another user, who has none, waits for; six starts if longer. A third of
    it, or four starts, if the other has had next to nothing lately (D)."""
    min_hold: float = 10.0
    """What was granted stays at least so long (J)."""
    idle_after: float = 20.0
    """An idle executor is given back after so long when nobody waits (J)."""
    think_time: float = 10.0
    """An executor that has been idle for less counts as wanted: its user is between two cells (J)."""
    reclaim_notice: float = 5.0
    """Between phase one and phase two (I)."""
    deferral: float = 5.0
    """How much longer a driver may ask to keep an executor, once (I)."""
    starvation_after: float = 60.0
    """Below its fair share for longer, a cluster gains claim on the next executors freed (H)."""
    credit_half_life: float = 600.0
    """Of credits and of recent use; 0 turns credits off, which leaves plain DRF (E)."""
    executor_start: float = 5.0
    """Measured time from promise to first sight, for estimates (N)."""


class Snapshot(Struct, frozen=True):
    """Everything that a decision depends on, at one moment."""

    now: float
    pools: tuple[Pool, ...]
    queues: Queue
    """The root of the tree."""
    clusters: tuple[Cluster, ...] = ()
    users: tuple[User, ...] = ()
    """A user who is not listed has no history."""
    reservations: tuple[Reservation, ...] = ()
    rules: Rules = Rules()


# --- the plan ----------------------------------------------------------------------------------------------------


class Decision(msgspec.Struct, frozen=True, tag=True, tag_field="do", omit_defaults=True, forbid_unknown_fields=True):
    """One decision about one cluster, with the reason as a sentence that the cluster's user can read."""

    cluster: str


class Grant(Decision, frozen=True):
    """Promise the cluster more executors."""

    executors: int
    pool: str
    rule: str
    reason: str


class Reclaim(Decision, frozen=True):
    """Phase one (I): these executors will be revoked at `deadline` if they are still needed then."""

    executors: tuple[str, ...]
    deadline: float
    rule: str
    reason: str


class CallOff(Decision, frozen=True):
    """A reclaim whose need has gone (I)."""

    executors: tuple[str, ...]
    reason: str


class Revoke(Decision, frozen=True):
    """Phase two (I): decommission these now. Each was named by a `Reclaim` in an earlier plan."""

    executors: tuple[str, ...]
    rule: str
    reason: str


class Refuse(Decision, frozen=True):
    """The cluster lacks executors, and why (N)."""

    executors: int
    """How many it lacks."""
    rule: str
    """The rule that holds it."""
    resource: str
    """The resource that is short (a name of `emberhub.wire.resources.KINDS`), or an empty string."""
    place: int
    """Place in line among those who wait for the same; 1 is next."""
    estimate: float | None
    """Seconds until its next executor; None where nothing can be said."""
    cheapest: str
    """The cheapest change that would be served now, as a sentence; empty if there is none."""
    reason: str


class Plan(Struct, frozen=True):
    """Decisions in the order in which they were made."""

    decisions: tuple[Grant | Reclaim | CallOff | Revoke | Refuse, ...] = ()
    fair: dict[str, int] = {}
    """Executors that are each cluster's fair share now, by the cluster's id."""
