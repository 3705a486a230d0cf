"""C: hierarchical dominant-resource fairness, with the numbers of the papers."""

from __future__ import annotations

import pytest
from emberhub_service.alloc import jobs, plan
from emberhub_service.alloc.fairness import Node
from emberhub_service.commands.bench import contended

from .builders import NOW, a_cluster, a_pool, a_queue, a_site, decide


def test_the_drf_papers_example_gives_three_and_two_tasks() -> None:
    a = a_cluster("a").with_executors_of(cores=1, memory="4G").wanting(99)
    b = a_cluster("b").with_executors_of(cores=3, memory="1G").wanting(99)
    outcome = decide(a_site(a_pool(cores=9, memory="18G"), a, b))
    assert (outcome.granted("a"), outcome.granted("b")) == (3, 2)


def test_a_weight_of_two_gives_twice_as_much() -> None:
    root = a_queue("root").over(a_queue("x").weighing(2), a_queue("y"))
    x, y = (a_cluster(name).in_queue(name).wanting(99) for name in "xy")
    outcome = decide(a_site(a_pool(cores=9, memory="90G"), root, x, y))
    assert (outcome.granted("x"), outcome.granted("y")) == (6, 3)


def test_hdrf_starvation_example_does_not_starve() -> None:
    """Ten CPUs and ten GPUs. The second department's GPU user has all GPUs already, so that its sum is everything."""
    root = a_queue("root").over(a_queue("one"), a_queue("two"))
    n1 = a_cluster("n1").in_queue("one").with_executors_of(cores=1).wanting(10).holding(10)
    n21 = a_cluster("n21").in_queue("two").with_executors_of(cores=1).wanting(10)
    n22 = a_cluster("n22").in_queue("two").with_executors_of(gpus=1).wanting(10).holding(10)
    outcome = decide(a_site(a_pool(cores=10, gpus=10), root, n1, n21, n22))
    assert outcome.plan.fair == {"n1": 5, "n21": 5, "n22": 10}
    assert len(outcome.asked("n1")) == 5
    assert outcome.refusal("n21").rule == "I"


def test_hdrf_counts_a_child_above_its_sisters_as_at_their_level() -> None:
    """The GPU user's ten are a floor, dealt first: the sum would leave the sister no CPU beyond everyone's first."""
    root = a_queue("root").over(a_queue("one"), a_queue("two"))
    n1 = a_cluster("n1").in_queue("one").with_executors_of(cores=1).wanting(10)
    n21 = a_cluster("n21").in_queue("two").with_executors_of(cores=1).wanting(10)
    n22 = a_cluster("n22").in_queue("two").with_executors_of(gpus=1).between(10, 10)
    assert decide(a_site(a_pool(cores=10, gpus=10), root, n1, n21, n22)).plan.fair == {"n1": 5, "n21": 5, "n22": 10}


def test_hdrf_ignores_a_blocked_child() -> None:
    """The blocked child wants no more: its sister's level alone counts, or the department would look poor for ever."""
    root = a_queue("root").over(a_queue("one"), a_queue("two"))
    small = a_cluster("small").in_queue("two").wanting(1)
    big = a_cluster("big").in_queue("two").wanting(99)
    other = a_cluster("other").in_queue("one").wanting(99)
    outcome = decide(a_site(a_pool(cores=20, memory="200G"), root, small, big, other))
    assert outcome.plan.fair == {"small": 1, "big": 9, "other": 10}


def test_a_department_of_many_users_has_no_more_than_one_of_a_single_user() -> None:
    root = a_queue("root").over(a_queue("many"), a_queue("one"))
    many = [a_cluster(f"m{n}").in_queue("many").wanting(9) for n in range(4)]
    outcome = decide(
        a_site(a_pool(cores=16, memory="160G"), root, *many, a_cluster("solo").in_queue("one").wanting(99))
    )
    assert outcome.granted("solo") == 8
    assert [outcome.granted(f"m{n}") for n in range(4)] == [2, 2, 2, 2]


def test_users_share_first_and_then_their_clusters() -> None:
    root = a_queue("root").by("user-fair")
    mine = [a_cluster(f"ana{n}").of("ana").wanting(9) for n in range(3)]
    outcome = decide(a_site(a_pool(cores=12, memory="120G"), root, *mine, a_cluster("ben").wanting(99)))
    assert outcome.granted("ben") == 6
    assert [outcome.granted(f"ana{n}") for n in range(3)] == [2, 2, 2]


def test_fair_shares_by_cluster_whoever_owns_them() -> None:
    mine = [a_cluster(f"ana{n}").of("ana").wanting(9) for n in range(3)]
    outcome = decide(
        a_site(a_pool(cores=12, memory="99G"), a_queue("root").by("fair"), *mine, a_cluster("ben").wanting(9))
    )
    assert outcome.granted("ben") == 3


def test_fifo_serves_by_priority_and_then_by_time() -> None:
    late = a_cluster("late").wanting(3).waiting_for(5)
    early = a_cluster("early").wanting(3).waiting_for(50)
    first = a_cluster("first").wanting(2).waiting_for(1).but(priority=1)
    outcome = decide(a_site(a_pool(cores=6, memory="60G"), a_queue("root").by("fifo"), late, early, first))
    assert [outcome.granted(name) for name in ("first", "early", "late")] == [2, 3, 1]


def test_priority_decides_between_equals_only() -> None:
    plain, urgent = a_cluster("plain").wanting(9), a_cluster("urgent").wanting(9).but(priority=5)
    outcome = decide(a_site(a_pool(cores=5, memory="50G"), plain, urgent))
    assert (outcome.granted("urgent"), outcome.granted("plain")) == (3, 2)


def test_an_odd_executor_stays_where_it_is() -> None:
    holder = a_cluster("z").wanting(9).holding(4)
    other = a_cluster("a").wanting(9).holding(3).waiting_for(NOW)
    assert decide(a_site(a_pool(cores=7, memory="70G"), holder, other)).moves() == []


@pytest.mark.parametrize("upheaval", [False, True])
def test_the_common_step_as_written_out_gives_what_the_general_one_gives(
    upheaval: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = contended(200, upheaval=upheaval)
    quick = plan(site)
    hang = getattr(jobs, "_hang")  # noqa: B009 - where it is decided which step a cluster takes

    def slow(work: jobs.Field, leaves: dict[str, tuple[Node, tuple[int, ...]]]) -> None:
        hang(work, leaves)
        assert any(job.direct and job.plain for job in work.jobs)
        for job in work.jobs:
            job.direct = job.plain = False

    monkeypatch.setattr(jobs, "_hang", slow)
    assert plan(site) == quick
