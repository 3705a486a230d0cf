"""F, G and H: all of a gang or nothing, what it leaves to others, and nobody starves."""

from __future__ import annotations

import msgspec
from emberhub_service.alloc.model import Rules, User

from .builders import NOW, a_cluster, a_pool, a_queue, a_site, decide
from .world import START, World

RULES = Rules(
    rotation_quantum=20.0,
    min_hold=5.0,
    idle_after=10.0,
    reclaim_notice=2.0,
    executor_start=START,
    starvation_after=30.0,
)


def test_a_gang_has_all_of_itself_or_nothing() -> None:
    gang = a_cluster("gang").wanting(1).in_gangs_of(4)
    assert decide(a_site(a_pool(cores=4, memory="8G"), gang)).granted("gang") == 4
    outcome = decide(a_site(a_pool(cores=3, memory="8G"), gang))
    assert outcome.granted("gang") == 0
    assert outcome.refusal("gang").rule == "F"
    assert outcome.refusal("gang").cheapest == "With 3 at once instead of 4 it would start now."


def test_what_a_gang_wants_beyond_itself_waits_for_the_gang() -> None:
    gang = a_cluster("gang").wanting(5).in_gangs_of(4)
    holder = a_cluster("holder").wanting(1).holding(3)
    outcome = decide(a_site(a_pool(cores=6, memory="9G"), holder, gang))
    assert outcome.plan.fair == {"gang": 5, "holder": 1}
    assert outcome.granted("gang") == 0


def test_a_gang_may_span_pools() -> None:
    gang = a_cluster("gang").wanting(4).in_gangs_of(4)
    outcome = decide(a_site(a_pool("p", cores=3, memory="8G"), a_pool("q", cores=2, memory="8G"), gang))
    assert (outcome.granted("gang", "p"), outcome.granted("gang", "q")) == (3, 1)


def test_a_gang_larger_than_its_clusters_maximum_says_so() -> None:
    refusal = decide(
        a_site(a_pool(cores=9, memory="9G"), a_cluster("g").wanting(2).in_gangs_of(6).between(0, 4))
    ).refusal("g")
    assert refusal.rule == "F"
    assert "raise its maximum to 6" in refusal.reason


def test_a_gang_that_cannot_fit_blocks_nobody() -> None:
    gang = a_cluster("a-gang").wanting(9).in_gangs_of(9).waiting_for(500)
    outcome = decide(a_site(a_pool(cores=4, memory="8G"), gang, a_cluster("single").wanting(4)))
    assert outcome.granted("single") == 4


def test_what_is_set_free_for_a_gang_is_not_taken_by_smaller_requests() -> None:
    gang = a_cluster("gang").wanting(4).in_gangs_of(4)
    holder = a_cluster("holder").wanting(3).holding(3).asked_back("holder-0", "holder-1", deadline=NOW + 4)
    late = a_cluster("late").of("holder").wanting(5)
    outcome = decide(a_site(a_pool(cores=5, memory="9G"), holder, gang, late))
    assert outcome.refusal("gang").rule == "F"
    assert outcome.refusal("gang").estimate is not None
    assert outcome.refusal("late").rule == "G"
    assert outcome.granted("late") == 0


def test_what_fits_is_not_blocked_by_a_gang_that_it_does_not_hold_up() -> None:
    """Two are free, the gang needs four: one more is asked back by the same time, so that the single may start now."""
    holder = a_cluster("holder").wanting(9).holding(4)
    gang = a_cluster("gang").wanting(4).in_gangs_of(4)
    history = [User("holder", recent=900.0), User("gang", waiting_since=NOW - 20), User("one", waiting_since=NOW - 10)]
    outcome = decide(a_site(a_pool(cores=6, memory="9G"), holder, gang, *history, a_cluster("one").wanting(1)))
    assert outcome.granted("one") == 1
    assert len(outcome.asked("holder")) == 3
    assert outcome.refusal("gang").estimate == 5.0 + 5.0


def test_a_short_job_fills_in_before_a_gang_whose_date_is_far() -> None:
    """The gang's executors are free in a minute; a job of ten seconds is gone by then."""
    gang = a_cluster("gang").wanting(4).in_gangs_of(4)
    holder = a_cluster("holder").wanting(3).holding(3).asked_back("holder-0", "holder-1", deadline=NOW + 60)
    short = a_cluster("short").of("holder").wanting(2).but(gang_seconds=10.0)
    long = short.but(id="short", gang_seconds=None)
    site = [a_pool(cores=5, memory="9G"), holder, gang]
    assert decide(a_site(*site, short)).granted("short") == 2
    rules = Rules(min_hold=300.0)
    assert decide(a_site(*site, short, rules=rules)).granted("short") == 2
    patient = msgspec.structs.replace(a_site(*site, long), rules=Rules(min_hold=90.0))
    assert decide(patient).granted("short") == 0


def test_a_gang_among_singles_is_served_within_the_bound() -> None:
    singles = [a_cluster(f"s{n}").wanting(2) for n in range(6)]
    site = a_site(a_pool(cores=8, memory="8G"), *singles, now=0.0, rules=RULES)
    world = World(site)
    world.live_on(30)
    world.add(a_cluster("gang").wanting(6).in_gangs_of(6).cluster)
    waited = 0
    while world.running("gang") < 6:
        world.live_on(1)
        waited += 1
        assert waited < 60, "the gang starves"
    assert world.running("gang") == 6


def test_a_large_executor_is_not_starved_by_small_ones() -> None:
    small = [a_cluster(f"s{n}").wanting(4) for n in range(4)]
    world = World(a_site(a_pool(cores=4, memory="8G"), *small, now=0.0, rules=RULES))
    world.live_on(30)
    world.add(a_cluster("large").with_executors_of(cores=4, memory="4G").wanting(1).cluster)
    waited = 0
    while not world.running("large"):
        world.live_on(1)
        waited += 1
        bound = 20 + 2 + 3 + RULES.min_hold + RULES.reclaim_notice + RULES.executor_start + 6
        assert waited <= bound, "the large executor starves"


def test_a_starved_cluster_comes_before_others_who_are_due() -> None:
    starved = a_cluster("z-starved").with_executors_of(cores=2, memory="2G").wanting(2).holding(1).starved_for(100)
    other = a_cluster("a-other").with_executors_of(cores=2, memory="2G").wanting(2).holding(1)
    site = a_site(a_pool(cores=8, memory="8G"), starved, other, a_cluster("done").holding(2, since=NOW - 1))
    outcome = decide(site)
    assert outcome.granted("z-starved") == 1
    assert outcome.granted("a-other") == 0
    assert outcome.refusal("a-other").rule == "I"


def test_room_is_kept_for_a_starved_cluster_that_nothing_can_be_taken_for() -> None:
    """Its share is there on paper, in a pool that others of fair share fill: what comes free in its reach is kept."""
    starved = a_cluster("starved").with_executors_of(cores=2, memory="1G").wanting(1).starved_for(100)
    guaranteed = a_queue("root").over(a_queue("safe").guaranteeing(cores=3), a_queue("open"))
    safe = a_cluster("safe").in_queue("safe").wanting(3).holding(3)
    frozen = a_cluster("stuck").in_queue("open").holding(0)
    late = a_cluster("late").in_queue("open").wanting(1)
    outcome = decide(
        a_site(a_pool(cores=4, memory="8G"), guaranteed, starved.in_queue("open"), safe, frozen, late, User("late"))
    )
    assert outcome.asked("safe") == []
    assert outcome.granted("late") == 1 or outcome.refusal("late").rule in {"G", "D"}
