"""D: everyone before anyone's second, and turns where there are more users than executors."""

from __future__ import annotations

import math
from itertools import pairwise

import msgspec
import pytest
from emberhub_service.alloc import apply
from emberhub_service.alloc.model import Promise, Rules, Snapshot, User
from emberhub_service.alloc.rotation import wait_bound
from hypothesis import given
from hypothesis import strategies as st

from .builders import NOW, a_cluster, a_pool, a_queue, a_site, decide
from .world import DRAIN, START, World

RULES = Rules(rotation_quantum=20.0, min_hold=5.0, idle_after=10.0, reclaim_notice=2.0, executor_start=START)


def a_class(users: int, executors: int, rules: Rules = RULES) -> Snapshot:
    return a_site(
        a_pool(cores=executors, memory=f"{executors}G"),
        *(a_cluster(f"u{n:02}").wanting(3) for n in range(users)),
        now=0.0,
        rules=rules,
    )


def longest_waits(world: World, seconds: float) -> dict[str, float]:
    """The longest time that each user spent without a running executor while asking."""
    names = [cluster.id for cluster in world.snapshot.clusters]
    last, worst = dict.fromkeys(names, world.snapshot.now), dict.fromkeys(names, 0.0)
    for _ in range(round(seconds)):
        world.step()
        world.wait(1.0)
        for name in names:
            if world.running(name):
                last[name] = world.snapshot.now
            worst[name] = max(worst[name], world.snapshot.now - last[name])
    return worst


def test_each_user_has_one_before_any_has_two() -> None:
    big = a_cluster("big").wanting(99).holding(4)
    outcome = decide(a_site(a_pool(cores=4, memory="8G"), big, *(a_cluster(f"n{i}").wanting(5) for i in range(3))))
    assert outcome.plan.fair == {"big": 1, "n0": 1, "n1": 1, "n2": 1}
    assert len(outcome.asked("big")) == 3
    assert {outcome.refusal(f"n{i}").rule for i in range(3)} == {"I"}


def test_weights_do_not_come_before_everyones_first() -> None:
    root = a_queue("root").over(a_queue("heavy").weighing(9), a_queue("light"))
    heavy = a_cluster("heavy").in_queue("heavy").wanting(99)
    light = [a_cluster(f"l{n}").in_queue("light").wanting(9) for n in range(3)]
    outcome = decide(a_site(a_pool(cores=6, memory="60G"), root, heavy, *light))
    assert outcome.plan.fair == {"heavy": 3, "l0": 1, "l1": 1, "l2": 1}


@pytest.mark.parametrize(("users", "executors"), [(6, 3), (30, 8), (9, 8), (5, 1)])
def test_a_user_waits_no_longer_than_the_bound(users: int, executors: int) -> None:
    world = World(a_class(users, executors), checked=users < 10)
    turns = math.ceil((users - executors) / executors)
    bound = RULES.rotation_quantum * turns + RULES.reclaim_notice + RULES.executor_start
    going = turns * (DRAIN + 1.0) + 2.0  # each turn: a revoked executor goes, and the world plans once a second
    assert max(longest_waits(world, 300).values()) <= bound + going


@pytest.mark.parametrize(("users", "executors"), [(6, 3), (30, 8), (9, 8), (5, 1)])
def test_a_newcomer_waits_for_a_third_of_the_turns(users: int, executors: int) -> None:
    rules = msgspec.structs.replace(RULES, rotation_quantum=60.0)
    world = World(a_class(users, executors, rules), checked=False)
    turns = math.ceil((users - executors) / executors)
    bound = wait_bound(users - executors, executors, rules, newcomers=True)
    assert bound == 20.0 * turns + rules.reclaim_notice + rules.executor_start
    waiting = {cluster.id for cluster in world.snapshot.clusters}
    while waiting:
        world.step()
        world.wait(1.0)
        waiting -= {name for name in waiting if world.running(name)}
        assert world.snapshot.now <= bound + turns * (DRAIN + 1.0) + 2.0, waiting


def test_a_short_query_does_not_wait_for_a_whole_turn_of_somebody_who_works_for_long() -> None:
    holder = a_cluster("h").wanting(5).holding(1, since=NOW - 40)
    site = a_site(a_pool(cores=1, memory="1G"), holder, User("h", recent=200.0), a_cluster("w").wanting(1))
    for had, asked in ((0.0, ["h-0"]), (25.0, ["h-0"]), (60.0, [])):
        waiting = User("w", recent=had, waiting_since=NOW - 25)
        assert decide(msgspec.structs.replace(site, users=(*site.users, waiting))).asked() == asked, had


def test_a_grant_makes_nobody_a_newcomer_or_none() -> None:
    holders = [a_cluster(f"h{n}").wanting(5).holding(1, since=NOW - 40) for n in (1, 2)]
    waiting = [a_cluster(f"w{n}").wanting(1) for n in (1, 2)]
    users = [User(name, recent=had) for name, had in (("h1", 400.0), ("h2", 350.0), ("w1", 0.0), ("w2", 10.0))]
    site = a_site(a_pool(cores=3, memory="3G"), *holders, *waiting, *users)
    first = decide(site)
    assert (first.granted("w1"), first.asked()) == (1, ["h1-0"])
    again = decide(apply(site, first.plan))
    assert again.moves() == [], "what was asked back for the other is not called off"


@pytest.mark.parametrize("half_life", [600.0, 0.0])
def test_a_turn_lasts_its_quantum_and_executors_do_not_pass_round_faster(half_life: float) -> None:
    world = World(a_class(9, 8, msgspec.structs.replace(RULES, credit_half_life=half_life)))
    world.live_on(240)
    revokes = sum(len(d.executors) for plan in world.history for d in plan.decisions if type(d).__name__ == "Revoke")
    assert 240 / 20 / 2 <= revokes <= 240 / 20 * 2  # about one user in a quantum, not eight


def test_over_time_everybody_has_as_much() -> None:
    world = World(a_class(6, 4), checked=False)
    served = dict.fromkeys((c.id for c in world.snapshot.clusters), 0.0)
    for _ in range(600):
        world.step()
        world.wait(1.0)
        for name in served:
            served[name] += world.running(name)
    total, squares = sum(served.values()), sum(value**2 for value in served.values())
    assert total**2 / (len(served) * squares) >= 0.98  # Jain's index


def test_a_newcomer_is_served_by_whoever_has_had_most() -> None:
    holders = [a_cluster(f"h{n}").wanting(5).holding(1) for n in range(3)]
    history = [User(f"h{n}", recent=100.0 + 100 * (n == 1)) for n in range(3)]
    outcome = decide(a_site(a_pool(cores=3, memory="3G"), *holders, *history, a_cluster("new").wanting(1)))
    assert outcome.asked() == ["h1-0"]


def test_a_user_whose_turn_has_just_ended_does_not_take_it_back() -> None:
    holders = [a_cluster(f"h{n}").wanting(5).holding(1) for n in range(3)]
    users = [User(f"h{n}", recent=100.0) for n in range(3)] + [User("old", recent=99.0, waiting_since=NOW - 5)]
    outcome = decide(a_site(a_pool(cores=3, memory="3G"), *holders, *users, a_cluster("old").wanting(1)))
    assert outcome.moves() == []
    assert outcome.refusal("old").rule == "D"


def test_a_turn_is_not_cut_short() -> None:
    holder = a_cluster("h").wanting(5).holding(1, since=NOW - 12)
    waiting = User("w", waiting_since=NOW - 25)
    outcome = decide(a_site(a_pool(cores=1, memory="1G"), holder, waiting, a_cluster("w").wanting(1)))
    assert outcome.moves() == []
    later = decide(a_site(a_pool(cores=1, memory="1G"), holder, waiting, a_cluster("w").wanting(1), now=NOW + 20))
    assert later.asked() == ["h-0"]


def test_a_promise_counts_as_a_users_first() -> None:
    mine = a_cluster("a").wanting(5).but(promises=(Promise("main", 1, NOW - 1),))
    outcome = decide(a_site(a_pool(cores=2, memory="2G"), mine, a_cluster("b").wanting(5)))
    assert (outcome.granted("a"), outcome.granted("b")) == (0, 1)


def test_with_enough_for_all_nothing_rotates() -> None:
    world = World(a_class(4, 8))
    world.live_on(10)
    before = [decision for plan in world.history for decision in plan.decisions]
    world.live_on(120)
    moved = [d for plan in world.history[10:] for d in plan.decisions if type(d).__name__ != "Refuse"]
    assert before
    assert moved == []


@given(st.integers(1, 8), st.integers(1, 12), st.integers(10, 60))
def test_every_prefix_of_time_keeps_the_bound_for_whoever_waits(executors: int, users: int, seconds: int) -> None:
    world = World(a_class(users, executors), checked=False)
    turns = math.ceil(max(0, users - executors) / executors)
    worst = longest_waits(world, seconds)
    bound = RULES.rotation_quantum * turns + RULES.reclaim_notice + RULES.executor_start
    assert max(worst.values()) <= bound + turns * (DRAIN + 1.0) + 2.0
    times = [plan for plan in world.history if plan.decisions]
    assert all(a is not b for a, b in pairwise(times))
