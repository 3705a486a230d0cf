"""What is shown of a query, without a notebook."""

from __future__ import annotations

import re
from typing import Any

import pytest
from emberhub.notebook.query import Query, Stage, html, size, span, text, waits_for
from emberhub.wire import rest
from emberhub.wire.resources import Resources

from tests.support.fake_service import a_cluster


def a_query(*stages: Stage, running: int = 0, at: float = 2.0) -> Query:
    query = Query(began=0.0)
    query.progress(stages, running, at)
    return query


def ended(query: Query, outcome: Any, at: float = 12.0) -> str:
    query.ended, query.outcome = at, outcome
    return text(query, at + 100)


def test_a_query_that_has_just_begun_is_planned() -> None:
    assert text(Query(began=5.0), 6.0) == "Query: Spark plans it (1.0 s)."


def test_a_running_query_says_tasks_bytes_and_how_long_it_will_take() -> None:
    query = a_query(Stage(0, 40, 0), running=4, at=2.0)
    query.progress([Stage(0, 40, 10, bytes_read=5 << 20)], 4, 7.0)
    assert text(query, 12.0) == "Query: 10 of 40 tasks done, 4 running; 5 MiB read; 12 s, about 30 s left."


def test_nothing_is_estimated_before_a_twentieth_is_done() -> None:
    query = a_query(Stage(0, 100, 4), running=4)
    assert "left" not in text(query, 10.0)


def test_stages_that_run_stand_inside_the_bar() -> None:
    query = a_query(Stage(0, 8, 8, over=True), Stage(1, 8, 3), Stage(2, 8, 0), running=2)
    shown = html(query, 10.0)
    assert re.findall(r'aria-label="([^"]*)" value="(\d+)" max="(\d+)"', shown) == [
        ("Progress of the query", "11", "24"),
        ("Stage 1", "3", "8"),
        ("Stage 2", "0", "8"),
    ]


def test_a_stage_that_spark_skips_is_not_counted() -> None:
    query = a_query(Stage(0, 8, 8, over=True), Stage(1, 8, 0), Stage(2, 1, 1, over=True))
    assert (query.done, query.tasks) == (9, 9)
    assert ended(query, "done") == "Query done in 12 s: 9 tasks in 2 stages."


def test_a_query_without_a_task_has_a_bar_that_promises_nothing() -> None:
    assert "value=" not in html(a_query(Stage(0, 8, 0)), 10.0)


def test_a_query_that_is_done_is_one_line_with_what_was_read() -> None:
    query = a_query(Stage(0, 1, 1, bytes_read=17 << 20))
    query.rows_read, query.rows = 482_176, 20
    assert ended(query, "done") == "Query done in 12 s: 1 task in 1 stage; 482,176 rows and 17 MiB read; 20 rows here."
    assert "<progress" not in html(query, 20.0)


def test_a_query_that_needed_no_task_is_done_all_the_same() -> None:
    assert ended(Query(began=0.0), "done") == "Query done in 12 s."


def test_an_interrupted_query_says_how_far_it_was() -> None:
    assert ended(a_query(Stage(0, 40, 5)), "interrupted") == (
        "Query interrupted after 12 s: 5 of 40 tasks were done, the rest is cancelled."
    )


def test_a_query_that_failed_points_to_its_error() -> None:
    assert ended(a_query(), "failed") == "Query failed after 12 s. See the error below for the reason."


def test_what_stands_in_the_line_cannot_be_markup() -> None:
    query = Query(began=0.0, waits="<script>alert(1)</script>")
    assert "<script>" not in html(query, 3.0)
    assert "&lt;script&gt;" in html(query, 3.0)


def test_a_query_that_waits_says_its_place_in_line_and_why() -> None:
    unmet = rest.Unmet(
        executors=1,
        rule="D",
        resource="millicores",
        place=3,
        estimate=40.0,
        cheapest="With executors of 1 core it would start now.",
        reason="More users ask than there are executors: they take turns, and this one's comes.",
    )
    waits = waits_for(a_cluster(running=(), granted=0, unmet=unmet))
    query = Query(began=0.0, waits=waits)
    assert text(query, 6.0) == (
        "Query: waits for an executor (6.0 s). 1 more wanted, place 3 in line, the next in about 40 s. "
        "More users ask than there are executors: they take turns, and this one's comes. "
        "With executors of 1 core it would start now."
    )


def test_a_query_whose_executors_were_taken_keeps_what_it_has_done() -> None:
    query = a_query(Stage(0, 40, 5), running=2, at=3.0)
    assert query.quiet(9.0) == 0.0
    query.progress([Stage(0, 40, 6)], 0, 10.0)
    query.progress([Stage(0, 40, 6)], 0, 11.0)
    assert query.quiet(14.0) == 4.0
    query.waits = "An executor is on its way."
    assert text(query, 14.0) == ("Query: waits for an executor; 6 of 40 tasks done (14 s). An executor is on its way.")


def test_a_query_whose_executor_was_granted_knows_that_it_comes() -> None:
    assert waits_for(a_cluster(running=(), granted=1)) == "An executor is on its way."


def test_a_cluster_with_executors_keeps_no_query_waiting() -> None:
    assert waits_for(a_cluster()) == ""


def test_a_cluster_that_is_started_again_says_so() -> None:
    assert waits_for(a_cluster(running=(), granted=0, message="The driver is starting.")) == "The driver is starting."
    assert waits_for(a_cluster(running=(), granted=0)) == "The hub has been asked for one."


@pytest.mark.parametrize(
    ("number", "told"), [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1_500_000, "1.43 MiB"), (3 << 40, "3 TiB")]
)
def test_sizes_read_well(number: int, told: str) -> None:
    assert size(number) == told


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.04, "0.0 s"), (9.9, "9.9 s"), (60, "60 s"), (600, "10 min"), (9000, "2.5 h")]
)
def test_times_read_well(seconds: float, told: str) -> None:
    assert span(seconds) == told


def test_the_size_of_an_executor_reads_well() -> None:
    assert str(Resources.of(cores=1, memory="1G")) == "1 core, 1 GiB memory"
