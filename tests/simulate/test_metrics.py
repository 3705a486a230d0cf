"""Numbers, from outcomes small enough to be worked out by hand."""

from __future__ import annotations

import pytest
from emberhub_service.simulate import measure, simulate
from emberhub_service.simulate.metrics import jain


def test_jains_index_is_one_for_equals_and_one_nth_for_a_single_winner():
    assert jain([2.0, 2.0, 2.0]) == pytest.approx(1)
    assert jain([1.0, 0.0, 0.0, 0.0]) == pytest.approx(0.25)
    assert jain([]) is None


def test_a_whole_run_by_hand(tiny):
    work = "cells: [{stages: [{tasks: 4, lasts: 10s}]}, {think: 9s, stages: [{tasks: 1, lasts: 5s}]}]"
    numbers = measure(simulate(tiny(2, f"name: a, {work}", f"name: b, arrives: 1s, {work}"), "fifo"))
    # a: two executors at 0, up at 1, first cell until 21; thinks until 30; second cell 30 to 35.
    # b: asks at 1, has two at 35, up at 36, first cell until 56; thinks until 65; 65 to 70.
    a, b = numbers.users
    assert (a.first_executor, a.first_result, a.time) == (1.0, 21.0, 26.0)
    assert (b.first_executor, b.first_result, b.time) == (35.0, 55.0, 60.0)
    assert (a.slowdown, b.slowdown) == (26 / 25, 60 / 25)
    assert numbers.slowest_to_fastest == pytest.approx(60 / 26)
    assert numbers.jain == pytest.approx((25 / 26 + 25 / 60) ** 2 / (2 * ((25 / 26) ** 2 + (25 / 60) ** 2)))
    assert (numbers.makespan, numbers.longest_wait) == (70.0, 35.0)
    assert numbers.pool == pytest.approx(90 / 140)
    assert numbers.busy == pytest.approx(90 / 140)
    assert (a.executor_seconds, b.executor_seconds) == (70.0, 70.0)
    assert numbers.bound is None


def test_the_bound_comes_from_the_scenario_alone(tiny):
    rules = "rules: {rotation_quantum: 12s, reclaim_notice: 3s}\ncosts: {executor_start: 2s}"
    work = "cells: [{stages: [{lasts: 1s}]}]"
    numbers = measure(simulate(tiny(2, *(f"name: u{i}, {work}" for i in range(7)), more=rules), "ember"))
    # Five of seven can be left waiting for two executors: three rounds.
    assert numbers.bound == 12 * 3 + 3 + 2


def test_who_never_comes_to_it_has_no_numbers_and_is_counted(tiny):
    work = "cells: [{stages: [{lasts: 500s}]}]"
    numbers = measure(simulate(tiny(1, f"name: a, {work}", f"name: b, {work}", more="horizon: 100s"), "static"))
    assert numbers.unfinished == 2
    assert numbers.users[1].first_executor is None
    assert numbers.slowest_to_fastest is None
