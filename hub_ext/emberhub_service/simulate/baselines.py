"""The policies to compare with. None of them knows queues, guarantees or reservations, and none takes an executor
from an application that uses it.

`fifo`
    One line for the whole pool. A cluster joins it when its work needs more executors than it has; the one that
    joined first is given all that it asks for (up to its ceiling) before the next gets any; whoever's executors do not
    fit is passed over. An executor goes back after `fifo_idle` without a task, all go back at the end of the session.
`static`
    The pool divided by the number of users: each cluster gets its part (at least one executor, and at least what its
    largest gang needs) when its driver starts and keeps it to the end of its session. Who comes when all parts are
    taken waits for a session to end.
`spark-dynamic`
    Spark's dynamic allocation, each application for itself on a standalone pool, which serves applications in the
    order of their start. An application begins with `initial` executors. While tasks are pending for `backlog`, its
    target grows by 1, 2, 4, ... every `backlog`, up to what its tasks need and to its ceiling; an executor without a
    task for `idle` goes back unless the target still counts on it. (Spark keeps executors with cached blocks for ever
    by default; here they go back as others do, which is kinder to it.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .apps import App
from .world import World


class Policy(Protocol):
    """Acts on the world."""

    def act(self) -> None:
        """Called after each moment at which anything happened."""
        ...


class _Idle:
    """Gives executors back that have had no task for a while."""

    def __init__(self, world: World, idle: float) -> None:
        self._world = world
        self._idle = idle
        self._next: float | None = None

    def act(self, keep: dict[str, int]) -> None:
        """Release what has been idle for long enough, down to `keep` executors of each application."""
        world = self._world
        soonest: float | None = None
        for app in world.live:
            staying = len(app.staying)
            for executor in list(app.executors.values()):
                if executor.state != "up" or executor.idle_since is None:
                    continue
                due = executor.idle_since + self._idle
                if due > world.now:
                    soonest = due if soonest is None else min(soonest, due)
                elif staying > keep[app.id]:
                    world.decommission(executor)
                    staying -= 1
        if soonest is not None and (self._next is None or self._next <= world.now or soonest < self._next):
            self._next = soonest
            world.clock.at(soonest, lambda: None)


class Fifo:
    """See the module."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._line: dict[str, App] = {}
        self._idle = _Idle(world, world.scenario.fifo_idle)

    def act(self) -> None:
        world = self._world
        keep = {app.id: _within(app, app.wanted) for app in world.live}
        self._idle.act(keep)
        for app in world.live:
            if len(app.staying) >= keep[app.id]:
                self._line.pop(app.id, None)
            else:
                self._line.setdefault(app.id, app)
        for app in [app for app in self._line.values() if app.live]:
            _fill(world, app, keep[app.id])
            if len(app.staying) >= keep[app.id]:
                del self._line[app.id]


class Static:
    """See the module."""

    def __init__(self, world: World) -> None:
        self._world = world

    def act(self) -> None:
        world = self._world
        users = len(world.apps)
        for app in sorted(world.live, key=lambda app: (app.registered or 0.0, app.id)):
            size = app.session.executor
            share = sum(size.how_many(capacity) for capacity in world.pools.values()) // users
            _fill(world, app, min(app.session.ceiling, max(1, share, app.session.gang)))


@dataclass(slots=True)
class _Manager:
    """Spark's ExecutorAllocationManager of one application."""

    app: App
    target: int
    initializing: bool = True
    add: int = 1
    """By how many the target grows next."""
    add_at: float | None = None
    """When; None while nothing is pending."""


class SparkDynamic:
    """See the module."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._settings = world.scenario.spark_dynamic
        self._managers: dict[str, _Manager] = {}
        self._idle = _Idle(world, self._settings.idle)

    def act(self) -> None:
        world = self._world
        for app in sorted(world.live, key=lambda app: (app.registered or 0.0, app.id)):
            manager = self._managers.get(app.id)
            if manager is None:
                initial = min(app.session.ceiling, max(app.session.floor, self._settings.initial))
                manager = self._managers[app.id] = _Manager(app, initial)
                _fill(world, app, initial)  # Asked for at once, whatever the first job needs.
            self._retarget(manager)
        self._idle.act({app.id: self._managers[app.id].target for app in world.live})
        # The master offers the pool to applications in the order of their start, every time.
        for manager in self._managers.values():
            if manager.app.live:
                _fill(world, manager.app, manager.target)

    def _retarget(self, manager: _Manager) -> None:
        world, app = self._world, manager.app
        needed = _within(app, app.wanted)
        idle = [e for e in app.executors.values() if e.state == "up" and e.idle_since is not None]
        if needed or any(e.idle_since is not None and world.now >= e.idle_since + self._settings.idle for e in idle):
            manager.initializing = False
        if not (app.pending or app.gang_waits):
            manager.add_at = None
        elif manager.add_at is None:
            manager.add_at = world.now + self._settings.backlog
            world.clock.at(manager.add_at, lambda: None)
        if manager.initializing:
            return
        if needed < manager.target:
            manager.target = needed
            manager.add = 1
        elif manager.add_at is not None and world.now >= manager.add_at:
            grown = min(needed, manager.target + manager.add)
            manager.add = manager.add * 2 if grown - manager.target == manager.add else 1
            manager.target = grown
            manager.add_at = world.now + self._settings.backlog
            if grown < needed:
                world.clock.at(manager.add_at, lambda: None)


def _within(app: App, wanted: int) -> int:
    return min(app.session.ceiling, max(app.session.floor, wanted))


def _fill(world: World, app: App, target: int) -> None:
    for _ in range(target - len(app.staying)):
        pool = world.place(app.session.executor)
        if pool is None:
            return
        world.grant(app, pool)
