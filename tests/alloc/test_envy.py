"""C and H for any site: a bound on envy, and nobody stays below their share."""

from __future__ import annotations

from typing import Any

from emberhub_service.alloc import plan
from emberhub_service.alloc.model import Cluster, Pool, Queue, Resources, Rules, Snapshot
from hypothesis import given
from hypothesis import strategies as st

from .strategies import EVENTS, SHAPES, sites
from .test_world import happen
from .world import START, World, demand

TINY = 1e-9


@st.composite
def flat_sites(draw: st.DrawFn) -> Snapshot:
    """One pool, one queue, one cluster a user, executors of any shape, no memory of the past."""
    pool = Pool("p", Resources.of(cores=draw(st.integers(1, 40)), memory=f"{draw(st.integers(1, 80))}G", gpus=4))
    clusters = tuple(
        Cluster(f"c{n}", f"u{n}", "root", draw(st.sampled_from(SHAPES)), wanted=draw(st.integers(0, 12)), ceiling=12)
        for n in range(draw(st.integers(1, 8)))
    )
    return Snapshot(0.0, (pool,), Queue("root"), clusters, (), (), Rules(credit_half_life=0.0))


def share(cluster: Cluster, count: int, pool: Pool) -> float:
    pairs = zip(cluster.executor.amounts(), pool.capacity.amounts(), strict=True)
    return count * max(need / has for need, has in pairs if has)


@given(flat_sites())
def test_nobody_envies_another_by_more_than_one_executor(site: Snapshot) -> None:
    """No share is below another's by more than the executor it lacks, unless that executor would not fit instead.

    Shares of one executor are everyone's first (D) and come before this.
    """
    pool, fair = site.pools[0], plan(site).fair
    left = pool.capacity
    for cluster in site.clusters:
        left -= cluster.executor * fair[cluster.id]
    for poor in site.clusters:
        if fair[poor.id] >= demand(poor):
            continue
        for rich in site.clusters:
            if fair[rich.id] < 2 or not poor.executor.fits_in(left + rich.executor):
                continue
            most = share(poor, fair[poor.id] + 1, pool)
            assert share(rich, fair[rich.id], pool) <= most + TINY, (poor.id, rich.id, fair)


@given(sites(plain=True), EVENTS)
def test_nobody_stays_below_their_fair_share(site: Snapshot, events: list[Any]) -> None:
    """H: once things are steady, no cluster is below its fair share for longer than the stated bound."""
    world = World(site, checked=False)
    for event in events:
        happen(world, event, SHAPES[:1])
    rules = site.rules
    bound = rules.starvation_after + rules.min_hold + rules.reclaim_notice + START + 5.0
    for cluster in world.snapshot.clusters:
        if cluster.frozen:
            world.change(cluster.id, frozen=False)
    world.live_on(bound + 5.0)
    for cluster in world.snapshot.clusters:
        assert cluster.starved_since is None or world.snapshot.now - cluster.starved_since <= bound, cluster.id
