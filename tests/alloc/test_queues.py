"""A, B and K: never more than there is, bounds of queues, borrowing, and nothing idle that somebody can use."""

from __future__ import annotations

from emberhub_service.alloc.model import Reclaim

from .builders import NOW, a_cluster, a_pool, a_queue, a_site, decide

POOL = a_pool(cores=8, memory="16G")


def test_promises_and_executors_that_leave_count_as_held() -> None:
    a = a_cluster("a").wanting(8).holding(3).promised(4).asked_back("a-0", deadline=NOW + 9)
    assert decide(a_site(POOL, a)).granted("a") == 1


def test_memory_bounds_as_cores_do() -> None:
    a = a_cluster("a").with_executors_of(cores=1, memory="6G").wanting(8)
    outcome = decide(a_site(POOL, a))
    assert outcome.granted("a") == 2
    assert outcome.refusal("a").resource == "memory"


def test_a_queue_holds_no_more_than_its_maximum() -> None:
    root = a_queue("root").over(a_queue("small").at_most(cores=3), a_queue("other"))
    outcome = decide(a_site(POOL, root, a_cluster("a").in_queue("small").wanting(8)))
    assert outcome.granted("a") == 3
    refusal = outcome.refusal("a")
    assert (refusal.rule, refusal.resource) == ("B", "millicores")
    assert refusal.reason == "Queue small holds all the cores that it may."


def test_a_maximum_holds_for_all_below_it() -> None:
    root = a_queue("root").over(a_queue("mid").at_most(cores=4).over(a_queue("x"), a_queue("y")))
    a, b = a_cluster("a").in_queue("x").wanting(8), a_cluster("b").in_queue("y").wanting(8)
    outcome = decide(a_site(POOL, root, a, b))
    assert (outcome.granted("a"), outcome.granted("b")) == (2, 2)


def test_within_a_full_queue_executors_are_asked_back_from_its_own() -> None:
    root = a_queue("root").over(a_queue("small").at_most(cores=4), a_queue("other"))
    a, b = a_cluster("a").in_queue("small").wanting(8).holding(4), a_cluster("b").in_queue("small").wanting(8)
    outsider = a_cluster("c").in_queue("other").wanting(4).holding(4)
    outcome = decide(a_site(POOL, root, a, b, outsider))
    assert len(outcome.asked("a")) == 2
    assert outcome.asked("c") == []


def test_what_is_above_a_lowered_maximum_is_asked_back_and_no_more() -> None:
    root = a_queue("root").over(a_queue("small").at_most(cores=3), a_queue("other"))
    a, b = (a_cluster(name).in_queue("small").wanting(8) for name in "ab")
    outsider = a_cluster("c").in_queue("other").wanting(2).holding(2)
    outcome = decide(a_site(POOL, root, a.holding(4), b.holding(2), outsider))
    assert sorted([len(outcome.asked("a")), len(outcome.asked("b"))]) in ([0, 3], [1, 2])
    assert outcome.asked("c") == []
    asked = [d for d in outcome.plan.decisions if isinstance(d, Reclaim)]
    assert {(each.rule, each.reason) for each in asked} == {("B", "Its queue has more than its maximum.")}
    assert {each.deadline for each in asked} == {NOW + 5.0}
    within = decide(a_site(POOL, root, a.holding(2), b.holding(1), outsider))
    assert within.asked("a") == within.asked("b") == []


def test_a_lowered_maximum_takes_no_floor_and_no_guarantee_in_use_and_makes_nobody_pay_for_who_is_not_heard() -> None:
    small = a_queue("small").at_most(cores=1)
    ana = a_cluster("ana").in_queue("small").wanting(2).between(2, 4).holding(2)
    assert decide(a_site(POOL, a_queue("root").over(small, a_queue("other")), ana)).asked("ana") == []
    parent = a_queue("p").at_most(cores=3).over(a_queue("x"), a_queue("y").guaranteeing(cores=2))
    x = a_cluster("x").in_queue("x").wanting(3).between(3, 3).holding(3)
    y = a_cluster("y").in_queue("y").wanting(2).holding(2)
    assert decide(a_site(POOL, a_queue("root").over(parent), x, y)).asked("y") == []
    lost = a_cluster("lost").in_queue("small").wanting(3).holding(3).but(frozen=True)
    here = a_cluster("here").in_queue("small").wanting(1).holding(1)
    assert decide(a_site(POOL, a_queue("root").over(small, a_queue("other")), lost, here)).asked("here") == []


def test_a_queue_borrows_what_its_sisters_leave_idle() -> None:
    root = a_queue("root").over(a_queue("x").guaranteeing(cores=4), a_queue("y").guaranteeing(cores=4))
    assert decide(a_site(POOL, root, a_cluster("a").in_queue("x").wanting(8))).granted("a") == 8


def test_a_queue_that_does_not_borrow_keeps_to_its_guarantee() -> None:
    root = a_queue("root").over(a_queue("x").guaranteeing(cores=4).that_does_not_borrow(), a_queue("y"))
    assert decide(a_site(POOL, root, a_cluster("a").in_queue("x").wanting(8))).granted("a") == 4


def test_a_guarantee_comes_before_weights_and_turns() -> None:
    root = a_queue("root").over(a_queue("safe").guaranteeing(cores=6), a_queue("open").weighing(100))
    safe = a_cluster("safe").in_queue("safe").wanting(8)
    others = [a_cluster(f"n{n}").in_queue("open").wanting(2) for n in range(8)]
    outcome = decide(a_site(POOL, root, safe, *others))
    assert outcome.granted("safe") == 6
    assert sum(outcome.granted(f"n{n}") for n in range(8)) == 2


def test_what_the_first_in_line_cannot_use_goes_to_the_next() -> None:
    large = a_cluster("large").with_executors_of(cores=3, memory="1G").wanting(9)
    small = a_cluster("small").with_executors_of(cores=1, memory="1G").wanting(2)
    outcome = decide(a_site(POOL, large, small))
    assert (outcome.granted("large"), outcome.granted("small")) == (2, 2)


def test_a_cluster_whose_queue_is_gone_keeps_what_it_has() -> None:
    lost = a_cluster("lost").in_queue("renamed").wanting(8).holding(2)
    outcome = decide(a_site(POOL, a_queue("root").over(a_queue("class")), lost))
    assert outcome.moves() == []
    assert "no queue 'renamed'" in outcome.refusal("lost").reason


def test_executors_in_a_pool_that_is_no_longer_configured_are_left_alone() -> None:
    outcome = decide(a_site(POOL, a_cluster("a").wanting(3).holding(2, pool="old")))
    assert outcome.asked("a") == []
    assert outcome.granted("a") == 1


def test_an_executor_larger_than_any_node_never_starts() -> None:
    big = a_cluster("big").with_executors_of(cores=9, memory="1G").wanting(1)
    refusal = decide(a_site(POOL, big)).refusal("big")
    assert refusal.rule == "A"
    assert "larger than pool main can start" in refusal.reason
    assert refusal.cheapest.startswith("With executors of")
