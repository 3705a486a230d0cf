"""The workshop's numbers, out of what users and event logs told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from emberhub_service.bench import events
from emberhub_service.bench.metrics import measure, percentile

from tests.bench.builders import a_context, a_run, a_visit, an_application


def test_users_who_are_served_alike_have_a_jain_index_of_one() -> None:
    found = a_run("ember", [2.0, 2.0], [60.0, 60.0])
    assert found.slowest_to_fastest == 1.0
    assert found.jain == pytest.approx(1.0)


def test_fairness_is_told_of_whole_runs_and_of_set_ups_apart() -> None:
    found = a_run("spark-dynamic", [9.0, 99.0], [100.0, 200.0])
    assert found.slowest_to_fastest == 2.0
    assert found.setup_slowest_to_fastest == 10.0
    assert found.setup_jain is not None
    assert found.jain is not None
    assert found.setup_jain < found.jain < 1


def test_first_results_count_from_each_users_own_asking() -> None:
    visits = [a_visit("one", 4.0, 50.0), a_visit("two", 6.0, 80.0, asked=20.0)]
    found = measure(a_context(), visits, [])
    assert (found.first_result_median, found.first_result_worst) == (4.0, 6.0)
    assert [user.total for user in found.each] == [50.0, 60.0]
    assert found.makespan == 80.0


def test_a_notebook_takes_from_its_first_cell_to_its_last_and_the_first_from_the_asking() -> None:
    user = measure(a_context(), [a_visit("one", 4.0, 50.0)], []).each[0]
    assert user.notebooks == {"set-up": 5.0, "counts": 2.0}


def test_a_user_who_failed_is_counted_and_has_no_whole_run() -> None:
    found = a_run("ember", [2.0, 3.0], [60.0, None])
    assert found.failed == 1
    assert found.each[1].total is None
    assert found.each[1].error == "it broke"


def test_busy_is_the_share_of_executor_seconds_with_tasks_and_pool_that_of_the_whole_pool() -> None:
    own = an_application("one", [(10.0, 20.0), (10.0, 30.0)], [(9.0, 20.0)])
    found = measure(a_context(), [a_visit("one", 4.0, 50.0)], [own])
    assert found.busy == 0.5
    assert found.pool == pytest.approx(15 / (4 * 50))


def test_waits_are_the_times_with_jobs_and_no_executor() -> None:
    own = an_application("one", [(10.0, 20.0)], [(4.0, 15.0), (30.0, 32.0), (31.0, 40.0)])
    user = measure(a_context(), [a_visit("one", 4.0, 50.0)], [own]).each[0]
    assert user.waits == ((4.0, 10.0), (30.0, 40.0))
    assert user.first_executor == 6.0
    assert user.longest_wait == 10.0


def test_the_bound_of_rule_d_is_told_for_ember_alone() -> None:
    firsts, totals = [5.0] * 30, [60.0] * 30
    ember, other = a_run("ember", firsts, totals), a_run("spark-dynamic", firsts, totals)
    assert ember.bound == pytest.approx(7 * 30 + 5 + 2)
    assert other.bound is None
    assert a_run("ember", [5.0], [60.0]).bound == pytest.approx(2.0), "nobody has to wait for a turn"


@pytest.mark.parametrize(("percent", "value"), [(50, 5), (95, 10), (100, 10)])
def test_a_percentile_is_one_of_the_values(percent: int, value: int) -> None:
    assert percentile(range(1, 11), percent) == value
    assert percentile([], percent) is None


def a_log(path: Path, lines: list[dict[str, object]], ending: str = "") -> None:
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines) + ending)


EVENTS: list[dict[str, object]] = [
    {"Event": "SparkListenerExecutorAdded", "Timestamp": 11000, "Executor ID": "0"},
    {
        "Event": "SparkListenerJobStart",
        "Job ID": 0,
        "Submission Time": 10000,
        "Stage Infos": [{"Stage Name": 'session_id: "f088a014-57b2-4595-a394-de14db000000" x'}],
    },
    {
        "Event": "SparkListenerTaskEnd",
        "Task Info": {"Executor ID": "0", "Launch Time": 11000, "Finish Time": 13000},
    },
    {"Event": "SparkListenerJobEnd", "Job ID": 0, "Completion Time": 14000},
    {"Event": "SparkListenerExecutorRemoved", "Timestamp": 20000, "Executor ID": "0"},
    {"Event": "SparkListenerExecutorRemoved", "Timestamp": 21000, "Executor ID": "0"},
]


def test_an_event_log_tells_executors_tasks_jobs_and_sessions(tmp_path: Path) -> None:
    a_log(tmp_path / "app-1", EVENTS)
    (found,) = events.read(tmp_path, offset=-10.0)
    assert found.executors == {"0": (1.0, 10.0)}
    assert found.jobs == [(0.0, 4.0)]
    assert found.sessions == {"f088a014-57b2-4595-a394-de14db000000"}
    assert (found.busy(), found.held()) == (2.0, 9.0)
    assert found.waits() == [(0.0, 1.0)]


def test_what_a_killed_application_left_open_ends_with_its_log(tmp_path: Path) -> None:
    a_log(tmp_path / "app-1.inprogress", EVENTS[:3], '{"Event":"SparkListenerTaskEnd","Task In')
    (found,) = events.read(tmp_path, offset=0.0)
    assert found.executors == {"0": (11.0, 13.0)}
    assert found.jobs == [(10.0, 13.0)]


def test_spans_are_merged_and_subtracted() -> None:
    merged = events.merge([(5.0, 6.0), (1.0, 3.0), (2.0, 4.0)])
    assert merged == [(1.0, 4.0), (5.0, 6.0)]
    assert events.subtract(merged, [(0.0, 2.0), (3.0, 5.5)]) == [(2.0, 3.0), (5.5, 6.0)]
    assert events.subtract(merged, []) == merged
