"""The workshop on real Spark, as small as it can be."""

from __future__ import annotations

import asyncio

import pytest
from emberhub_service.bench import data, workshop
from emberhub_service.bench.metrics import Metrics
from emberhub_service.bench.notebooks import NOTEBOOKS
from emberhub_service.bench.plans import Plan

pytestmark = [pytest.mark.spark, pytest.mark.long, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Metrics]:
    root = tmp_path_factory.mktemp("workshop")
    stars = data.prepare(root / "stars", 1)
    policies, quick = ("ember", "spark-dynamic"), (0.0, 0.2)
    plans = [Plan(policy, "tuned", 2, 2, 0, root / policy, think=quick) for policy in policies]

    async def play() -> list[Metrics]:
        return [await workshop.play(plan, 1, stars, print) for plan in plans]

    return {each.policy: each for each in asyncio.run(play())}


def test_every_user_comes_through_with_the_same_results_under_each_policy(played: dict[str, Metrics]) -> None:
    users = [user for each in played.values() for user in each.each]
    assert [user.error for user in users] == [""] * 4
    assert len({user.results for user in users}) == 1
    assert len(users[0].results) == sum(map(len, NOTEBOOKS.values()))


def test_nothing_is_left_and_no_executor_is_used_twice(played: dict[str, Metrics]) -> None:
    for each in played.values():
        assert (each.executors_leaked, each.processes_leaked) == (0, 0)
        spans = [span for user in each.each for span in user.executors]
        for start, _ in spans:
            assert sum(since <= start < until for since, until in spans) <= each.executors


def test_times_and_shares_fit_together(played: dict[str, Metrics]) -> None:
    for each in played.values():
        assert each.memory > 0
        assert 0 < each.pool <= 1
        assert each.busy is not None
        assert 0 < each.busy <= 1
        for user in each.each:
            assert user.total is not None
            assert user.first_result is not None
            assert user.first_executor is not None
            assert user.first_result <= user.notebooks["set-up"] <= user.total <= each.makespan
            assert sum(user.notebooks.values()) <= user.total
            assert user.first_executor <= user.first_result
