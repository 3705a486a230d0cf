"""The site's configuration: one YAML file, read into frozen structs.

People write human units; errors name the key and the line. Without a file the built-in configuration holds: one
pool of 4 cores and 4 GB, one queue in which users share equally, one small profile.

What admins have changed of queues is laid over the file's, key by key, before it is read: the same rules for both.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from emberhub.wire.resources import Resources
from emberhub_spawner.pods import Pod, read_pod
from emberhub_spawner.profiles import DEFAULT, Profile, read_profiles
from emberhub_spawner.reading import KEYS, Reader, read_file, read_text
from emberhub_spawner.sparkconf import ALLOWED

from .alloc.constraints import ConstraintError, parse
from .alloc.model import Limits, Pool, Queue, Rules

_TOP = (
    "pools",
    "queues",
    "profiles",
    "rules",
    "lease",
    "heartbeat",
    "clusters_per_user",
    "starts_at_once",
    "allowed_conf",
    "show_names",
    "kubernetes",
)
_QUEUE = ("name", "policy", "weight", "guaranteed", "max", "borrows", "groups", "instructors", "children")
CHANGEABLE = ("policy", "weight", "guaranteed", "max", "borrows")
"""What may be changed of a queue while the service runs. Which queues there are, and whose, is the file's."""
_POLICIES = ("fair", "user-fair", "fifo")
_DEPTH = 10

Changes = Mapping[str, Mapping[str, Any]]
"""Queue: settings that are laid over the file's, written as there, in JSON's types."""


class ServiceRules(msgspec.Struct, frozen=True):
    """The numbers under `rules` that are the service's own. Seconds."""

    stop_after: float = 1800.0
    """A cluster without work for so long is parked: stopped, until a session of it is used again."""
    driver_start_timeout: float = 180.0
    """A driver that is not ready after so long has failed."""
    executor_start_timeout: float = 60.0
    """Granted executors that are not seen after so long are withdrawn."""


class Site(msgspec.Struct, frozen=True):
    """The whole configuration."""

    pools: tuple[Pool, ...] = (Pool(name="main", capacity=Resources.of(cores=4, memory="4G")),)
    queues: Queue = Queue(name="class")
    changed: dict[str, tuple[str, ...]] = {}
    """Queue: its settings that are not the file's, but were changed while the service ran."""
    groups: dict[str, tuple[str, ...]] = {}
    """Leaf queue: the hub's groups that it is for. A leaf that is not listed is for everyone."""
    instructors: dict[str, tuple[str, ...]] = {}
    """Queue: the hub's groups whose members see, scale and stop the clusters in it, and in the queues below it."""
    profiles: tuple[Profile, ...] = (DEFAULT,)
    rules: Rules = Rules()
    service: ServiceRules = ServiceRules()
    lease: float = 60.0
    """Seconds without a word from the service after which a driver gives executors back."""
    heartbeat: float = 5.0
    """Seconds between signs of life on a quiet agent socket."""
    clusters_per_user: int = 2
    starts_at_once: int = os.cpu_count() or 2
    """Drivers that are started at a time; who asks meanwhile waits in line. On one machine no more than it has cores:
    thirty at once would make every one of them slow."""
    allowed_conf: tuple[str, ...] = ALLOWED
    """Patterns of the `spark.*` settings that users may choose."""
    kubernetes: Pod = Pod()
    """How pods are made, where drivers run on Kubernetes. A profile's `pod` is laid over it."""
    show_names: bool = False
    """Whether everybody sees who has how many executors; else people see numbers without names."""

    def profile(self, name: str) -> Profile | None:
        """The profile of this name."""
        return next((profile for profile in self.profiles if profile.name == name), None)

    def capacity(self) -> Resources:
        """All pools together."""
        return sum((pool.capacity for pool in self.pools), Resources())


def every(queue: Queue) -> Iterator[Queue]:
    """A queue and all below it, in the order in which they are written."""
    yield queue
    for child in queue.children:
        yield from every(child)


def leaves(queue: Queue) -> Iterator[Queue]:
    """The leaves of a tree of queues, in the order in which they are written."""
    return (each for each in every(queue) if not each.children)


def instructed(site: Site, groups: Collection[str]) -> frozenset[str]:
    """The leaf queues whose clusters the members of these groups look after."""

    def below(queue: Queue, mine: bool) -> Iterator[str]:
        mine = mine or bool(set(site.instructors.get(queue.name, ())) & set(groups))
        if mine and not queue.children:
            yield queue.name
        for child in queue.children:
            yield from below(child, mine)

    return frozenset(below(site.queues, mine=False))


def load_site(path: Path | None, changes: Changes | None = None) -> Site:
    """Read the site's file; a path that is None or does not exist gives the built-in configuration.

    `changes` are laid over the file's queues; those of queues that it has not are left out. Raises ConfigError.
    """
    return read_site(None if path is None or not path.exists() else read_file(path), changes)


def parse_site(text: str, source: str = "emberhub.yaml", changes: Changes | None = None) -> Site:
    """As `load_site`, from text. Raises ConfigError."""
    return read_site(read_text(text, source), changes)


def read_site(reader: Reader | None, changes: Changes | None = None) -> Site:
    """As `load_site`, from a place in a document. Raises ConfigError."""
    reader = reader or _plain({}, "")
    fields = reader.fields(_TOP)
    given: dict[str, object] = {}
    if "pools" in fields:
        given["pools"] = _read_pools(fields["pools"])
    partial = Site(**given)  # type: ignore[arg-type]
    tree, whole = _Tree(changes or {}), partial.capacity()
    given["queues"] = tree.read(fields.get("queues") or _plain({"name": partial.queues.name}, "queues"), whole, whole)
    given["groups"], given["instructors"], given["changed"] = tree.groups, tree.instructors, tree.changed
    if "profiles" in fields:
        given["profiles"] = read_profiles(fields["profiles"])
    if "rules" in fields:
        given["rules"], given["service"] = _read_rules(fields["rules"])
    given |= {key: read(fields[key]) for key, read in _PLAIN.items() if key in fields}
    site = Site(**given)  # type: ignore[arg-type]
    if site.heartbeat * 2 > site.lease:
        place = fields.get("lease", fields.get("heartbeat", reader))
        raise place.error(f"a lease of {site.lease:g} s must be at least twice the heartbeat of {site.heartbeat:g} s")
    _check_profiles(site, fields.get("profiles"), reader)
    return site


def _plain(settings: Mapping[str, Any], path: str) -> Reader:
    """These settings, as a place in a document would hold them. Raises ConfigError where one cannot be written."""
    reader = read_text(msgspec.json.encode(settings).decode(), path)
    assert reader is not None, "JSON is never an empty document"
    return Reader(reader.node, path, "")


def _read_patterns(reader: Reader) -> tuple[str, ...]:
    for item in reader.items():
        if not item.text().startswith("spark."):
            raise item.error("a pattern must start with 'spark.', such as spark.sql.*")
    return reader.texts()


_PLAIN: dict[str, Callable[[Reader], object]] = {
    "heartbeat": lambda reader: reader.seconds(least=0.1),
    "lease": lambda reader: reader.seconds(least=1),
    "clusters_per_user": lambda reader: reader.count(least=1, most=100),
    "starts_at_once": lambda reader: reader.count(least=1, most=1000),
    "allowed_conf": _read_patterns,
    "kubernetes": read_pod,
    "show_names": lambda reader: reader.flag(),
}
"""Keys that stand by themselves, and how each is read."""


def _read_pools(reader: Reader) -> tuple[Pool, ...]:
    pools: list[Pool] = []
    for item in reader.items():
        fields = item.fields(("name", *KEYS, "labels", "node"))
        if "name" not in fields:
            raise item.error("lacks the key 'name'")
        name = fields["name"].text()
        if any(pool.name == name for pool in pools):
            raise fields["name"].error(f"the name {name!r} comes twice")
        capacity = Resources(**{KEYS[key]: fields[key].amount(key) for key in KEYS if key in fields})
        if not capacity.millicores or not capacity.memory:
            raise item.error("needs both cores and memory above 0")
        node = fields["node"].resources() if "node" in fields else None
        if node is not None and not node.fits_in(capacity):
            raise fields["node"].error("a node must not be larger than the pool")
        labels = fields["labels"].mapping_of_texts() if "labels" in fields else {}
        pools.append(Pool(name=name, capacity=capacity, labels=labels, node=node))
    if not pools:
        raise reader.error("must hold at least one pool")
    return tuple(pools)


class _Tree:
    """Reads the tree of queues, and collects what holds across it."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self.changed: dict[str, tuple[str, ...]] = {}
        self.groups: dict[str, tuple[str, ...]] = {}
        self.instructors: dict[str, tuple[str, ...]] = {}
        self.seen: set[str] = set()

    def read(self, reader: Reader, share: Resources, bound: Resources, depth: int = _DEPTH) -> Queue:
        """`share` and `bound`: what percentages of `guaranteed` and `max` refer to, the parent's own."""
        fields = reader.fields(_QUEUE)
        if not depth:
            raise reader.error(f"queues may be nested {_DEPTH} deep at most")
        if "name" not in fields:
            raise reader.error("lacks the key 'name'")
        name = fields["name"].text()
        if name in self.seen:
            raise fields["name"].error(f"the name {name!r} comes twice in the tree")
        self.seen.add(name)
        laid_over = _plain(self._changes.get(name, {}), name).fields(CHANGEABLE)
        if laid_over:
            self.changed[name] = tuple(key for key in CHANGEABLE if key in laid_over)
            fields |= laid_over
        policy = fields["policy"].text() if "policy" in fields else "user-fair"
        if policy not in _POLICIES:
            raise fields["policy"].error(f"{policy!r} is not a policy; the policies are {', '.join(_POLICIES)}")
        guaranteed = fields["guaranteed"].resources(of=share) if "guaranteed" in fields else Resources()
        if not guaranteed.fits_in(share):
            raise fields["guaranteed"].error(f"is more than the {share} that there is to guarantee here")
        most = _read_max(fields["max"], bound) if "max" in fields else Limits()
        children: list[Queue] = []
        for item in fields["children"].items() if "children" in fields else ():
            inner = Resources(*(own or outer for own, outer in zip(guaranteed.amounts(), share.amounts(), strict=True)))
            below = Resources(
                *(
                    outer if own is None else own
                    for own, outer in zip(msgspec.structs.astuple(most), bound.amounts(), strict=True)
                )
            )
            children.append(self.read(item, inner, below, depth - 1))
            if not sum((child.guaranteed for child in children), Resources()).fits_in(inner):
                raise item.error(
                    f"the guarantees of this queue and its siblings add up to more than the {inner} of {name}"
                )
        if "groups" in fields:
            if children:
                raise fields["groups"].error("groups belong to queues without children, where clusters sit")
            self.groups[name] = fields["groups"].texts()
        if "instructors" in fields:
            self.instructors[name] = fields["instructors"].texts()
        return Queue(
            name=name,
            children=tuple(children),
            policy=policy,  # type: ignore[arg-type]
            weight=fields["weight"].number(least=0.001) if "weight" in fields else 1.0,
            guaranteed=guaranteed,
            max=most,
            borrows=fields["borrows"].flag() if "borrows" in fields else True,
        )


def _read_max(reader: Reader, bound: Resources) -> Limits:
    return Limits(**{KEYS[k]: r.amount(k, getattr(bound, KEYS[k])) for k, r in reader.fields(KEYS).items()})


def _read_rules(reader: Reader) -> tuple[Rules, ServiceRules]:
    own, service = Rules.__struct_fields__, ServiceRules.__struct_fields__
    spans = {key: item.seconds() for key, item in reader.fields((*own, *service)).items()}
    return (
        Rules(**{key: span for key, span in spans.items() if key in own}),
        ServiceRules(**{key: span for key, span in spans.items() if key in service}),
    )


def _check_profiles(site: Site, reader: Reader | None, top: Reader) -> None:
    """Whether each profile can ever be served."""
    items = reader.items() if reader is not None else [top] * len(site.profiles)
    for item, profile in zip(items, site.profiles, strict=True):
        for key, text in (("needs", profile.needs), ("prefers", profile.prefers)):
            try:
                parse(text)
            except ConstraintError as wrong:
                raise dict(item.pairs())[key].error(str(wrong)) from None
        fitting = [pool for pool in site.pools if profile.executor.fits_in(pool.node or pool.capacity)]
        if not fitting:
            raise item.error(
                f"the executor of profile {profile.name!r} ({profile.executor}) fits in no pool's node; make it smaller"
            )
        room = max(profile.executor.how_many(pool.capacity) for pool in fitting)
        if max(profile.min, profile.gang) > room:
            raise item.error(f"executors.min or gang of profile {profile.name!r} is more than the {room} that fit")
