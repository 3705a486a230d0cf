"""A backend without Spark: its drivers live in this process and speak the real protocol over a real socket.

For tests, load tests and trying the service out. What a driver does is scripted from outside: `wanted`, how long an
executor takes to start, whether it starts, what is answered to a reclaim, silence, death.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from emberhub.wire import agent
from emberhub.wire.resources import Resources
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, WebSocketError, websocket_connect

from .backend import Driver, DriverSpec, StartFailed


@dataclass
class Script:
    """How a driver behaves. Seconds, where a time. May be changed while it runs."""

    refuse: str = ""
    """If set, the driver does not start, for this reason."""
    connect: bool = True
    """Whether it ever opens its socket."""
    executor_start: float = 0.0
    """From a target to the executor."""
    executors_start: bool = True
    """Whether executors start at all."""
    trouble: str = ""
    """What the backend says of why its executors do not come."""
    drain: float = 0.0
    """From a revoke to the executor's end."""
    wanted: int = 0
    """Demand at the start."""
    answer: Callable[[agent.Reclaim], Iterable[agent.Alternative | agent.Deferral]] = lambda _: ()
    """What is said to a reclaim."""
    ui: agent.Endpoint | None = None
    """What it says of Spark's web UI, once it is asked for it."""
    backoff: float = 0.05
    """Between attempts to connect."""


@dataclass
class FakeDriver:
    """One driver. Change `wanted` or `idle` with `work`; read `executors`, `target` and `heard` at any time."""

    spec: DriverSpec
    script: Script
    on_exit: Callable[[FakeDriver, str], None]
    wanted: int = 0
    idle: float = 0.0
    target: int = 0
    executors: dict[str, agent.ExecutorReport] = field(default_factory=dict)
    heard: list[agent.FromService] = field(default_factory=list)
    """Every message from the service."""
    close_code: int | None = None
    """With which the service last closed the socket."""
    ui: agent.Endpoint | None = None
    alive: bool = True
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _socket: WebSocketClientConnection | None = None
    _next: int = 0
    _starting: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _life: asyncio.Task[None] | None = None

    # --- from outside ---

    def begin(self) -> None:
        """Start its life."""
        self.wanted = self.script.wanted
        if self.script.connect:
            self._life = asyncio.get_running_loop().create_task(self._live())

    async def work(self, wanted: int, idle: float = 0.0) -> None:
        """From now on it could use `wanted` executors; `idle` is for how long it has had no work."""
        self.wanted, self.idle = wanted, idle
        for name, executor in self.executors.items():
            busy = int(name) <= self._next and wanted > 0
            self.executors[name] = agent.ExecutorReport(
                id=executor.id, cores=executor.cores, active_tasks=int(busy), idle=0.0 if busy else idle
            )
        await self.report()

    async def lose(self, executor: str) -> None:
        """An executor dies by itself."""
        del self.executors[executor]
        await self.report()
        self._fill()

    async def until(self, true: Callable[[FakeDriver], bool], seconds: float = 10.0) -> None:
        """Return when something holds of this driver. Raises TimeoutError."""
        async with asyncio.timeout(seconds), self.changed:
            await self.changed.wait_for(lambda: true(self))

    def hang_up(self) -> None:
        """The connection breaks; the driver will try again."""
        if self._socket is not None:
            self._socket.close()

    def die(self, message: str = "") -> None:
        """The process ends."""
        if not self.alive:
            return
        self.alive = False
        self.executors.clear()
        self.hang_up()
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()
        self.on_exit(self, message)

    async def ended(self) -> None:
        """Return when its connection is closed."""
        if self._life is not None and self._life is not asyncio.current_task():
            await self._life

    async def say(self, message: agent.FromDriver) -> None:
        """Send one message."""
        if self._socket is not None:
            await self._socket.write_message(agent.encode(message))

    async def report(self) -> None:
        """Send the whole state."""
        if self._socket is not None:
            # What is lost here is sent again on the next connection.
            with contextlib.suppress(OSError, WebSocketError):
                await self.say(
                    agent.Report(
                        wanted=self.wanted,
                        target=self.target,
                        executors=tuple(self.executors.values()),
                        endpoint=agent.Endpoint("127.0.0.1", 15002),
                        application=f"app-{self.spec.cluster}-{self.spec.generation}",
                        ui=self.ui,
                        idle=self.idle,
                    )
                )
        async with self.changed:
            self.changed.notify_all()

    # --- its life ---

    def _spawn(self, work: object) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _live(self) -> None:
        while self.alive:
            with contextlib.suppress(OSError, HTTPClientError, WebSocketError):
                await self._converse()
            self.connected.clear()
            self._socket = None
            if self.alive and self.close_code == agent.CLOSE_SUPERSEDED:
                self.die("It was superseded.")
            if self.alive:
                await asyncio.sleep(self.script.backoff)

    async def _converse(self) -> None:
        headers = {
            agent.HEADER_CLUSTER: self.spec.cluster,
            agent.HEADER_GENERATION: str(self.spec.generation),
            agent.HEADER_PROTOCOL: str(agent.PROTOCOL),
            "Authorization": f"Bearer {self.spec.agent_token}",
        }
        self._socket = await websocket_connect(HTTPRequest(self.spec.agent_url, headers=headers))
        if not self.alive:
            self.hang_up()
        self.connected.set()
        await self.report()
        while (text := await self._socket.read_message()) is not None:
            if not self.alive:
                continue  # Until the connection is closed.
            message = agent.decode_from_service(text)
            self.heard.append(message)
            await self._obey(message)
        self.close_code = self._socket.close_code
        self._socket.close()

    async def _obey(self, message: agent.FromService) -> None:
        match message:
            case agent.Target(executors=target):
                self.target = target
                await self.report()
                self._fill()
            case agent.Reclaim():
                for answer in self.script.answer(message):
                    await self.say(answer)
            case agent.Revoke(executors=names, target=target):
                self.target = target
                self._spawn(self._drain(names))
            case agent.Ping():
                await self.report()
            case agent.ShowUi():
                self.ui = self.script.ui
                await self.report()
            case agent.Stop(reason=reason):
                await self.say(agent.Farewell(reason))
                self.die(reason)
            case _:
                pass
        async with self.changed:
            self.changed.notify_all()

    def _fill(self) -> None:
        staying = sum(not executor.decommissioning for executor in self.executors.values())
        for _ in range(self.target - staying - self._starting):
            self._starting += 1
            self._spawn(self._start_executor())

    async def _start_executor(self) -> None:
        try:
            if not self.script.executors_start:
                return
            await asyncio.sleep(self.script.executor_start)
            staying = sum(not executor.decommissioning for executor in self.executors.values())
            if staying < self.target:
                name = str(self._next)
                self._next += 1
                cores = self.spec.executor.millicores // 1000
                self.executors[name] = agent.ExecutorReport(id=name, cores=cores, active_tasks=int(self.wanted > 0))
        finally:
            self._starting -= 1
        await self.report()

    async def _drain(self, names: tuple[str, ...]) -> None:
        for name in names:
            if name in self.executors:
                self.executors[name] = agent.ExecutorReport(id=name, decommissioning=True)
        await self.report()
        await asyncio.sleep(self.script.drain)
        for name in names:
            self.executors.pop(name, None)
        await self.report()
        self._fill()


class FakeBackend:
    """See the module. Backends over the same directory share their drivers, as if those were processes."""

    _worlds: ClassVar[dict[Path, dict[str, FakeDriver]]] = {}

    def __init__(self, directory: Path, pools: dict[str, Resources]) -> None:
        self.directory = directory
        self.pools = pools
        self.drivers = self._worlds.setdefault(directory, {})
        """By cluster."""
        self.script: Callable[[DriverSpec], Script] = lambda _: Script()
        """Called for each driver that is started."""
        self.started: list[DriverSpec] = []
        self._on_exit: Callable[[Driver], None] | None = None

    async def open(self, on_exit: Callable[[Driver], None]) -> list[Driver]:
        self._on_exit = on_exit
        for driver in self.drivers.values():
            driver.on_exit = self._ended
        return [Driver(name, driver.spec.generation, driver.alive) for name, driver in self.drivers.items()]

    async def start(self, spec: DriverSpec) -> None:
        script = self.script(spec)
        if script.refuse:
            raise StartFailed(script.refuse)
        self.started.append(spec)
        driver = self.drivers[spec.cluster] = FakeDriver(spec, script, self._ended)
        driver.begin()

    async def stop(self, cluster: str, grace: float) -> None:
        driver = self.drivers.pop(cluster, None)
        if driver is not None:
            driver.die()
            await driver.ended()

    async def trouble(self, cluster: str) -> str:
        driver = self.drivers.get(cluster)
        return driver.script.trouble if driver is not None else ""

    async def resize(self, pools: dict[str, Resources]) -> None:
        self.pools = pools

    async def close(self) -> None:
        self._on_exit = None

    async def shutdown(self) -> None:
        self._on_exit = None
        for cluster in list(self.drivers):
            await self.stop(cluster, 0.0)
        self._worlds.pop(self.directory, None)

    def _ended(self, driver: FakeDriver, message: str) -> None:
        if self._on_exit is not None:
            self._on_exit(Driver(driver.spec.cluster, driver.spec.generation, alive=False, message=message))
