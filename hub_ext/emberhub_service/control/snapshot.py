"""From what the service knows to what the allocator is told: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from emberhub.wire.resources import Resources
from emberhub_spawner.profiles import Profile

from ..alloc.constraints import parse
from ..alloc.model import Cluster, Pool, Rules, Snapshot, User
from ..config import Site, leaves
from .live import Live


def build_snapshot(site: Site, rules: Rules, lives: Iterable[Live], users: Mapping[str, User], now: float) -> Snapshot:
    """Everything that a decision depends on, at `now`. Clusters whose drivers are not heard are frozen."""
    known = {queue.name for queue in leaves(site.queues)}
    fallback = open_queue(site)
    return Snapshot(
        now=now,
        pools=site.pools,
        queues=site.queues,
        clusters=tuple(
            _cluster(site, live, live.record.queue if live.record.queue in known else fallback, now)
            for live in sorted(lives, key=lambda live: live.record.id)
        ),
        users=tuple(users[name] for name in sorted(users)),
        rules=rules,
    )


def _cluster(site: Site, live: Live, queue: str, now: float) -> Cluster:
    record = live.record
    profile = site.profile(record.profile)
    paused = now < live.paused_until
    ceiling = min(record.ceiling, live.demand(now)) if paused else record.ceiling
    return Cluster(
        id=record.id,
        user=record.user,
        queue=queue,
        executor=record.executor,
        wanted=live.wanted(now),
        floor=min(record.floor, ceiling),
        ceiling=ceiling,
        gang=profile.gang if profile else 1,
        needs=profile.needs if profile else "",
        prefers=profile.prefers if profile else "",
        pools=(record.pool,),
        executors=live.executors(record.pool),
        promises=live.promises(record.pool),
        waiting_since=live.waiting_since,
        starved_since=live.starved_since,
        frozen=live.link is None or live.report is None or live.fresh or record.status == "stopping",
    )


def open_queue(site: Site) -> str:
    """The queue for clusters whose own is gone from the configuration: a leaf that is for everyone, else the first."""
    names = [queue.name for queue in leaves(site.queues)]
    return next((name for name in names if not site.groups.get(name)), names[0])


def counted(lives: Iterable[Live], pool: str) -> tuple[Resources, Resources, int]:
    """What a pool's executors take up, what is promised of it, and how many executors run there."""
    held, promised, executors = Resources(), Resources(), 0
    for live in lives:
        if live.record.pool == pool:
            held += live.record.executor * len(live.held)
            promised += live.record.executor * live.promised()
            executors += len(live.held)
    return held, promised, executors


def fitting(site: Site, profile: Profile) -> list[Pool]:
    """The pools whose labels satisfy a profile, and whose nodes are large enough for its executors."""
    needs = parse(profile.needs)
    return [
        pool
        for pool in site.pools
        if profile.executor.fits_in(pool.node or pool.capacity) and needs.holds({"pool": pool.name, **pool.labels})
    ]


def choose_pool(site: Site, executor: Resources, profile: Profile | None, lives: Iterable[Live]) -> str:
    """Where to start a driver: of the pools whose labels satisfy its profile and whose nodes are large enough, one
    that it prefers, and of those the one with the most room for its executors. The first pool if there is none.
    """
    lives = list(lives)
    needs, prefers = parse(profile.needs if profile else ""), parse(profile.prefers if profile else "")

    def rank(pool: Pool) -> tuple[bool, bool, int]:
        labels = {"pool": pool.name, **pool.labels}
        held, promised, _ = counted(lives, pool.name)
        fits = executor.fits_in(pool.node or pool.capacity) and needs.holds(labels)
        return fits, prefers.holds(labels), executor.how_many(pool.capacity - held - promised)

    return max(site.pools, key=rank).name
