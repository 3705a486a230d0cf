"""N: every no has a reason, a place in line, an estimate and the cheapest change."""

from __future__ import annotations

import msgspec
from emberhub_service.alloc import apply
from emberhub_service.alloc.model import User

from .builders import NOW, a_cluster, a_pool, a_site, decide
from .world import World


def test_who_waits_for_executors_on_their_way_is_told_when() -> None:
    holder = a_cluster("holder").wanting(4).holding(4)
    refusal = decide(a_site(a_pool(cores=4, memory="8G"), holder, a_cluster("new").wanting(2))).refusal("new")
    assert refusal.executors == 2
    assert refusal.rule == "I"
    assert refusal.estimate == 5.0 + 5.0  # notice, and the start of an executor
    assert "on their way" in refusal.reason


def test_who_has_their_share_is_told_so() -> None:
    a, b = a_cluster("a").wanting(9).holding(2), a_cluster("b").wanting(9).holding(2)
    refusal = decide(a_site(a_pool(cores=4, memory="8G"), a, b)).refusal("a")
    assert (refusal.rule, refusal.resource, refusal.executors) == ("C", "millicores", 7)
    assert refusal.reason == "It has its fair share: others who ask use the rest of the cores."


def test_those_who_wait_for_turns_have_places_in_line_and_estimates() -> None:
    holders = [a_cluster(f"h{n}").wanting(2).holding(1, since=NOW - 11) for n in range(2)]
    waiting = [a_cluster(f"w{n}").wanting(2) for n in range(3)]
    history = [User(f"w{n}", waiting_since=NOW - 9 + n) for n in range(3)]
    outcome = decide(a_site(a_pool(cores=2, memory="8G"), *holders, *waiting, *history))
    found = [outcome.refusal(f"w{n}") for n in range(3)]
    assert [(refusal.rule, refusal.place) for refusal in found] == [("D", 1), ("D", 2), ("D", 3)]
    assert [refusal.estimate for refusal in found] == [40.0, 40.0, 70.0]


def test_a_smaller_executor_that_would_start_now_is_named() -> None:
    large = a_cluster("large").with_executors_of(cores=4, memory="1G").wanting(1)
    silent = a_cluster("silent").holding(1).but(frozen=True)
    refusal = decide(a_site(a_pool(cores=4, memory="8G"), large, silent)).refusal("large")
    assert refusal.cheapest == "With executors of 3 cores, 0.75 GiB memory it would start now."
    full = decide(a_site(a_pool(cores=4, memory="8G"), large, silent.holding(3))).refusal("large")
    assert full.cheapest == ""


def test_who_waits_for_a_gpu_is_told_so_and_that_without_one_it_would_start_now() -> None:
    size = {"cores": 1, "memory": "1G", "gpus": 1}
    holders = [
        a_cluster(f"h{n}").with_executors_of(**size).but(user=f"h{n}").wanting(1).holding(1, since=NOW - 1)
        for n in range(2)
    ]
    third = a_cluster("third").with_executors_of(**size).wanting(1)
    refusal = decide(a_site(a_pool(cores=4, memory="8G", gpus=2), *holders, third)).refusal("third")
    assert refusal.resource == "milligpus"
    assert refusal.reason == "More users ask than there are GPUs: they take turns, and this one's comes."
    assert refusal.cheapest == "Without GPUs it would start now."


def test_a_cluster_that_is_not_heard_from_is_told_why_it_gets_nothing() -> None:
    refusal = decide(a_site(a_pool(cores=4, memory="8G"), a_cluster("a").wanting(2).but(frozen=True))).refusal("a")
    assert "not heard from" in refusal.reason


def test_a_demand_that_is_met_has_no_refusal() -> None:
    decided = decide(a_site(a_pool(cores=4, memory="8G"), a_cluster("a").wanting(2)))
    assert {type(decision).__name__ for decision in decided.plan.decisions} == {"Grant"}


def test_estimates_of_executors_on_their_way_come_true() -> None:
    """In a world that takes the times that the rules name, within its own step and the time to go."""
    world = World(a_site(a_pool(cores=4, memory="8G"), a_cluster("holder").wanting(4), now=0.0))
    world.live_on(40)
    world.add(a_cluster("new").wanting(1).cluster)
    decided = world.step()
    estimate = next(d for d in decided.decisions if type(d).__name__ == "Refuse" and d.cluster == "new").estimate
    assert estimate is not None
    waited = 0.0
    while not world.running("new"):
        world.wait(0.5)
        world.step()
        waited += 0.5
    assert abs(waited - estimate) <= 3.0


def test_fair_shares_come_with_the_plan_and_survive_json() -> None:
    site = a_site(a_pool(cores=4, memory="8G"), a_cluster("a").wanting(9), a_cluster("b").wanting(9))
    decided = decide(site).plan
    assert decided.fair == {"a": 2, "b": 2}
    assert msgspec.json.decode(msgspec.json.encode(decided), type=type(decided)) == decided
    assert apply(site, decided).clusters[0].promises
