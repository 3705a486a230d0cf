"""Spark's mechanics: what it costs to lose an executor."""

from __future__ import annotations

import pytest
from emberhub_service.simulate.workload import draw
from emberhub_service.simulate.world import World

CACHING = "cells: [{stages: [{tasks: 2, lasts: 10s, cached: 100M}]}, {think: 50s, stages: [{tasks: 2, lasts: 10s}]}]"
GANG = "cells: [{stages: [{gang: 2, lasts: 10s}]}]"


def a_world(scenario):
    world = World(scenario, draw(scenario, 1))
    world.clock.advance(0)
    return world, world.apps[0]


def play(world, until):
    """Up to this time, and stand there."""
    world.clock.at(until, lambda: None)
    while world.clock.advance(until):
        world.record()


def test_decommissioning_moves_cached_blocks_at_the_bandwidth_and_nothing_is_computed_again(tiny):
    world, app = a_world(tiny(2, f"name: a, {CACHING}", more="costs: {bandwidth: 50M, decommission: 1s}"))
    leaves, stays = world.grant(app, "main"), world.grant(app, "main")
    play(world, 20)
    world.decommission(leaves)
    play(world, 22.9)
    assert leaves.state == "draining"
    play(world, 23.1)  # 1 s, and 100M at 50M a second.
    assert leaves.state == "gone"
    assert stays.cached_bytes == 200 << 20
    play(world, 1000)
    assert app.ended == pytest.approx(11 + 50 + 20)
    assert (app.done_seconds, app.again_seconds, app.moved_bytes) == (40.0, 0.0, 100 << 20)


def test_the_last_executor_has_nowhere_to_move_its_blocks_so_they_are_computed_again(tiny):
    world, app = a_world(tiny(2, f"name: a, {CACHING}"))
    only = world.grant(app, "main")
    play(world, 30)
    world.decommission(only)
    play(world, 31.1)
    assert only.state == "gone"
    world.grant(app, "main")
    play(world, 1000)
    assert (app.done_seconds, app.again_seconds) == (40.0, 20.0)
    assert app.ended == pytest.approx(21 + 50 + 40)


def test_a_decommissioned_executor_finishes_its_task_and_takes_no_other(tiny):
    world, app = a_world(tiny(1, "name: a, cells: [{stages: [{tasks: 2, lasts: 10s}]}]"))
    executor = world.grant(app, "main")
    play(world, 5)
    world.decommission(executor)
    play(world, 11.9)
    assert executor.state == "draining"
    assert app.done_seconds == 10.0
    play(world, 1000)
    assert executor.state == "gone"
    assert (app.ended, len(app.pending)) == (None, 1)


def test_past_the_drain_limit_it_is_killed_and_its_task_starts_again_elsewhere(tiny):
    world, app = a_world(
        tiny(2, "name: a, cells: [{stages: [{tasks: 2, lasts: 30s}]}]", more="costs: {drain_limit: 4s}")
    )
    world.grant(app, "main")
    victim = world.grant(app, "main")
    play(world, 11)
    world.decommission(victim)
    play(world, 1000)
    # Started at 1, killed at 15; the other executor does the task after its own.
    assert app.ended == 61.0
    assert (app.done_seconds, app.wasted_seconds) == (60.0, 14.0)


def test_a_gang_starts_with_all_its_executors_or_not_at_all(tiny):
    world, app = a_world(tiny(2, f"name: a, {GANG}"))
    world.grant(app, "main")
    play(world, 50)
    assert app.running == 0
    world.clock.at(60, lambda: world.grant(app, "main"))
    play(world, 1000)
    assert app.ended == 71.0


def test_a_gang_that_loses_one_of_its_executors_starts_again_from_nothing(tiny):
    world, app = a_world(tiny(3, f"name: a, {GANG}"))
    first, _ = world.grant(app, "main"), world.grant(app, "main")
    play(world, 6)
    world.kill(first)
    assert app.running == 0
    world.grant(app, "main")
    play(world, 1000)
    # Two tasks from 1 to 6 for nothing; the third executor is up at 7.
    assert app.ended == 17.0
    assert (app.done_seconds, app.wasted_seconds) == (20.0, 10.0)


def test_more_than_the_pool_holds_is_never_granted(tiny):
    world, app = a_world(tiny(1, f"name: a, {CACHING}"))
    world.grant(app, "main")
    assert world.place(app.session.executor) is None
    with pytest.raises(AssertionError, match="has no room"):
        world.grant(app, "main")
