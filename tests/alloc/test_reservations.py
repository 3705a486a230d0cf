"""M: reservations are guarantees in their window, borrowers leave before it, and what cannot be kept is not booked."""

from __future__ import annotations

import pytest
from emberhub_service.alloc import admit
from emberhub_service.alloc.model import Reservation, Resources, Snapshot

from .builders import NOW, a_cluster, a_pool, a_queue, a_site, decide

ROOT = a_queue("root").over(a_queue("workshop"), a_queue("open"))
POOL = a_pool(cores=8, memory="16G")


def booked(start: float, cores: int = 6, **more: object) -> Reservation:
    return Reservation("r", "workshop", Resources.of(cores=cores), NOW + start, NOW + start + 600, **more)  # type: ignore[arg-type]


def a_day(reservation: Reservation, *parts: object) -> Snapshot:
    return a_site(POOL, ROOT, reservation, *parts)


BORROWER = a_cluster("borrower").in_queue("open").wanting(8)


def test_before_its_lead_a_reservation_changes_nothing() -> None:
    assert decide(a_day(booked(start=61), BORROWER.holding(8))).moves() == []


def test_within_the_lead_borrowers_are_asked_to_leave() -> None:
    outcome = decide(a_day(booked(start=59), BORROWER.holding(8)))
    assert len(outcome.asked("borrower")) == 6
    assert {reclaim.rule for reclaim in outcome.reclaims()} == {"M"}
    assert outcome.refusal("borrower").rule == "M"


def test_within_the_lead_nobody_else_is_granted_what_is_kept() -> None:
    outcome = decide(a_day(booked(start=30), BORROWER))
    assert outcome.granted("borrower") == 2
    assert outcome.refusal("borrower").rule == "M"


def test_within_the_lead_the_queue_itself_may_begin() -> None:
    early = a_cluster("early").in_queue("workshop").wanting(3)
    outcome = decide(a_day(booked(start=30), BORROWER, early))
    assert (outcome.granted("early"), outcome.granted("borrower")) == (3, 2)


def test_in_its_window_it_is_a_guarantee() -> None:
    users = [a_cluster(f"w{n}").in_queue("workshop").wanting(3) for n in range(2)]
    outcome = decide(a_day(booked(start=-1), BORROWER.holding(8), *users))
    assert len(outcome.asked("borrower")) == 6


def test_in_its_window_it_can_be_borrowed_while_nobody_of_the_queue_asks() -> None:
    assert decide(a_day(booked(start=-1), BORROWER)).granted("borrower") == 8


def test_after_its_end_it_means_nothing() -> None:
    assert decide(a_day(booked(start=-601), BORROWER.holding(8))).moves() == []


def test_a_reservation_in_one_pool_keeps_that_pool_free() -> None:
    site = a_site(
        a_pool("p", cores=4, memory="9G"), a_pool("q", cores=4, memory="9G"), ROOT, BORROWER, booked(30, 4, pool="q")
    )
    outcome = decide(site)
    assert (outcome.granted("borrower", "p"), outcome.granted("borrower", "q")) == (4, 0)


def test_a_booking_that_can_be_kept_is_admitted() -> None:
    assert admit(a_site(POOL, ROOT), booked(start=100, cores=8)) is None


@pytest.mark.parametrize(
    ("reservation", "resource", "says"),
    [
        (booked(start=100, cores=9), "millicores", "all pools together can keep 8 cores"),
        (Reservation("r", "nobody", Resources.of(cores=1), NOW, NOW + 9), "", "no queue 'nobody'"),
        (Reservation("r", "open", Resources.of(cores=1), NOW + 9, NOW + 9), "", "empty or over"),
        (Reservation("r", "open", Resources.of(cores=1), NOW - 9, NOW - 1), "", "empty or over"),
        (Reservation("r", "open", Resources(), NOW + 100, NOW + 900), "", "asks for nothing"),
        (booked(start=100, pool="none"), "", "no pool 'none'"),
        (booked(start=100, cores=1, pool="main"), "", None),
    ],
)
def test_a_booking_that_cannot_be_kept_is_refused_with_a_reason(
    reservation: Reservation, resource: str, says: str | None
) -> None:
    refusal = admit(a_site(POOL, ROOT), reservation)
    if says is None:
        assert refusal is None
        return
    assert refusal is not None
    assert refusal.resource == resource
    assert says in refusal.reason
    assert refusal.cheapest


def test_a_booking_beside_another_is_refused_where_both_do_not_fit() -> None:
    other = Reservation("other", "open", Resources.of(cores=5), NOW + 300, NOW + 400)
    refusal = admit(a_site(POOL, ROOT, other), booked(start=100, cores=4))
    assert refusal is not None
    assert refusal.cheapest == "Book at most 3 cores, or another time."
    later = Reservation("other", "open", Resources.of(cores=5), NOW + 800, NOW + 900)
    assert admit(a_site(POOL, ROOT, later), booked(start=100, cores=4)) is None


def test_a_booking_beside_the_guarantees_of_others() -> None:
    root = a_queue("root").over(a_queue("workshop"), a_queue("safe").guaranteeing(cores=6))
    refusal = admit(a_site(POOL, root), booked(start=100, cores=4))
    assert refusal is not None
    assert "can keep 2 cores" in refusal.reason


def test_a_booking_above_its_queues_maximum() -> None:
    root = a_queue("root").over(a_queue("workshop").at_most(cores=3), a_queue("open"))
    refusal = admit(a_site(POOL, root), booked(start=100, cores=4))
    assert refusal is not None
    assert (refusal.rule, refusal.cheapest) == ("B", "Book at most 3 cores.")


def test_a_booking_too_soon_for_borrowers_to_leave() -> None:
    refusal = admit(a_site(POOL, ROOT, BORROWER.holding(6)), booked(start=20, cores=4))
    assert refusal is not None
    assert refusal.cheapest == "Let it start 40 seconds later."
    assert admit(a_site(POOL, ROOT, BORROWER.holding(4)), booked(start=20, cores=4)) is None
    assert admit(a_site(POOL, ROOT, BORROWER.holding(6)), booked(start=61, cores=4)) is None
