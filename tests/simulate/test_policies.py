"""Each policy on cases small enough to be worked out by hand."""

from __future__ import annotations

import pytest
from emberhub_service.simulate import measure, simulate


def ends(outcome):
    return {app.session.user: app.ended for app in outcome.apps}


def first_waits(outcome):
    return {user.user: user.first_executor for user in measure(outcome).users}


def held_over_time(app):
    """(time, executors promised or there), where that changes."""
    changes = []
    for sample in app.samples:
        if not changes or changes[-1][1] != sample.held:
            changes.append((sample.time, sample.held))
    return changes


WORK = "cells: [{stages: [{tasks: 4, lasts: 10s}]}]"


def test_fifo_gives_the_first_all_that_it_asks_for_and_the_second_what_is_left_at_its_end(tiny):
    outcome = simulate(tiny(2, f"name: a, {WORK}", f"name: b, arrives: 1s, {WORK}"), "fifo")
    # a: up at 1, two rounds of 10 s. b is granted two at 21, up at 22, two rounds.
    assert ends(outcome) == {"a": 21.0, "b": 42.0}
    assert first_waits(outcome) == {"a": 1.0, "b": 21.0}


def test_fifo_takes_executors_back_that_have_been_idle_for_long_enough(tiny):
    thinks = "cells: [{stages: [{tasks: 4, lasts: 10s}]}, {think: 500s, stages: [{lasts: 10s}]}]"
    outcome = simulate(tiny(2, f"name: a, {thinks}", f"name: b, arrives: 1s, {WORK}", more="fifo_idle: 30s"), "fifo")
    # a's executors are idle from 21; decommissioned at 51, gone at 52; b's up at 53. a's last cell starts at 521.
    assert ends(outcome) == {"a": 532.0, "b": 73.0}


def test_static_divides_the_pool_by_the_users_and_leaves_the_rest_of_it_unused(tiny):
    outcome = simulate(tiny(4, f"name: a, {WORK}", f"name: b, arrives: 1s, {WORK}"), "static")
    assert ends(outcome) == {"a": 21.0, "b": 22.0}
    assert measure(outcome).pool == pytest.approx(80 / (4 * 22))
    assert max(sample.held for app in outcome.apps for sample in app.samples) == 2


def test_static_makes_who_comes_when_all_parts_are_taken_wait_for_the_end_of_a_session(tiny):
    outcome = simulate(tiny(2, *(f"name: {name}, arrives: {at}s, {WORK}" for at, name in enumerate("abc"))), "static")
    # One executor each: 1 + 40 s; c has a's from 41 on.
    assert ends(outcome) == {"a": 41.0, "b": 42.0, "c": 82.0}
    assert first_waits(outcome)["c"] == pytest.approx(40.0)


def test_spark_dynamic_grows_by_one_two_four_every_backlog_timeout(tiny):
    eight = "cells: [{stages: [{tasks: 8, lasts: 10s}]}]"
    outcome = simulate(tiny(8, f"name: a, {eight}"), "spark-dynamic")
    # Pending since 0: asks for 1 at 1, 3 at 2, 7 at 3, all 8 at 4, the last of which is up at 5.
    assert held_over_time(outcome.apps[0])[:5] == [(0.0, 0), (1.0, 1), (2.0, 3), (3.0, 7), (4.0, 8)]
    assert outcome.apps[0].ended == 15.0


def test_spark_dynamic_starts_with_its_initial_executors_and_gives_idle_ones_back_after_the_idle_time(tiny):
    session = "cells: [{stages: [{tasks: 1, lasts: 10s}]}, {think: 200s, stages: [{lasts: 10s}]}]"
    outcome = simulate(tiny(4, f"name: a, {session}", more="spark_dynamic: {initial: 2, idle: 60s}"), "spark-dynamic")
    # Two at 0, up at 1; the unused one goes back at 61 and is gone at 62, the other, idle from 11, is gone at 72. The
    # second cell is run at 211, asks for one at 212, has it at 213.
    assert held_over_time(outcome.apps[0]) == [(0.0, 2), (62.0, 1), (72.0, 0), (212.0, 1), (223.0, 0)]


def test_spark_dynamic_serves_applications_in_the_order_of_their_start(tiny):
    outcome = simulate(tiny(2, f"name: b, arrives: 1s, {WORK}", f"name: a, {WORK}"), "spark-dynamic")
    # a has one at 1 and would have another at 2, when b asks as well: a started first.
    waits = first_waits(outcome)
    assert waits["a"] == 2.0
    assert waits["b"] > 20.0


def test_ember_names_an_executor_first_and_takes_it_when_the_notice_is_over_and_its_task_has_ended(tiny):
    rules = "rules: {rotation_quantum: 30s, min_hold: 10s, reclaim_notice: 5s}"
    scenario = tiny(
        2,
        "name: a, cells: [{stages: [{tasks: 12, lasts: 10s}]}]",
        "name: b, arrives: 20s, cells: [{stages: [{tasks: 1, lasts: 10s}]}]",
        more=rules,
    )
    outcome = simulate(scenario, "ember")
    a, b = outcome.apps
    # a is granted both at 0.1, and its tasks end at 11.1, 21.1, 31.1. b asks at 20: one of a's is named at 20.1,
    # revoked at 25.1, done with its task at 31.1 and gone at 32.1. b is granted one at 32.2, which is up at 33.2.
    assert first_waits(outcome)["b"] == pytest.approx(13.2)
    assert b.ended == pytest.approx(43.2)
    assert a.decommissioned == 1
    assert a.again_seconds == a.wasted_seconds == 0.0


def test_ember_gives_everything_to_whoever_is_alone(tiny):
    outcome = simulate(tiny(4, "name: a, cells: [{stages: [{tasks: 8, lasts: 10s}]}]"), "ember")
    assert ends(outcome) == {"a": pytest.approx(21.1)}
