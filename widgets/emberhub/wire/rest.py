"""The bodies of the REST API under `<hub>/services/emberhub/api/`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from .resources import Resources

State = Literal["pending", "starting", "running", "disconnected", "stopping", "stopped", "failed"]

MAX_EXECUTORS = 10_000
MAX_BODY = 64 << 10
"""Bytes in one request body."""

Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_EXECUTORS)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=40, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")]
ConfKey = Annotated[str, msgspec.Meta(max_length=200)]
ConfValue = Annotated[str, msgspec.Meta(max_length=4000)]


class Body(msgspec.Struct, frozen=True, omit_defaults=False):
    """Any document of the API."""


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Any document that a client sends; unknown fields are refused, so that a typing error is told."""


class ExecutorRange(Request, frozen=True):
    """How many executors a cluster may have: never fewer than `min`, never more than `max`."""

    min: Count
    max: Count


class CreateCluster(Request, frozen=True):
    """`POST clusters`: start my cluster of this name, or find it again."""

    name: Name = "main"
    profile: Annotated[str, msgspec.Meta(max_length=80)] | None = None
    """None: the profile it had, or the site's default."""
    executors: ExecutorRange | None = None
    """None: what it had, or the profile's default."""
    conf: Annotated[dict[ConfKey, ConfValue], msgspec.Meta(max_length=100)] = {}
    """`spark.*` settings, of those that the site allows."""


class ScaleCluster(Request, frozen=True):
    """`PATCH clusters/{id}`."""

    executors: ExecutorRange


class Wish(Request, frozen=True):
    """`POST clusters/{id}/reclaims/{executor}`: what I would rather have than losing this executor."""

    wish: Literal["later", "another"]
    """`later`: keep it a little longer, once; `another`: give the one instead that costs me least."""


Amounts = Annotated[dict[str, str | int | float], msgspec.Meta(max_length=10)]
"""`{"cores": 2, "memory": "4G", "gpus": 1, "nvme": "100G"}`, or percentages of what the queue above has (`"50%"`)."""


class ChangeQueue(Request, frozen=True):
    """`PATCH queues`: lay settings over the configuration file's. What is left out stays as it is; null takes back what
    was laid over the file's.
    """

    name: Annotated[str, msgspec.Meta(max_length=255)]
    policy: str | msgspec.UnsetType | None = msgspec.UNSET
    weight: float | msgspec.UnsetType | None = msgspec.UNSET
    guaranteed: Amounts | msgspec.UnsetType | None = msgspec.UNSET
    max: Amounts | msgspec.UnsetType | None = msgspec.UNSET
    borrows: bool | msgspec.UnsetType | None = msgspec.UNSET


class Queue(Body, frozen=True):
    """A queue's settings that may be changed."""

    name: str
    policy: str
    weight: float
    guaranteed: Resources
    max: dict[str, int]
    """The resources that are bounded, in the units of `Resources`."""
    borrows: bool
    changed: tuple[str, ...]
    """The settings that are not the configuration file's."""


class Queues(Body, frozen=True):
    """`GET queues`: the whole tree, each queue before those below it."""

    queues: tuple[Queue, ...]


class Profile(Body, frozen=True):
    """What a user picks: `GET profiles`."""

    name: str
    title: str
    description: str
    executor: Resources
    executors: ExecutorRange
    """Default range."""
    default: bool = False
    gang: int = 1
    """Executors that it gets at once or not at all."""
    free: int = 0
    """Executors of this size for which there is room at this moment."""
    room: int = 0
    """Executors of this size for which there would be room if nobody had any."""


class Unmet(Body, frozen=True):
    """Why a cluster has fewer executors than it wants (rule N)."""

    executors: int
    """How many it lacks."""
    rule: str
    """Letter of the allocator's rule that holds it."""
    resource: str
    """The resource that is short, or an empty string."""
    place: int
    """Place in line, 1 is next; 0 where there is no line."""
    estimate: float | None
    """Seconds until the next executor, or None where nothing can be said."""
    cheapest: str
    """The cheapest change that would be served now, as a sentence; empty if there is none."""
    reason: str
    """All of it as one sentence."""


class ReclaimNotice(Body, frozen=True):
    """An executor that will be taken."""

    executor: str
    deadline: float
    """Seconds from now."""
    reason: str
    deferred: bool = False
    """Whether it was given a little longer already."""


class ExecutorView(Body, frozen=True):
    """One executor of a cluster."""

    id: str
    age: float
    active_tasks: int
    cached_bytes: int
    shuffle_bytes: int
    decommissioning: bool


class Cluster(Body, frozen=True):
    """One cluster, as its owner reads it: `GET clusters/{id}`."""

    id: str
    name: str
    user: str
    profile: str
    queue: str
    state: State
    message: str
    """What it waits for or why it stopped, as a sentence a student understands."""
    executors: ExecutorRange
    """What was asked for."""
    executor: Resources
    """The size of one executor."""
    wanted: int
    """Executors that the work at hand could use."""
    granted: int
    """Executors that the hub has granted: those that run and those that are on their way."""
    running: tuple[ExecutorView, ...]
    """Executors that run."""
    reclaims: tuple[ReclaimNotice, ...]
    unmet: Unmet | None
    ready: bool
    """Whether Spark Connect takes work."""
    generation: int
    """How often it was started."""
    restarted: str
    """Why it had been stopped before this start, if this start brought it back; else empty."""
    created: float
    """Unix time, seconds."""
    version: int
    """Grows with each change; `GET clusters/{id}?after=VERSION&wait=SECONDS` returns when it has grown."""
    resumable: int = 0
    """The first start (generation) since which it was only ever parked, never stopped or lost: sessions from then on
    go on after the next start. Above `generation` while it is stopped for good."""


class Clusters(Body, frozen=True):
    """`GET clusters`."""

    clusters: tuple[Cluster, ...]


class Profiles(Body, frozen=True):
    """`GET profiles`."""

    profiles: tuple[Profile, ...]


class Connection(Body, frozen=True):
    """`GET clusters/{id}/connection`: how to reach Spark Connect. Only its owner may read it; never logged."""

    host: str
    port: int
    token: str


class PoolView(Body, frozen=True):
    """One pool, as every user may see it."""

    name: str
    capacity: Resources
    held: Resources
    """By executors that run, those that are being reclaimed included."""
    promised: Resources
    executors: int
    waiting: int
    """Clusters that want more than they have."""


class Pools(Body, frozen=True):
    """`GET pool`."""

    pools: tuple[PoolView, ...]
    config_error: str
    """Why the last change of the configuration was not taken over; empty if it was. Admins only."""


class Event(Body, frozen=True):
    """Something that was decided or done."""

    id: int
    """Grows with each event."""
    at: float
    """Unix time, seconds."""
    kind: str
    actor: str
    """Who did it; empty for the service itself."""
    user: str
    """Whose cluster it is about; this and the next three are empty where it is about none."""
    cluster: str
    name: str
    queue: str
    rule: str
    """The allocator's rule, where one decided."""
    text: str


class Events(Body, frozen=True):
    """`GET events`."""

    events: tuple[Event, ...]


class Problem(Body, frozen=True):
    """Every answer of 400 and above."""

    status: int
    message: str
    """One sentence: what is wrong, and what to change."""
