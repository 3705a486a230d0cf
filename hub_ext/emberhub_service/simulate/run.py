"""Plays a scenario under one policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .apps import App
from .baselines import Fifo, Policy, SparkDynamic, Static
from .ember import Ember
from .scenario import Scenario
from .workload import draw
from .world import World

POLICIES: dict[str, Callable[[World], Policy]] = {
    "ember": Ember,
    "fifo": Fifo,
    "static": Static,
    "spark-dynamic": SparkDynamic,
}


@dataclass(frozen=True)
class Outcome:
    """What happened."""

    scenario: Scenario
    policy: str
    seed: int
    apps: tuple[App, ...]
    end: float
    """When the last session ended, or when nothing could go on."""


def simulate(
    scenario: Scenario,
    policy: str = "ember",
    seed: int | None = None,
    progress: Callable[[float, int], None] = lambda now, live: None,
) -> Outcome:
    """Play `scenario` under a policy of `POLICIES`; `seed` defaults to the scenario's own.

    `progress` is told the simulated time and how many sessions have not ended, now and then.
    """
    seed = scenario.seed if seed is None else seed
    world = World(scenario, draw(scenario, seed))
    acting = POLICIES[policy](world)
    steps = 0
    while world.unfinished and world.clock.advance(scenario.horizon):
        acting.act()
        if world.changed:
            world.record()
        steps += 1
        if steps % 1000 == 0:
            progress(world.now, world.unfinished)
    return Outcome(scenario, policy, seed, tuple(world.apps), world.now)
