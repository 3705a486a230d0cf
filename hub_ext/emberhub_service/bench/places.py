"""Where users get their executors, one place for each policy, on an engine of its own.

* `ember`: the service in a process of its own, with the local backend. A stand-in answers its questions to the hub.
* `spark-dynamic`: each user's application for itself, with Spark's dynamic allocation, on one standalone master: what
  the Gaia platform at Edinburgh had, scaled to the pool. First come, first served.
* `static`: each user's application gets an equal part of the pool, and at least one executor; those for whom none is
  left queue, as Spark's standalone master has it.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
from emberhub.errors import EmberhubError
from emberhub.http import ENV_TOKEN, ENV_URL
from emberhub.wire.driver import ENV_SPARK_SECRET, DriverConfig
from emberhub.wire.resources import Resources
from emberhub_spawner.backend import DriverSpec
from emberhub_spawner.local import LocalBackend
from emberhub_spawner.local.engine import EngineClient
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from ..api.identity import ACCESS
from . import memory
from .driver import Order

HOST = "127.0.0.1"
POLICIES = ("ember", "spark-dynamic", "static")
TUNINGS = ("plain", "tuned")
SHAPE = Resources.of(cores=1, memory="1G")
QUICK = "-XX:TieredStopAtLevel=1"
"""What a local hub's profile adds for executors: they start sooner and compute more slowly once warm."""
INITIAL, LEAST, IDLE = 2, 1, 60
"""Spark's dynamic allocation: half the pool at the start, as Edinburgh's 15 executors of 30; at least 1; seconds."""
START_TIMEOUT = 180.0
STOP_TIMEOUT = 90.0


@dataclass(frozen=True)
class Plan:
    """One run: a policy for a number of users."""

    policy: str
    tuning: str
    users: int
    executors: int
    warm: int
    """Warm drivers that the service keeps; only `ember` knows them."""
    directory: Path

    @property
    def names(self) -> list[str]:
        """The users."""
        return [f"user-{number:02}" for number in range(1, self.users + 1)]

    @property
    def events(self) -> Path:
        """Where Spark's event logs go."""
        return self.directory / "events"


@dataclass(frozen=True)
class Access:
    """What one user's process is given."""

    environment: dict[str, str]
    order: str = ""


def event_log(directory: Path) -> dict[str, str]:
    """Settings that make an application log its events, for every policy alike."""
    return {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": f"file://{directory}",
        "spark.eventLog.rolling.enabled": "false",
        "spark.eventLog.compress": "false",
    }


class Measured(LocalBackend):
    """The local backend, whose drivers log their events."""

    async def start(self, spec: DriverSpec) -> None:
        await super().start(replace(spec, conf=spec.conf | event_log(self._directory.parent.parent / "events")))


class MeasuredPlain(Measured):
    """The same, with Java's default flags."""

    tuned = False


@asynccontextmanager
async def place(plan: Plan) -> AsyncIterator[dict[str, Access]]:
    """Open the place of a plan; gives each user's access. All that was started has ended afterwards.

    Raises EmberhubError where it does not open.
    """
    plan.events.mkdir(mode=0o700)
    opened = _ember(plan) if plan.policy == "ember" else _alone(plan)
    async with opened as access:
        yield access


# --- each for itself ----------------------------------------------------------------------------------------------


@asynccontextmanager
async def _alone(plan: Plan) -> AsyncIterator[dict[str, Access]]:
    directory = plan.directory / "engine"
    directory.mkdir(mode=0o700)
    engine = EngineClient(directory, abandoned_after=30.0)
    await engine.hold()
    try:
        await engine.ensure(SHAPE * plan.executors, remembered=False)
        yield {name: _own(plan, name, engine) for name in plan.names}
    finally:
        await engine.end()
        engine.release()


def _own(plan: Plan, name: str, engine: EngineClient) -> Access:
    config = DriverConfig(
        cluster=name,
        generation=1,
        user=name,
        name="main",
        agent_url="",
        master=engine.master,
        executor=SHAPE,
        directory=str(plan.directory / "drivers" / name),
        conf={"spark.executor.extraJavaOptions": QUICK} if plan.tuning == "tuned" else {},
        tuned=plan.tuning == "tuned",
    )
    path = plan.directory / f"{name}.json"
    path.write_bytes(msgspec.json.encode(Order(config, allocation(plan) | event_log(plan.events))))
    return Access({ENV_SPARK_SECRET: engine.secret()}, str(path))


def allocation(plan: Plan) -> dict[str, str]:
    """Spark's settings of a policy without Emberhub."""
    if plan.policy == "static":
        return {
            "spark.dynamicAllocation.enabled": "false",
            "spark.cores.max": str(max(1, plan.executors // plan.users)),
        }
    return {
        "spark.dynamicAllocation.enabled": "true",
        "spark.dynamicAllocation.initialExecutors": str(min(INITIAL, plan.executors)),
        "spark.dynamicAllocation.minExecutors": str(LEAST),
        "spark.dynamicAllocation.maxExecutors": str(plan.executors),
        "spark.dynamicAllocation.executorIdleTimeout": f"{IDLE}s",
    }


# --- Emberhub -----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _ember(plan: Plan) -> AsyncIterator[dict[str, Access]]:
    site = plan.directory / "emberhub.yaml"
    site.write_text(site_text(plan))
    tokens = {secrets.token_urlsafe(24): name for name in plan.names}
    hub, hub_port = _stand_in(tokens)
    sockets = bind_sockets(0, HOST)
    port = sockets[0].getsockname()[1]
    sockets[0].close()
    kind = Measured if plan.tuning == "tuned" else MeasuredPlain
    arguments = [
        f"--EmberhubService.site={site}",
        f"--EmberhubService.state_dir={plan.directory / 'state'}",
        f"--EmberhubService.backend={kind.__module__}.{kind.__name__}",
        f"--EmberhubService.service_url=http://{HOST}:{port}",
    ]
    environment = {"JUPYTERHUB_API_URL": f"http://{HOST}:{hub_port}/hub/api", ENV_TOKEN: secrets.token_urlsafe(24)}
    service = await _python(plan, "service", environment, *arguments)
    try:
        url = f"http://{HOST}:{port}/services/emberhub"
        await _answers(f"{url}/health", service, plan.directory / "service.log")
        await _warm(plan)
        yield {name: Access({ENV_URL: url, ENV_TOKEN: token}) for token, name in tokens.items()}
    finally:
        if service.returncode is None:
            service.send_signal(signal.SIGTERM)
        await asyncio.wait_for(service.wait(), STOP_TIMEOUT)
        ending = await _python(plan, "service", environment, "--shutdown", *arguments)
        await asyncio.wait_for(ending.wait(), STOP_TIMEOUT)
        hub.stop()
        await hub.close_all_connections()


def site_text(plan: Plan) -> str:
    """The site's file: everything as it is by default, but for the pool, and patience with starts."""
    size = {"cores": SHAPE.millicores // 1000, "memory": f"{SHAPE.memory >> 30}G"}
    pool = {"cores": plan.executors * SHAPE.millicores // 1000, "memory": f"{plan.executors * SHAPE.memory >> 30}G"}
    profile = {
        "name": "small",
        "executor": size,
        "executors": {"min": 0, "max": plan.executors},
        "default": True,
        "conf": {"spark.executor.extraJavaOptions": QUICK} if plan.tuning == "tuned" else {},
        "warm": plan.warm,
    }
    site = {
        "pools": [{"name": "main", **pool}],
        "profiles": [profile],
        "rules": {"driver_start_timeout": "900s"},
    }
    return json.dumps(site, indent=2)  # YAML too


class _Whoami(RequestHandler):
    """The hub's answer to whose a token is."""

    def initialize(self, tokens: dict[str, str]) -> None:
        self.tokens = tokens

    def get(self) -> None:
        name = self.tokens.get(self.request.headers.get("Authorization", "").removeprefix("token "))
        if name is None:
            self.set_status(403)
            self.finish({"status": 403, "message": "Forbidden"})
        else:
            self.finish({"kind": "user", "name": name, "groups": [], "scopes": [ACCESS]})


class _Users(RequestHandler):
    """The hub's answer to who is logged in: everybody."""

    def initialize(self, tokens: dict[str, str]) -> None:
        self.tokens = tokens

    def get(self) -> None:
        self.finish(json.dumps([{"name": name} for name in self.tokens.values()]))


def _stand_in(tokens: dict[str, str]) -> tuple[HTTPServer, int]:
    """What stands in for the hub: it knows whose each token is, and nothing else."""
    known = {"tokens": tokens}
    routes = [("/hub/api/user", _Whoami, known), ("/hub/api/users", _Users, known)]
    server = HTTPServer(Application(routes, log_function=lambda _: None))
    sockets = bind_sockets(0, HOST)
    server.add_sockets(sockets)
    return server, int(sockets[0].getsockname()[1])


async def _python(plan: Plan, name: str, environment: dict[str, str], *arguments: str) -> asyncio.subprocess.Process:
    with (plan.directory / f"{name}.log").open("ab") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "emberhub_service",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | environment,
            start_new_session=True,
        )


async def _warm(plan: Plan) -> None:
    """Wait for the warm drivers, as a class finds them that logs in before it begins."""
    deadline = asyncio.get_running_loop().time() + START_TIMEOUT
    while True:
        logs = [path for path in plan.events.iterdir() if not path.name.startswith(".")]
        spare = memory.executors(plan.directory) >= min(1, plan.warm)
        if len(logs) >= plan.warm and spare:
            return
        if asyncio.get_running_loop().time() > deadline:
            raise EmberhubError(f"{plan.warm} warm drivers did not start; see {plan.directory}/service.log")
        await asyncio.sleep(0.5)


async def _answers(url: str, service: asyncio.subprocess.Process, log: Path) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask() -> bool:
        try:
            with opener.open(url, timeout=2) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    deadline = asyncio.get_running_loop().time() + START_TIMEOUT
    while not await asyncio.to_thread(ask):
        if service.returncode is not None or asyncio.get_running_loop().time() > deadline:
            raise EmberhubError(f"the service did not start; see {log}")
        await asyncio.sleep(0.1)
