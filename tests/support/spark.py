"""Real drivers on a real local backend, for tests; and a look at the processes that they are made of."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from emberhub.wire import agent as wire
from emberhub.wire.resources import Resources
from emberhub_spawner.backend import Driver, DriverSpec
from emberhub_spawner.local import LocalBackend
from emberhub_spawner.local.processes import marked

from .agents import ServiceInTest
from .processes import line_of

SHAPE = Resources.of(cores=1, memory="1G")
_numbers = itertools.count(1)


@dataclass
class Cluster:
    """One driver that a test has started."""

    spec: DriverSpec
    service: ServiceInTest
    since: int

    @property
    def id(self) -> str:
        return self.spec.cluster

    @property
    def mark(self) -> str:
        return f"{self.spec.cluster}-{self.spec.generation}"

    async def ready(self, within: float = 120.0) -> wire.Endpoint:
        report = await self.service.until(
            self.id, wire.Report, lambda report: report.endpoint is not None, within=within, after=self.since
        )
        assert report.endpoint is not None
        return report.endpoint

    async def has(self, count: int, within: float = 120.0) -> wire.Report:
        """Wait until it has exactly so many executors, from now on."""
        return await self.until(lambda report: len(report.executors) == count, within)

    async def until(self, holds: Callable[[wire.Report], bool], within: float = 120.0) -> wire.Report:
        # The last report counts too: nothing is sent while nothing changes.
        after = max(self.since, self.service.count(self.id) - 1)
        return await self.service.until(self.id, wire.Report, holds, within=within, after=after)

    async def told(self, message: wire.FromService) -> None:
        await self.service.say(self.id, message)

    def session(self, endpoint: wire.Endpoint, token: str | None = None) -> Any:
        """A Spark Connect session of its own."""
        from pyspark.sql import SparkSession
        from pyspark.sql.connect.client.retries import DefaultPolicy

        address = f"sc://localhost:{endpoint.port}/;token={token or self.spec.connect_token}"
        session = SparkSession.builder.remote(address).create()
        # Drivers are killed here, and by default Spark would look for them for ten minutes.
        session.client.set_retry_policies([DefaultPolicy(max_retries=6, backoff_multiplier=2, max_backoff=2000)])
        # The driver of an earlier test has gone; its session may still be the active one in the thread that opened it.
        kind = type(session)
        kind._default_session, kind._active_session = session, threading.local()
        return session

    def processes(self) -> list[psutil.Process]:
        return marked(self.mark)


@dataclass
class Place:
    """A local backend, and what it has said of drivers' ends."""

    backend: LocalBackend
    directory: Path
    service: ServiceInTest
    ends: list[Driver] = field(default_factory=list)

    async def open(self) -> list[Driver]:
        return await self.backend.open(self.ends.append)

    async def start(self, *, cluster: str | None = None, generation: int = 1, **changes: Any) -> Cluster:
        # What belongs to a cluster is found by this name, on the whole machine: other tests run beside.
        name = cluster or f"cluster-{os.getpid()}-{next(_numbers)}"
        spec = DriverSpec(
            **{
                "cluster": name,
                "generation": generation,
                "user": "alice",
                "name": "main",
                "pool": "main",
                "agent_url": self.service.url,
                "agent_token": secrets.token_hex(24),
                "connect_token": secrets.token_hex(24),
                "executor": SHAPE,
                "conf": {},
                "lease": 60.0,
            }
            | changes
        )
        since = self.service.count(name)
        await self.backend.start(spec)
        return Cluster(spec, self.service, since)

    async def ended(self, cluster: Cluster, within: float = 120.0) -> Driver:
        """The backend's word that this driver has ended."""
        return await eventually(
            lambda: next((each for each in self.ends if each.cluster == cluster.id), None), f"{cluster.id} ends", within
        )


async def eventually(look: Callable[[], Any], what: str, within: float = 120.0) -> Any:
    """Wait until `look` returns something true, and return that."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within):
            while True:
                if seen := look():
                    return seen
                await asyncio.sleep(0.1)
    raise AssertionError(f"not within {within:g} s: {what}")


def python_of(cluster: Cluster) -> psutil.Process:
    """The driver's Python process."""
    return next(each for each in cluster.processes() if "emberhub_driver" in line_of(each))


def executors_of(cluster: Cluster) -> list[psutil.Process]:
    return [each for each in cluster.processes() if "CoarseGrainedExecutorBackend" in " ".join(line_of(each))]


def command_lines() -> str:
    """Of every process on this machine."""
    return "\n".join(" ".join(line_of(process)) for process in psutil.process_iter())
