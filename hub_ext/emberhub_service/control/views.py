"""From what the service knows to what people read: pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from emberhub.wire import rest
from emberhub_spawner.profiles import Profile, default_of

from ..alloc.model import Refuse
from ..config import Site
from ..records import ENDED, ClusterRecord
from .live import Live
from .snapshot import counted, fitting

_MESSAGES: dict[rest.State, str] = {
    "pending": "The cluster is about to be started.",
    "starting": "The driver is starting.",
    "disconnected": (
        "The driver is not heard from at the moment; running queries go on. If the silence lasts, it gives its"
        " executors back, and gets others when it is heard again. If it stays so, stop the cluster and start it again."
    ),
}


def cluster_view(record: ClusterRecord, live: Live | None, now: float, version: int, place: int = 0) -> rest.Cluster:
    """One cluster, as its owner reads it; `place` is its place among those who wait to be started."""
    state = _state(record, live)
    return rest.Cluster(
        id=record.id,
        name=record.name,
        user=record.user,
        profile=record.profile,
        queue=record.queue,
        state=state,
        message=_message(record, live, state, place),
        executors=rest.ExecutorRange(record.floor, record.ceiling),
        executor=record.executor,
        wanted=live.report.wanted if live and live.report else 0,
        granted=live.granted() if live else 0,
        running=tuple(
            rest.ExecutorView(
                id=e.id,
                age=round(now - live.since[e.id], 3),
                active_tasks=e.active_tasks,
                cached_bytes=e.cached_bytes,
                shuffle_bytes=e.shuffle_bytes,
                decommissioning=e.decommissioning or e.id in live.revoked,
            )
            for e in live.held
        )
        if live
        else (),
        reclaims=tuple(
            rest.ReclaimNotice(executor, round(max(0.0, r.deadline - now), 3), r.reason, r.deferred)
            for executor, r in sorted(live.reclaiming.items())
        )
        if live
        else (),
        unmet=_unmet(live.unmet) if live and live.unmet else None,
        ready=state == "running" and live is not None and live.report is not None and live.report.endpoint is not None,
        generation=record.generation,
        restarted=record.restarted,
        created=record.created,
        version=version,
        resumable=record.resumable,
    )


def essence(view: rest.Cluster) -> object:
    """What is worth waking somebody for: the view without what only grows older."""
    return (
        view.state,
        view.message,
        view.executors,
        view.wanted,
        view.granted,
        tuple(
            (e.id, e.active_tasks, e.cached_bytes >> 20, e.shuffle_bytes >> 20, e.decommissioning) for e in view.running
        ),
        tuple((notice.executor, notice.deferred) for notice in view.reclaims),
        view.unmet and msgspec.structs.replace(view.unmet, estimate=None, reason=""),
        view.ready,
        view.generation,
        view.restarted,
    )


def profiles_view(site: Site, mine: Sequence[Profile], lives: Sequence[Live]) -> rest.Profiles:
    """The profiles that somebody may use, and for how many executors of each there is room."""
    default = default_of(mine)
    free = {
        pool.name: pool.capacity - held - promised
        for pool in site.pools
        for held, promised, _ in [counted(lives, pool.name)]
    }
    offers = []
    for profile in mine:
        pools = fitting(site, profile)
        offers.append(
            rest.Profile(
                name=profile.name,
                title=profile.title,
                description=profile.description,
                executor=profile.executor,
                executors=rest.ExecutorRange(profile.min, profile.max),
                default=profile is default,
                gang=profile.gang,
                # A cluster lives in one pool.
                free=max((profile.executor.how_many(free[pool.name]) for pool in pools), default=0),
                room=max((profile.executor.how_many(pool.capacity) for pool in pools), default=0),
            )
        )
    return rest.Profiles(profiles=tuple(offers))


def _state(record: ClusterRecord, live: Live | None) -> rest.State:
    if record.status in ("starting", "running") and record.goal == "stopped":
        return "stopping"
    if record.status in ENDED and record.goal == "running":
        return "pending"
    if record.status == "running" and (live is None or live.link is None or live.fresh):
        return "disconnected"
    return record.status


def _message(record: ClusterRecord, live: Live | None, state: rest.State, place: int) -> str:
    if state == "pending" and place > 1:
        others = "another cluster" if place == 2 else f"{place - 1} other clusters"
        return f"The cluster is number {place} in line: it is started after {others}, a few at a time."
    if state == "starting" and live is not None and live.trouble:
        return f"The driver does not start yet. {live.trouble}"
    if state != "running":
        return _MESSAGES.get(state, record.message)
    if live is not None and live.unmet is not None:
        return live.unmet.reason
    return (live.trouble or "Executors are on their way.") if live is not None and live.promised() else ""


def _unmet(refuse: Refuse) -> rest.Unmet:
    return rest.Unmet(
        executors=refuse.executors,
        rule=refuse.rule,
        resource=refuse.resource,
        place=refuse.place,
        estimate=refuse.estimate,
        cheapest=refuse.cheapest,
        reason=refuse.reason,
    )


def pools_view(site: Site, lives: Sequence[Live], config_error: str) -> rest.Pools:
    """The pools, as every user may see them; `config_error` is for admins only."""
    return rest.Pools(
        pools=tuple(
            rest.PoolView(
                name=pool.name,
                capacity=pool.capacity,
                held=held,
                promised=promised,
                executors=executors,
                waiting=sum(live.waiting_since is not None and live.record.pool == pool.name for live in lives),
            )
            for pool in site.pools
            for held, promised, executors in [counted(lives, pool.name)]
        ),
        config_error=config_error,
    )
