"""I and J: executors are taken in two phases, from those above their share, cheapest first, and not to and fro."""

from __future__ import annotations

import msgspec
import pytest
from emberhub_service.alloc import apply, plan
from emberhub_service.alloc.model import Rules, User

from .builders import NOW, ACluster, a_cluster, a_pool, a_queue, a_site, decide

POOL = a_pool(cores=4, memory="8G")


def test_the_first_plan_names_executors_and_the_next_revokes_them() -> None:
    greedy, new = a_cluster("greedy").wanting(4).holding(4), a_cluster("new").wanting(4)
    first = a_site(POOL, greedy, new)
    outcome = decide(first)
    assert len(outcome.asked("greedy")) == 2
    assert outcome.reclaims("greedy")[0].deadline == NOW + 5
    assert outcome.revoked() == []
    second = msgspec.structs.replace(apply(first, outcome.plan), now=NOW + 5)
    assert decide(second).revoked("greedy") == outcome.asked("greedy")


def test_nothing_is_revoked_before_its_deadline() -> None:
    greedy = a_cluster("greedy").wanting(4).holding(4).asked_back("greedy-0", "greedy-1", deadline=NOW + 1)
    assert decide(a_site(POOL, greedy, a_cluster("new").wanting(4))).moves() == []


def test_a_reclaim_whose_need_has_gone_is_called_off() -> None:
    greedy = a_cluster("greedy").wanting(4).holding(4).asked_back("greedy-0", "greedy-1")
    outcome = decide(a_site(POOL, greedy, a_cluster("new")))
    assert outcome.called_off("greedy") == ["greedy-0", "greedy-1"]
    assert outcome.revoked() == []


def test_only_as_many_are_revoked_as_are_still_needed() -> None:
    greedy = a_cluster("greedy").wanting(4).holding(4).asked_back("greedy-0", "greedy-1")
    outcome = decide(a_site(POOL, greedy, a_cluster("new").wanting(1)))
    assert len(outcome.revoked("greedy")) == 1
    assert len(outcome.called_off("greedy")) == 1


def test_nobody_at_or_below_their_fair_share_is_asked() -> None:
    a, b = a_cluster("a").wanting(4).holding(2), a_cluster("b").wanting(4).holding(2)
    assert decide(a_site(POOL, a, b, a_cluster("c").of("a").wanting(2))).asked("b") == []


def victims(*holders: ACluster) -> list[str]:
    return decide(a_site(a_pool(cores=8, memory="8G"), *holders, a_cluster("new").wanting(1))).asked()


def test_a_clusters_only_executor_stays_while_others_are_still_on_their_way_to_it() -> None:
    begun = a_cluster("begun").wanting(4).holding(1).promised(3)
    asking = a_cluster("asking").wanting(1)
    assert decide(a_site(POOL, begun, asking)).asked("begun") == []
    come = a_cluster("begun").wanting(4).holding(2).promised(2)
    assert len(decide(a_site(POOL, come, asking)).asked("begun")) == 1


def test_the_idle_goes_first() -> None:
    assert victims(a_cluster("a").wanting(7).holding(7).holding(1, busy=False)) == ["a-7"]


def test_then_the_one_with_least_cached_and_shuffle_data() -> None:
    holder = a_cluster("a").wanting(9).holding(7, cached_bytes=5, shuffle_bytes=5).holding(1, cached_bytes=6)
    assert victims(holder) == ["a-7"]


def test_then_the_one_with_least_work_lost() -> None:
    assert victims(a_cluster("a").wanting(9).holding(7, oldest_task=60.0).holding(1, oldest_task=2.0)) == ["a-7"]


def test_the_cheapest_is_looked_for_across_all_users() -> None:
    a = a_cluster("a").wanting(9).holding(4, cached_bytes=100)
    b = a_cluster("b").wanting(9).holding(4, cached_bytes=10)
    assert victims(a, b) == ["b-0"]


def test_never_below_a_floor() -> None:
    holder = a_cluster("holder").wanting(4).between(3, 4).holding(4)
    outcome = decide(a_site(POOL, holder, a_cluster("new").wanting(4)))
    assert len(outcome.asked("holder")) == 1


def test_floors_that_exceed_the_pool_stay_with_those_who_have_them() -> None:
    holder = a_cluster("holder").between(4, 4).holding(4)
    late = a_cluster("a-late").between(4, 4).waiting_for(100)
    assert decide(a_site(POOL, holder, late)).asked("holder") == []


def test_never_below_a_guarantee() -> None:
    root = a_queue("root").over(a_queue("safe").guaranteeing(cores=3), a_queue("open"))
    safe = a_cluster("safe").in_queue("safe").wanting(4).holding(4)
    others = [a_cluster(f"n{n}").in_queue("open").wanting(4) for n in range(4)]
    assert len(decide(a_site(POOL, root, safe, *others)).asked("safe")) == 1


def test_a_guarantee_is_given_back_when_its_queue_asks() -> None:
    root = a_queue("root").over(a_queue("safe").guaranteeing(cores=3), a_queue("open"))
    borrower = a_cluster("borrower").in_queue("open").wanting(4).holding(4)
    outcome = decide(a_site(POOL, root, borrower, a_cluster("owner").in_queue("safe").wanting(3)))
    assert len(outcome.asked("borrower")) == 3


def test_a_guarantee_protects_the_queue_and_not_one_of_its_clusters() -> None:
    root = a_queue("root").over(a_queue("safe").guaranteeing(cores=4), a_queue("open"))
    first = a_cluster("first").in_queue("safe").wanting(4).holding(4)
    outcome = decide(a_site(POOL, root, first, a_cluster("second").in_queue("safe").wanting(4)))
    assert len(outcome.asked("first")) == 2


def test_guarantees_that_exceed_the_pool_stay_with_those_who_have_them() -> None:
    root = a_queue("root").over(a_queue("x").guaranteeing(cores=4), a_queue("y").guaranteeing(cores=4))
    have = a_cluster("have").in_queue("x").wanting(4).holding(4)
    outcome = decide(a_site(POOL, root, have, a_cluster("want").in_queue("y").wanting(4)))
    assert outcome.asked() == []
    assert outcome.refusal("want").rule == "H"


def test_a_frozen_cluster_is_counted_and_asked_nothing() -> None:
    silent = a_cluster("silent").wanting(4).holding(3).asked_back("silent-0").but(frozen=True)
    outcome = decide(a_site(POOL, silent, a_cluster("new").wanting(4)))
    assert outcome.granted("new") == 1
    assert outcome.moves() == [decision for decision in outcome.moves() if decision.cluster == "new"]
    assert decide(a_site(POOL, a_cluster("silent").wanting(4).but(frozen=True))).moves() == []


def test_what_is_being_revoked_counts_until_it_is_gone_and_is_not_named_again() -> None:
    leaving = a_cluster("leaving").wanting(4).holding(4)
    executors = tuple(msgspec.structs.replace(e, revoked=e.id < "leaving-2") for e in leaving.cluster.executors)
    outcome = decide(a_site(POOL, leaving.but(executors=executors), a_cluster("new").wanting(2)))
    assert outcome.moves() == []
    assert outcome.refusal("new").rule == "I"


def test_a_gang_that_must_lose_one_loses_all() -> None:
    gang = a_cluster("gang").wanting(3).in_gangs_of(3).holding(3)
    users = [User("gang", recent=900.0), User("new", waiting_since=NOW - 60)]
    outcome = decide(a_site(a_pool(cores=3, memory="8G"), gang, *users, a_cluster("new").wanting(1)))
    assert outcome.asked("gang") == ["gang-0", "gang-1", "gang-2"]


def test_what_was_just_granted_stays_for_min_hold() -> None:
    young = a_cluster("young").wanting(4).holding(4, since=NOW - 4)
    outcome = decide(a_site(POOL, young, a_cluster("new").wanting(2)))
    assert outcome.moves() == []
    assert outcome.refusal("new").estimate == pytest.approx(10 - 4 + 5)
    older = a_cluster("young").wanting(4).holding(4, since=NOW - 6)
    assert decide(a_site(POOL, older, a_cluster("new").wanting(2))).reclaims("young")[0].deadline == NOW + 5


def test_an_idle_executor_is_given_back_after_a_while_when_nobody_waits() -> None:
    rested = a_cluster("a").wanting(1).holding(1).holding(1, busy=False, idle_since=NOW - 21)
    outcome = decide(a_site(POOL, rested))
    assert outcome.asked("a") == ["a-1"]
    assert outcome.reclaims("a")[0].deadline == NOW
    pausing = a_cluster("a").wanting(1).holding(1).holding(1, busy=False, idle_since=NOW - 19)
    assert decide(a_site(POOL, pausing)).moves() == []


def test_an_idle_executor_is_given_back_at_once_when_somebody_waits() -> None:
    pausing = a_cluster("a").wanting(1).holding(1).holding(3, busy=False, idle_since=NOW - 1)
    outcome = decide(a_site(POOL, pausing, a_cluster("b").wanting(2)))
    assert len(outcome.asked("a")) == 2
    assert outcome.reclaims("a")[0].deadline == NOW


def thinking(name: str, seconds: float, executors: int = 1) -> ACluster:
    return a_cluster(name).wanting(0).holding(executors, busy=False, idle_since=NOW - seconds)


def test_who_thinks_for_a_moment_keeps_a_fair_share_and_gives_the_rest() -> None:
    greedy = a_cluster("b").wanting(4).holding(2)
    assert decide(a_site(POOL, thinking("a", 3, 2), greedy)).moves() == []
    assert len(decide(a_site(POOL, thinking("a", 3, 3), a_cluster("b").wanting(4).holding(1))).asked("a")) == 1
    assert len(decide(a_site(POOL, thinking("a", 11, 2), greedy)).asked("a")) == 2


def test_who_thinks_keeps_an_executor_for_what_handing_it_on_would_cost() -> None:
    quick = Rules(executor_start=2.0)
    greedy = a_cluster("b").wanting(4).holding(2)
    assert decide(a_site(POOL, thinking("a", 3.9, 2), greedy, rules=quick)).moves() == []
    assert len(decide(a_site(POOL, thinking("a", 4.1, 2), greedy, rules=quick)).asked("a")) == 2


def test_who_has_had_nothing_yet_does_not_wait_for_others_to_think() -> None:
    holders = [thinking(name, seconds) for name, seconds in (("a", 2), ("b", 4), ("c", 3))]
    busy = a_cluster("d").wanting(1).holding(1)
    asking = a_cluster("new").wanting(2)
    outcome = decide(a_site(POOL, *holders, busy, asking))
    assert [outcome.asked(name) for name in "abcd"] == [[], ["b-0"], [], []]
    served = User("new", recent=30.0)
    assert decide(a_site(POOL, *holders, busy, asking, served)).moves() == []


def test_an_idle_executor_that_its_cluster_wants_is_kept() -> None:
    between = a_cluster("a").wanting(2).holding(2, busy=False, idle_since=NOW - 60)
    assert decide(a_site(POOL, between)).moves() == []


def test_an_idle_executor_that_works_again_is_called_off() -> None:
    working = a_cluster("a").wanting(2).holding(2).asked_back("a-1")
    assert decide(a_site(POOL, working)).called_off("a") == ["a-1"]


def test_a_lowered_maximum_is_asked_back_and_then_revoked() -> None:
    lowered = a_cluster("a").wanting(4).between(0, 2).holding(4)
    outcome = decide(a_site(POOL, lowered))
    assert len(outcome.asked("a")) == 2
    later = msgspec.structs.replace(apply(a_site(POOL, lowered), outcome.plan), now=NOW + 5)
    assert decide(later).revoked("a") == outcome.asked("a")


def test_a_steady_demand_has_a_steady_plan() -> None:
    clusters = [a_cluster(f"c{n}").wanting(9) for n in range(3)]
    site = a_site(a_pool(cores=7, memory="9G"), *clusters)
    first = plan(site)
    assert first.decisions
    for state in (apply(site, first), apply(site, first, instantly=True)):
        assert decide(state).moves() == []


def test_equal_claims_do_not_pass_an_executor_to_and_fro() -> None:
    rules = Rules(min_hold=0.0, reclaim_notice=0.0)
    a, b = a_cluster("a").wanting(4).holding(3).waiting_for(100), a_cluster("b").wanting(4).holding(4)
    assert decide(a_site(a_pool(cores=7, memory="9G"), a, b, rules=rules)).moves() == []
