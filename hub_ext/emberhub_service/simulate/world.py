"""What policies act on: pools, executors and the applications of users, with Spark's mechanics and their cost.

An executor counts against its pool from its promise until it is gone. Decommissioning lets running tasks finish, then
moves cached blocks to another executor of the application; the last one has nowhere to move them, so they are lost.
Lost blocks are computed again in the application's next stage: the present one has read what it needs. A task that is
killed starts again at once.
"""

from __future__ import annotations

from emberhub.wire.resources import Resources

from .apps import App, Executor, Running, Sample
from .clock import Clock
from .scenario import Scenario
from .workload import Session, Task


class World:
    """The state of a simulation, and what may be done to it."""

    def __init__(self, scenario: Scenario, sessions: list[Session]) -> None:
        self.scenario = scenario
        self.costs = scenario.costs
        self.clock = Clock()
        self.pools = {pool.name: pool.capacity for pool in scenario.pools}
        self.used = {name: Resources() for name in self.pools}
        self.apps = [App(f"{number:04d}-{session.user}", session) for number, session in enumerate(sessions)]
        self._by_id = {app.id: app for app in self.apps}
        self._touched: dict[str, App] = {}
        for app in self.apps:
            self.clock.at(app.session.arrives + scenario.costs.driver_start, lambda app=app: self._register(app))  # type: ignore[misc]

    @property
    def now(self) -> float:
        return self.clock.now

    @property
    def live(self) -> list[App]:
        return [app for app in self.apps if app.live]

    @property
    def unfinished(self) -> int:
        """Sessions that have not ended."""
        return sum(app.ended is None for app in self.apps)

    def app(self, name: str) -> App:
        return self._by_id[name]

    # --- what policies do ----------------------------------------------------------------------------------------

    def room(self, pool: str, size: Resources) -> int:
        """How many more executors of this size the pool takes."""
        return size.how_many(self.pools[pool] - self.used[pool])

    def place(self, size: Resources) -> str | None:
        """The first pool with room."""
        return next((pool for pool in self.pools if self.room(pool, size) > 0), None)

    def grant(self, app: App, pool: str) -> Executor:
        """Promise an executor, and start it."""
        if self.room(pool, app.session.executor) < 1:
            raise AssertionError(f"at {self.now:.3f}: {app.id} was granted an executor that {pool} has no room for")
        if not app.live:
            raise AssertionError(f"at {self.now:.3f}: {app.id} was granted an executor and has no driver")
        app.made += 1
        executor = Executor(f"{app.id}-{app.made}", app.made, app, pool, self.now)
        app.executors[executor.id] = executor
        self.used[pool] = self.used[pool] + app.session.executor
        self.clock.after(self.costs.executor_start, lambda: self._up(executor))
        self._touch(app)
        return executor

    def decommission(self, executor: Executor) -> None:
        """Take an executor back: its tasks finish, its blocks move, then it is gone."""
        if executor.state == "starting":
            self._gone(executor)
            return
        if executor.state != "up":
            return
        executor.state = "draining"
        executor.app.decommissioned += 1
        if self.costs.drain_limit is not None:
            executor.limit = self.clock.after(self.costs.drain_limit, lambda: self.kill(executor))
        if not executor.running:
            self._move_blocks(executor)
        self._touch(executor.app)

    def kill(self, executor: Executor) -> None:
        """End an executor at once: what ran on it and what it had cached is computed again."""
        if executor.state == "gone":
            return
        app = executor.app
        broken = app.gang > 0 and bool(executor.running)
        for task in self._stop_tasks(executor):
            if not broken:
                app.pending.append(task)
        self._lose_blocks(executor)
        self._gone(executor)
        if broken:
            self._restart_gang(app)
        self._dispatch(app)

    def _stop_tasks(self, executor: Executor) -> list[Task]:
        app, stopped = executor.app, list(executor.running.values())
        executor.running.clear()
        for running in stopped:
            running.end.cancel()
            app.wasted_seconds += self.now - running.since
            app.running -= 1
        return [running.task for running in stopped]

    def _restart_gang(self, app: App) -> None:
        """A barrier stage that lost one of its tasks starts again from nothing."""
        for other in list(app.executors.values()):
            if self._stop_tasks(other):
                other.idle_since = self.now
                if other.state == "draining":
                    self._move_blocks(other)
        for task in app.gang_done:
            app.done_seconds -= task.seconds
            app.wasted_seconds += task.seconds
        app.gang_done = []
        app.gang_waits = app.session.cells[app.cell].stages[app.stage]
        self._touch(app)

    # --- an executor's life --------------------------------------------------------------------------------------

    def _up(self, executor: Executor) -> None:
        if executor.state != "starting":
            return
        executor.state = "up"
        executor.since = executor.idle_since = self.now
        if executor.app.first_up is None:
            executor.app.first_up = self.now
        self._touch(executor.app)
        self._dispatch(executor.app)

    def _move_blocks(self, executor: Executor) -> None:
        others = [e for e in executor.app.executors.values() if e.state == "up"]
        seconds = executor.cached_bytes / self.costs.bandwidth if others else 0.0
        self.clock.after(self.costs.decommission + seconds, lambda: self._drained(executor))

    def _drained(self, executor: Executor) -> None:
        if executor.state == "gone":
            return
        others = [e for e in executor.app.executors.values() if e.state == "up"]
        if others and executor.cached:
            heir = min(others, key=lambda e: (e.cached_bytes, e.number))
            heir.cached.extend(executor.cached)
            executor.app.moved_bytes += executor.cached_bytes
            executor.cached = []
        self._lose_blocks(executor)
        self._gone(executor)
        self._dispatch(executor.app)

    def _lose_blocks(self, executor: Executor) -> None:
        for task in executor.cached:
            executor.app.lost.append(Task(task.seconds, task.cached, again=True))
        executor.cached = []

    def _gone(self, executor: Executor) -> None:
        executor.state = "gone"
        executor.idle_since = None
        if executor.limit is not None:
            executor.limit.cancel()
        del executor.app.executors[executor.id]
        self.used[executor.pool] = self.used[executor.pool] - executor.app.session.executor
        self._touch(executor.app)

    # --- an application's life -----------------------------------------------------------------------------------

    def _register(self, app: App) -> None:
        app.registered = self.now
        self._think(app)

    def _think(self, app: App) -> None:
        app.cell += 1
        app.stage = -1
        app.thinking = True
        if app.cell == len(app.session.cells):
            self._end(app)
        else:
            self.clock.after(app.session.cells[app.cell].think, lambda: self._submit(app))
        self._touch(app)

    def _submit(self, app: App) -> None:
        app.submitted.append(self.now)
        app.thinking = False
        self._next_stage(app)

    def _next_stage(self, app: App) -> None:
        app.stage += 1
        app.gang_done = []
        cell = app.session.cells[app.cell]
        if app.stage == len(cell.stages):
            app.finished.append(self.now)
            self._think(app)
            return
        stage = cell.stages[app.stage]
        if stage.gang:
            app.gang_waits = stage
        else:
            app.pending.extend(app.lost)
            app.pending.extend(stage.tasks)
            app.lost = []
        self._touch(app)
        self._dispatch(app)

    def _dispatch(self, app: App) -> None:
        """Start what can start, spread over the executors as Spark does."""
        if app.gang_waits is not None:
            idle = [e for e in app.executors.values() if e.state == "up" and not e.running]
            if len(idle) >= app.gang_waits.gang:
                for executor, task in zip(idle, app.gang_waits.tasks, strict=False):
                    self._start(executor, task)
                app.gang_waits = None
            return
        while app.pending:
            free = [e for e in app.executors.values() if e.free > 0]
            if not free:
                return
            self._start(min(free, key=lambda e: (-e.free, e.number)), app.pending.popleft())

    def _start(self, executor: Executor, task: Task) -> None:
        app = executor.app
        app.running += 1
        executor.idle_since = None
        app.started += 1
        key = app.started
        end = self.clock.after(task.seconds, lambda: self._finish(executor, key))
        executor.running[key] = Running(task, self.now, end)
        self._touch(app)

    def _finish(self, executor: Executor, key: int) -> None:
        app, task = executor.app, executor.running.pop(key).task
        app.running -= 1
        if task.again:
            app.again_seconds += task.seconds
        else:
            app.done_seconds += task.seconds
            if app.gang:
                app.gang_done.append(task)
        if task.cached:
            executor.cached.append(task)
        if not executor.running:
            executor.idle_since = self.now
            if executor.state == "draining":
                self._move_blocks(executor)
        self._touch(app)
        if not app.outstanding and app.gang_waits is None:
            self._next_stage(app)
        else:
            self._dispatch(app)

    def _end(self, app: App) -> None:
        app.ended = self.now
        for executor in list(app.executors.values()):
            self._gone(executor)

    # --- the record ----------------------------------------------------------------------------------------------

    def _touch(self, app: App) -> None:
        self._touched[app.id] = app

    @property
    def changed(self) -> bool:
        """Whether anything changed since the last `record`."""
        return bool(self._touched)

    def record(self) -> None:
        """Note how the applications that changed are now; called once for each time at which anything happened."""
        for app in self._touched.values():
            executors = app.executors.values()
            up = sum(e.state != "starting" for e in executors)
            ready = sum(e.state == "up" for e in executors)
            usable = app.running > 0 or ready >= max(1, app.gang)
            useful = sum(bool(e.running) for e in executors)
            asking = app.needed > 0
            sample = Sample(self.now, len(executors), up, app.running, useful, asking, asking and not usable)
            if app.samples and app.samples[-1].time == self.now:
                app.samples[-1] = sample
            else:
                app.samples.append(sample)
        self._touched.clear()
