"""E: memory across time, as in Karma."""

from __future__ import annotations

import pytest
from emberhub_service.alloc import advance
from emberhub_service.alloc.model import Rules, Snapshot, User

from .builders import NOW, a_cluster, a_pool, a_site, decide
from .world import World

RULES = Rules(rotation_quantum=10.0, min_hold=2.0, idle_after=2.0, reclaim_notice=1.0, executor_start=1.0)
PLAIN = Rules(10.0, 2.0, 2.0, 1.0, credit_half_life=0.0, executor_start=1.0)


def totals(rules: Rules, periods: int = 18, length: int = 60) -> tuple[float, float]:
    """One asks for everything all the time, the other in two periods of three; what each had after the first six."""
    site = a_site(
        a_pool(cores=8, memory="8G"), a_cluster("steady").wanting(8), a_cluster("bursty"), now=0.0, rules=rules
    )
    world = World(site, checked=False)
    had = {"steady": 0.0, "bursty": 0.0}
    for period in range(periods):
        world.want("bursty", 8 * (period % 3 > 0))
        for _ in range(length):
            world.step()
            world.wait(1.0)
            for name in had:
                had[name] += world.running(name) if period >= 6 else 0
    return had["steady"], had["bursty"]


def test_alternating_demand_has_equal_totals_where_plain_max_min_has_not() -> None:
    """Plain max-min gives 16 to 8 executor-periods in three; credits give 12 each, less the cost of handing over."""
    steady, bursty = totals(PLAIN)
    assert steady / bursty > 1.9
    steady, bursty = totals(RULES)
    assert steady / bursty == pytest.approx(1.0, abs=0.1)


def a_pair(lender: float, borrower: float) -> Snapshot:
    return a_site(
        a_pool(cores=8, memory="8G"),
        a_cluster("lender").wanting(8),
        a_cluster("borrower").wanting(8),
        User("lender", credit=lender),
        User("borrower", credit=borrower),
    )


def test_who_lent_is_served_first() -> None:
    assert decide(a_pair(180.0, -180.0)).plan.fair == {"lender": 6, "borrower": 2}


def test_credit_never_takes_anybodys_only_executor() -> None:
    assert decide(a_pair(1e6, -1e6)).plan.fair == {"lender": 7, "borrower": 1}


def test_less_than_an_executors_worth_of_credit_changes_nothing() -> None:
    assert decide(a_pair(89.0, -89.0)).plan.fair == {"lender": 4, "borrower": 4}


def test_credits_sum_to_nothing_and_fade() -> None:
    site = a_site(a_pool(cores=8, memory="8G"), a_cluster("a").holding(6), a_cluster("b").holding(2), a_cluster("c"))
    users = {user.name: user for user in advance((), site, NOW + 600)}
    assert sum(user.credit for user in users.values()) == pytest.approx(0.0)
    assert users["a"].credit < 0 < users["b"].credit < users["c"].credit
    assert users["a"].recent == pytest.approx(3 * users["b"].recent)
    empty = a_site(a_pool(cores=8, memory="8G"))
    faded = {user.name: user for user in advance(users.values(), empty, NOW + 600)}
    assert faded["a"].credit == pytest.approx(users["a"].credit / 2)


def test_two_short_spans_are_remembered_as_one_long_one() -> None:
    site = a_site(a_pool(cores=8, memory="8G"), a_cluster("a").holding(6), a_cluster("b").holding(1))
    at_once = advance((), site, NOW + 40)
    half = advance((), site, NOW + 15)
    later = a_site(a_pool(cores=8, memory="8G"), a_cluster("a").holding(6), a_cluster("b").holding(1), now=NOW + 15)
    for one, two in zip(at_once, advance(half, later, NOW + 40), strict=True):
        assert one.credit == pytest.approx(two.credit)
        assert one.recent == pytest.approx(two.recent)


def test_no_credit_is_earned_while_nobody_works() -> None:
    site = a_site(a_pool(cores=8, memory="8G"), a_cluster("a"), a_cluster("b"))
    assert {user.credit for user in advance((), site, NOW + 600)} == {0.0}


def test_a_larger_executor_counts_for_more() -> None:
    large = a_cluster("large").with_executors_of(cores=3, memory="3G").holding(1)
    site = a_site(a_pool(cores=8, memory="8G"), large, a_cluster("small").holding(1))
    large_user, small_user = advance((), site, NOW + 10)
    assert large_user.recent == pytest.approx(3 * small_user.recent)


def test_asking_for_more_than_one_needs_does_not_pay() -> None:
    """A user who holds idle executors borrows them: asked for honestly, the same work is served sooner later."""
    rules = Rules(rotation_quantum=10.0, min_hold=2.0, idle_after=2.0, reclaim_notice=1.0, executor_start=1.0)

    def worked(claimed: int) -> float:
        site = a_site(
            a_pool(cores=6, memory="6G"), a_cluster("me"), a_cluster("other").wanting(6), now=0.0, rules=rules
        )
        world = World(site, checked=False)
        useful = 0.0
        for second in range(600):
            needs = 5 if second // 60 % 2 else 2  # what my work can use; the rest of what I hold does nothing
            world.want("me", max(claimed, needs))
            world.step()
            world.wait(1.0)
            useful += min(needs, world.running("me"))
        return useful

    assert worked(claimed=6) <= worked(claimed=0) * 1.02
