"""An agent over a Spark that is a few numbers, and the service's end of its socket."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest
from emberhub.wire.agent import Endpoint
from emberhub.wire.driver import DriverConfig
from emberhub.wire.resources import Resources
from emberhub_driver.agent import Agent
from emberhub_driver.jvm import SparkFailed
from emberhub_driver.sessions import Listener, Sessions
from emberhub_driver.spark import Executor

from tests.support.agents import ServiceInTest, service_in_test
from tests.support.interpreters import FakeInterpreter


class FakeSpark:
    """Executors come as soon as they are asked for, and leave as soon as they are decommissioned."""

    def __init__(self) -> None:
        self.demand = 0
        self.query = False
        self.held: dict[str, Executor] = {}
        self.target = 0
        self.given_back: list[tuple[str, ...]] = []
        self.has_stopped = False
        self.ui_opened, self.ui_fails = 0, False
        self.news = threading.Event()
        self._next = 0

    def wanted(self) -> int:
        return self.demand

    def executing(self) -> bool:
        return self.query

    def executors(self) -> list[Executor]:
        return list(self.held.values())

    def oldest_tasks(self) -> dict[str, float]:
        return {each.id: 3.0 for each in self.held.values() if each.active_tasks}

    def apply_target(self, executors: int) -> bool:
        self.target = executors
        while len(self.held) < executors:
            name = str(self._next)
            self._next += 1
            self.held[name] = Executor(name, "127.0.0.1", 1, 0, 0, 0, 0, False)
        return True

    def decommission(self, executors: Sequence[str], target: int) -> bool:
        self.target = target
        self.given_back.append(tuple(executors))
        for each in executors:
            self.held.pop(each, None)
        return True

    def busy(self, name: str, *, cached: int = 0) -> None:
        self.held[name] = msgspec.structs.replace(self.held[name], active_tasks=1, total_tasks=1, cached_bytes=cached)

    def endpoint(self) -> Endpoint:
        return Endpoint("127.0.0.1", 15002)

    def application(self) -> str:
        return "app-1"

    def await_news(self, seconds: float) -> bool:
        came = self.news.wait(min(seconds, 0.2))
        self.news.clear()
        return came

    def open_ui(self) -> Endpoint:
        self.ui_opened += 1
        if self.ui_fails:
            raise SparkFailed("there is no port left")
        return Endpoint("127.0.0.1", 4040)

    def stopped(self) -> bool:
        return self.has_stopped

    def stop(self) -> None:
        self.has_stopped = True


class Running:
    """One agent that serves in the background of a test."""

    def __init__(self, service: ServiceInTest, *, lease: float = 60.0) -> None:
        self.spark = FakeSpark()
        self.interpreters: dict[int, FakeInterpreter] = {}
        self.stop: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        config = DriverConfig(
            cluster="c",
            generation=3,
            user="alice",
            name="main",
            agent_url=service.url,
            master="spark://127.0.0.1:1",
            executor=Resources.of(cores=1, memory="1G"),
            directory="/nowhere",
            lease=lease,
        )
        self.agent = Agent(config, "the-agents-token", self.spark, Sessions(self._interpreter))
        self.serving = asyncio.ensure_future(self.agent.run(self.stop))

    def _interpreter(self, session: int, listener: Listener) -> FakeInterpreter:
        self.interpreters[session] = FakeInterpreter(listener)
        return self.interpreters[session]

    async def reason(self, within: float = 20.0) -> str:
        return await asyncio.wait_for(self.serving, within)

    async def end(self) -> None:
        if not self.stop.done():
            self.stop.set_result("the test is over")
        await asyncio.wait([self.serving], timeout=10)


@pytest.fixture
async def service() -> AsyncIterator[ServiceInTest]:
    async with service_in_test(heartbeat=0.4) as service:
        yield service


@pytest.fixture
async def agent(service: ServiceInTest) -> AsyncIterator[Running]:
    running = Running(service)
    yield running
    await running.end()
