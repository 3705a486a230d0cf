"""L: constraints over labels, and which pool an executor starts in."""

from __future__ import annotations

import pytest
from emberhub_service.alloc import ConstraintError, parse_constraint
from hypothesis import given
from hypothesis import strategies as st

from .builders import a_cluster, a_pool, a_site, decide

LABELS = {"site": "cam", "gpu": "a100", "kernel": "4.10", "nvme": "", "zone": "b 2", "preemptible": "false"}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("", True),
        ("site = cam", True),
        ("site == cam", True),
        ("site = edi", False),
        ("site != edi", True),
        ("site = CAM", True),
        ("missing != x", True),
        ("missing = x", False),
        ("missing < 3", False),
        ("nvme", True),
        ("!spot", True),
        ("spot", False),
        ("preemptible", False),
        ("gpu in [a100, h100]", True),
        ("gpu in [h100]", False),
        ("!gpu in [h100]", True),
        ("kernel > 4.9", True),
        ("kernel > 4.10", False),
        ("kernel >= 4.10", True),
        ("kernel < 4.10.1", True),
        ("kernel <= 5", True),
        ("kernel < 4.2", False),
        ('zone = "b 2"', True),
        ("site = edi | gpu = a100", True),
        ("site = edi & gpu = a100 | nvme", True),
        ("site = edi & (gpu = a100 | nvme)", False),
        ("!(site = edi | spot)", True),
        ("site = cam & gpu in [a100, h100] & kernel > 4.9 & !spot", True),
    ],
)
def test_an_expression_means_what_it_says(text: str, holds: bool) -> None:
    assert parse_constraint(text).holds(LABELS) is holds


@pytest.mark.parametrize(
    ("text", "why", "at"),
    [
        ("site =", "a value is missing: found the end", 6),
        ("site = cam &", "the name of a label is missing: found the end", 12),
        ("& site = cam", "the name of a label is missing: found &", 0),
        ("gpu in [a100", "']' is missing: found the end", 12),
        ("gpu in a100", "'[' is missing: found a100", 7),
        ("gpu in []", "a value is missing: found ]", 8),
        ("(site = cam", "')' is missing: found the end", 11),
        ("site = cam gpu", "'&' or '|' is missing before 'gpu'", 11),
        ("site ? cam", "'?' means nothing here", 5),
        ("site = cam & = 3", "the name of a label is missing: found =", 13),
        ("site = cam | ", "the name of a label is missing: found the end", 12),
    ],
)
def test_a_fault_gets_a_caret_under_it(text: str, why: str, at: int) -> None:
    with pytest.raises(ConstraintError) as error:
        parse_constraint(text)
    said, shown, caret = str(error.value).split("\n")
    assert (said, shown) == (why, f"  {text}")
    assert caret == "  " + " " * at + "^"


@given(st.text(alphabet='ab1 .=!<>&|()[],"?-in', max_size=30))
def test_any_text_is_read_or_refused_and_nothing_else(text: str) -> None:
    try:
        constraint = parse_constraint(text)
    except ConstraintError as error:
        assert 0 <= error.at <= len(text)
    else:
        assert constraint.holds(LABELS) in {True, False}


def test_an_expression_is_parsed_once() -> None:
    assert parse_constraint("site = cam & nvme") is parse_constraint("site = cam & nvme")


def pools() -> list[object]:
    return [
        a_pool("cpu", labels={"site": "cam"}, cores=4, memory="8G"),
        a_pool("gpu", labels={"site": "cam", "gpu": "a100"}, cores=4, memory="8G", gpus=2),
        a_pool("north", labels={"site": "edi"}, cores=4, memory="8G"),
    ]


def test_a_hard_constraint_filters_pools() -> None:
    outcome = decide(a_site(*pools(), a_cluster("a").wanting(9).but(needs="site = edi")))
    assert (outcome.granted("a", "north"), outcome.granted("a")) == (4, 4)


def test_the_name_of_a_pool_is_a_label_too() -> None:
    assert decide(a_site(*pools(), a_cluster("a").wanting(1).but(needs="pool = gpu"))).granted("a", "gpu") == 1


def test_a_preference_scores_and_does_not_forbid() -> None:
    outcome = decide(a_site(*pools(), a_cluster("a").wanting(5).but(prefers="site = edi")))
    assert (outcome.granted("a", "north"), outcome.granted("a", "cpu")) == (4, 1)


def test_executors_start_near_their_data() -> None:
    outcome = decide(a_site(*pools(), a_cluster("a").wanting(1).but(data=("edi", "cam"))))
    assert outcome.granted("a", "north") == 1


def test_pools_with_gpus_are_kept_for_those_who_need_them() -> None:
    outcome = decide(a_site(*pools(), a_cluster("a").wanting(8)))
    assert outcome.granted("a", "gpu") == 0


def test_a_pool_that_fails_executors_comes_last_and_one_that_fails_all_takes_none() -> None:
    from msgspec.structs import replace

    first, second = a_pool("a", cores=2, memory="2G"), a_pool("b", cores=2, memory="2G")
    cluster = a_cluster("c").wanting(3)
    outcome = decide(a_site(replace(first, health=0.5), second, cluster))
    assert (outcome.granted("c", "a"), outcome.granted("c", "b")) == (1, 2)
    assert decide(a_site(replace(first, health=0.0), second, cluster)).granted("c") == 2


def test_a_driver_is_given_executors_only_where_it_can_reach_them() -> None:
    outcome = decide(a_site(*pools(), a_cluster("a").wanting(9).but(pools=("cpu",))))
    assert (outcome.granted("a", "cpu"), outcome.granted("a")) == (4, 4)


def test_a_constraint_that_no_pool_satisfies_names_the_term_that_fails() -> None:
    refusal = decide(a_site(*pools(), a_cluster("a").wanting(1).but(needs="site = cam & gpu = h100"))).refusal("a")
    assert refusal.rule == "L"
    assert "pool gpu does not satisfy 'gpu = h100'" in refusal.reason
    assert "pool north does not satisfy 'site = cam'" in refusal.reason
    assert refusal.cheapest == "With a constraint and profile that allow pool cpu it would start now."


def test_a_constraint_that_cannot_be_read_is_refused_and_stops_nobody_else() -> None:
    outcome = decide(a_site(*pools(), a_cluster("a").wanting(1).but(needs="site ="), a_cluster("b").wanting(1)))
    assert outcome.granted("b") == 1
    assert "cannot be read: a value is missing" in outcome.refusal("a").reason
