"""What holds in every simulation, whatever the scenario and the policy."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from emberhub_service.simulate import POLICIES, load, measure, simulate
from emberhub_service.simulate.report import as_json

SCENARIOS = Path(__file__).parents[2] / "examples" / "scenarios"
SHIPPED = sorted(path.stem for path in SCENARIOS.glob("*.yaml"))


def assert_conserved(outcome):
    capacity = [sum(amounts) for amounts in zip(*(p.capacity.amounts() for p in outcome.scenario.pools), strict=True)]
    shapes = [app.session.executor.amounts() for app in outcome.apps]
    events = sorted((s.time, number, s.held) for number, app in enumerate(outcome.apps) for s in app.samples)
    held = [0] * len(outcome.apps)
    for (time, number, count), following in zip(events, [*events[1:], None], strict=True):
        held[number] = count
        if following is None or following[0] > time:
            for kind, whole in enumerate(capacity):
                assert sum(n * shape[kind] for n, shape in zip(held, shapes, strict=True)) <= whole, f"at {time}"
    for app in outcome.apps:
        assert app.ended is not None, f"{app.id} never ended"
        assert app.done_seconds == pytest.approx(app.session.asked)
        assert not app.executors
        assert sum(sample.busy for sample in app.samples[-1:]) == 0


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_scenario_never_exceeds_its_pool_and_does_all_its_work(played, name, policy):
    assert_conserved(played(name, policy))


def a_random_scenario(tiny, seed):
    chance = random.Random(seed)
    cores = chance.randint(1, 6)
    users = []
    for number in range(chance.randint(1, 7)):
        stages = []
        for _ in range(chance.randint(1, 3)):
            lasts = f"[1s, {chance.randint(1, 20)}s]"
            if chance.random() < 0.2:
                stages.append(f"{{gang: {chance.randint(1, cores)}, lasts: {lasts}}}")
            else:
                cached = chance.choice(["0", "10M", "500M"])
                stages.append(f"{{tasks: {chance.randint(1, 12)}, lasts: {lasts}, cached: {cached}}}")
        cells = f"{{repeat: {chance.randint(1, 3)}, think: [0s, 40s], stages: [{', '.join(stages)}]}}"
        asks = chance.choice([1, 1, 3])
        users.append(f"name: u{number}, arrives: [0s, 60s], asks: {asks}, cells: [{cells}]")
    limit = chance.choice(["", ", drain_limit: 3s"])
    return tiny(cores, *users, more=f"costs: {{executor_start: {chance.choice([0, 1, 4])}s{limit}}}\nhorizon: 3h")


@pytest.mark.parametrize("seed", range(20))
def test_under_ember_any_small_scenario_never_exceeds_its_pool_and_does_all_its_work(tiny, seed):
    assert_conserved(simulate(a_random_scenario(tiny, seed), "ember", seed))


@pytest.mark.parametrize("seed", range(10))
def test_without_gangs_any_small_scenario_ends_under_the_other_policies(tiny, seed):
    scenario = a_random_scenario(tiny, seed)
    if any(stage.gang > 1 for user in scenario.users for cell in user.cells for stage in cell.stages):
        return  # Applications that each hold a part of what their gangs need block each other for ever.
    for policy in ("fifo", "static", "spark-dynamic"):
        assert_conserved(simulate(scenario, policy, seed))


def test_the_same_seed_gives_the_same_numbers_to_the_last_digit_in_another_process():
    path = SCENARIOS / "greedy-user.yaml"
    here = as_json([measure(simulate(load(path), policy, 7)) for policy in POLICIES])
    code = (
        "import sys; from emberhub_service.simulate import *; from emberhub_service.simulate.report import as_json;"
        "s = load(sys.argv[1]); sys.stdout.buffer.write(as_json([measure(simulate(s, p, 7)) for p in POLICIES]))"
    )
    for hash_seed in ("1", "2"):
        there = subprocess.run(
            [sys.executable, "-c", code, str(path)],
            capture_output=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )
        assert there.stdout == here


def test_another_seed_draws_other_work_and_every_policy_is_given_the_same(played):
    scenario = load(SCENARIOS / "greedy-user.yaml")
    asked = {measure(simulate(scenario, "static", seed)).asked for seed in (1, 2, 3)}
    assert len(asked) == 3
    assert len({measure(played("greedy-user", policy)).asked for policy in POLICIES}) == 1
