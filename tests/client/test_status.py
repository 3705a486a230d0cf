"""What a cluster's status says, as text and as HTML."""

from __future__ import annotations

from emberhub import Status
from emberhub.wire import rest

from tests.support.fake_service import a_cluster

WAITING = rest.Unmet(
    executors=3,
    rule="D",
    resource="millicores",
    place=2,
    estimate=12.4,
    cheapest="with executors of 1 GB, two more would start now",
    reason="everyone has one executor before anyone has two",
)


def test_it_says_what_is_granted_and_what_is_wanted() -> None:
    status = Status(a_cluster(wanted=5))
    assert (status.state, status.granted, status.running, status.wanted) == ("running", 2, 2, 5)
    assert "2 granted (2 running), 5 wanted; asked for 0 to 4 of 1 core, 1 GiB memory each" in repr(status)


def test_an_unmet_wish_has_its_place_its_estimate_its_reason_and_the_cheapest_change() -> None:
    text = repr(Status(a_cluster(unmet=WAITING)))
    assert "3 more wanted, place 2 in line, the next in about 12 s." in text
    assert "Everyone has one executor before anyone has two." in text
    assert "With executors of 1 GB, two more would start now." in text


def test_an_executor_that_will_be_taken_counts_down() -> None:
    notice = rest.ReclaimNotice("3", 4.2, "bob has none")
    text = repr(Status(a_cluster(reclaims=(notice,))))
    assert "Executor 3 is taken back in 4 s: bob has none." in text


def test_a_content_cluster_says_so() -> None:
    assert Status(a_cluster()).why() == "It has all the executors that its work can use."


def test_html_says_the_same_and_escapes_what_people_wrote() -> None:
    html = Status(a_cluster(message="<script>alert(1)</script>", unmet=WAITING))._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "place 2 in line" in html
