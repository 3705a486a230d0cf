"""Any site, whatever happens to it: what must hold of every plan in the life of random worlds."""

from __future__ import annotations

import random
from typing import Any

import msgspec
from emberhub_service.alloc import plan
from emberhub_service.alloc.model import Cluster, Queue, Resources, Snapshot
from hypothesis import given
from hypothesis import strategies as st

from .strategies import EVENTS, SHAPES, leaves, sites
from .world import World

Event = tuple[Any, ...]


def happen(world: World, event: Event, shapes: list[Resources] = SHAPES) -> None:
    """Play one event. Clusters are chosen by number among those that are there."""
    names = sorted(cluster.id for cluster in world.snapshot.clusters)
    kind, *rest = event
    if kind == "wait":
        world.wait(rest[0])
    elif kind == "restart":
        world.restart()
    elif kind == "add":
        where = leaves(world.snapshot.queues)
        name = f"late-{len(world.history)}"
        if name not in names:
            queue = where[rest[0] % len(where)]
            world.add(Cluster(name, f"user-{rest[0]}", queue, shapes[rest[0] % len(shapes)], wanted=3, ceiling=4))
    elif names and kind != "plan":
        name = names[rest[0] % len(names)]
        if kind == "want":
            world.want(name, rest[1])
        elif kind == "lose":
            world.lose(name, rest[1])
        elif kind == "freeze":
            world.change(name, frozen=not world[name].frozen)
        elif kind == "ceiling":
            world.change(name, ceiling=max(rest[1], world[name].floor))
        elif kind == "remove":
            world.remove(name)
    world.step()


@given(sites(), EVENTS)
def test_every_plan_in_the_life_of_a_site_keeps_the_rules(site: Snapshot, events: list[Event]) -> None:
    world = World(site)
    world.step()
    for event in events:
        happen(world, event)


@given(sites(), EVENTS, st.integers(0, 20))
def test_a_restart_in_the_middle_loses_nothing(site: Snapshot, events: list[Event], at: int) -> None:
    straight, restarted = World(site, checked=False), World(site, checked=False)
    for number, event in enumerate(events):
        happen(straight, event)
        if number == at:
            restarted.restart()
        happen(restarted, event)
    assert straight.history == restarted.history


def shuffled(queue: Queue, dice: random.Random) -> Queue:
    children = [shuffled(child, dice) for child in queue.children]
    dice.shuffle(children)
    return msgspec.structs.replace(queue, children=tuple(children))


@given(sites(), EVENTS, st.randoms(use_true_random=False))
def test_the_order_of_the_input_decides_nothing(site: Snapshot, events: list[Event], dice: random.Random) -> None:
    world = World(site, checked=False)
    for event in events:
        happen(world, event)
    snapshot = world.snapshot
    mixed: dict[str, Any] = {}
    for part in ("pools", "clusters", "users", "reservations"):
        values = list(getattr(snapshot, part))
        dice.shuffle(values)
        mixed[part] = tuple(values)
    mixed["clusters"] = tuple(
        msgspec.structs.replace(c, executors=tuple(dice.sample(c.executors, len(c.executors))))
        for c in mixed["clusters"]
    )
    other = msgspec.structs.replace(snapshot, queues=shuffled(snapshot.queues, dice), **mixed)
    assert plan(other).decisions == plan(snapshot).decisions


@given(sites(plain=True), EVENTS)
def test_nobody_has_two_while_somebody_who_asks_has_none(site: Snapshot, events: list[Event]) -> None:
    """D, at every moment of every life: where everyone's first executor fits, fair shares have it before any second."""
    world = World(site, checked=False)
    for event in events:
        happen(world, event, SHAPES[:1])
        decided, snapshot = world.history[-1], world.snapshot
        asking = {c.user for c in snapshot.clusters if c.wanted > 0 and c.ceiling > 0 and not c.frozen}
        shares: dict[str, int] = {}
        for cluster in snapshot.clusters:
            shares[cluster.user] = shares.get(cluster.user, 0) + decided.fair[cluster.id]
        frozen = {c.user for c in snapshot.clusters if c.frozen}
        none = [user for user in asking if not shares.get(user)]
        many = [user for user, share in shares.items() if share > 1 and user not in frozen]
        assert not (none and many), (none, many, shares)
