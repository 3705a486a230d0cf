"""The policy `ember`: the service's own allocator, given snapshots of the simulated world, and obeyed as drivers do.

A cycle runs shortly after anything has happened, when a reclaim falls due, and each second while rules that look at
the clock may have something to say. Reclaimed executors work on until they are revoked; then they are decommissioned.
"""

from __future__ import annotations

from itertools import groupby

from emberhub_service.alloc import advance, apply, plan, remember
from emberhub_service.alloc.model import (
    CallOff,
    Cluster,
    Executor,
    Grant,
    Promise,
    Reclaim,
    Reclaiming,
    Revoke,
    Snapshot,
    User,
)

from . import apps as simulated
from .apps import App
from .world import World

SETTLE = 0.1
"""Seconds between a change and the cycle that looks at it: reports travel, and come in bursts."""
TICK = 1.0
"""Seconds between cycles when nothing happens."""


class Ember:
    """See the module."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._due: float | None = None
        self._before: Snapshot | None = None
        """What the last plan led to."""
        self._users: tuple[User, ...] = ()
        self._waits: dict[str, Cluster] = {}
        """Clusters as the last plan left them, for since when they wait."""
        for reservation in world.scenario.reservations:
            world.clock.at(max(0.0, reservation.start - reservation.lead), self._wake)

    def act(self) -> None:
        if self._world.changed:
            self._wake()

    def _wake(self) -> None:
        self._cycle_at(self._world.now + SETTLE)

    def _cycle_at(self, when: float) -> None:
        if self._due is None or when < self._due or self._due < self._world.now:
            self._due = when
            self._world.clock.at(when, lambda: self._cycle(when))

    def _cycle(self, due: float) -> None:
        if due != self._due:
            return  # Another, sooner one took its place.
        self._due = None
        now = self._world.now
        if self._before is not None:
            self._users = advance(self._users, self._before, now)
        snapshot = self.snapshot()
        decided = plan(snapshot)
        self._before = remember(apply(snapshot, decided), decided)
        self._users = self._before.users
        self._waits = {cluster.id: cluster for cluster in self._before.clusters}
        for decision in decided.decisions:
            self._obey(decision)
        named = [e.reclaiming for app in self._world.live for e in app.executors.values() if e.state == "up"]
        deadlines = [max(r.deadline, now + SETTLE) for r in named if r is not None]
        self._cycle_at(min([now + TICK, *deadlines]))

    def _obey(self, decision: object) -> None:
        world = self._world
        match decision:
            case Grant(cluster=cluster, executors=count, pool=pool):
                app = self._app(cluster)
                for _ in range(count):
                    world.grant(app, pool)
            case Reclaim(executors=names, deadline=deadline, reason=reason):
                for name in names:
                    self._executor(name).reclaiming = Reclaiming(world.now, deadline, reason=reason)
            case CallOff(executors=names):
                for name in names:
                    self._executor(name).reclaiming = None
            case Revoke(executors=names):
                for name in names:
                    executor = self._executor(name)
                    if executor.reclaiming is None or executor.reclaiming.since >= world.now:
                        raise AssertionError(f"at {world.now:.3f}: {name} was revoked and had not been named before")
                    world.decommission(executor)

    def _app(self, cluster: str) -> App:
        return self._world.app(cluster)

    def _executor(self, name: str) -> simulated.Executor:
        return self._app(name.rpartition("-")[0]).executors[name]

    # --- what the allocator is told --------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The world as the service would see it now."""
        world, scenario = self._world, self._world.scenario
        return Snapshot(
            now=world.now,
            pools=scenario.pools,
            queues=scenario.queues,
            clusters=tuple(self._cluster(app) for app in world.live),
            users=self._users,
            reservations=scenario.reservations,
            rules=scenario.rules,
        )

    def _cluster(self, app: App) -> Cluster:
        session, now, before = app.session, self._world.now, self._waits.get(app.id)
        return Cluster(
            id=app.id,
            user=session.user,
            queue=session.queue,
            executor=session.executor,
            wanted=app.wanted,
            floor=session.floor,
            ceiling=session.ceiling,
            gang=max(1, app.gang),
            priority=session.priority,
            executors=tuple(_executor(e, now) for e in app.executors.values() if e.state != "starting"),
            promises=_promises(app),
            waiting_since=before.waiting_since if before else None,
            starved_since=before.starved_since if before else None,
        )


def _promises(app: App) -> tuple[Promise, ...]:
    starting = [e for e in app.executors.values() if e.state == "starting"]
    return tuple(
        Promise(pool, len(list(same)), promised)
        for (pool, promised), same in groupby(starting, key=lambda e: (e.pool, e.promised))
    )


def _executor(executor: simulated.Executor, now: float) -> Executor:
    return Executor(
        id=executor.id,
        pool=executor.pool,
        since=executor.since,
        active_tasks=len(executor.running),
        oldest_task=max((now - running.since for running in executor.running.values()), default=0.0),
        idle_since=executor.idle_since,
        cached_bytes=executor.cached_bytes,
        reclaiming=executor.reclaiming,
        revoked=executor.state == "draining",
    )
