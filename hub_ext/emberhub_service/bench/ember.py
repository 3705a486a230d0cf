"""The service as a place for the workshop: a process of its own, and a stand-in for the hub that it asks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Collection
from dataclasses import replace
from pathlib import Path

from emberhub.errors import EmberhubError
from emberhub.http import ENV_TOKEN, ENV_URL
from emberhub_spawner.backend import DriverSpec
from emberhub_spawner.local import LocalBackend
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from ..api.identity import ACCESS
from ..commands import leftovers
from . import memory
from .plans import HOST, QUICK, SHAPE, Access, Plan, event_log

START_TIMEOUT = 180.0
STOP_TIMEOUT = 90.0


class Measured(LocalBackend):
    """The local backend, whose drivers log their events."""

    async def start(self, spec: DriverSpec) -> None:
        events = Path(os.environ[leftovers.ENV_STATE]) / "events"
        await super().start(replace(spec, conf=spec.conf | event_log(events)))


class MeasuredPlain(Measured):
    """The same, with Java's default flags."""

    tuned = False


def kind_of(plan: Plan) -> type[Measured]:
    """The backend for a plan's tuning."""
    return Measured if plan.tuning == "tuned" else MeasuredPlain


@contextlib.asynccontextmanager
async def ember(plan: Plan) -> AsyncIterator[dict[str, Access]]:
    site = plan.directory / "emberhub.yaml"
    site.write_text(site_text(plan))
    tokens = {secrets.token_urlsafe(24): name for name in plan.names}
    hub, hub_port = _stand_in(tokens)
    sockets = bind_sockets(0, HOST)
    port = sockets[0].getsockname()[1]
    sockets[0].close()
    kind = kind_of(plan)
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
        await answers(f"{url}/health", service, plan.directory / "service.log")
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


async def warmed(plan: Plan, used: Collection[str] = ()) -> str:
    """Wait until as many drivers are warm as are to be, and one of them has run its queries on a spare executor.

    So finds them who comes to a machine that has nothing to do. Those `used` before must have gone, with their
    executors. Returns the name of the one with an executor; an empty one where none is to be warm.

    Raises EmberhubError.
    """
    deadline = asyncio.get_running_loop().time() + START_TIMEOUT * (1 + plan.warm / 10)
    while plan.warm:
        told = {}
        with contextlib.suppress(FileNotFoundError):  # one that was used is just going
            told = {log.parent.name: log.read_text() for log in plan.directory.glob("**/drivers/w-*/driver.log")}
        planned = [name for name, text in told.items() if "warming up (plan) ended" in text]
        ran = [name for name, text in told.items() if "warming up (run) ended" in text]
        if len(planned) == len(told) == plan.warm and ran and not told.keys() & set(used):
            executors = await asyncio.to_thread(memory.executors, plan.directory)
            if executors == len(ran):
                return ran[0]
        if asyncio.get_running_loop().time() > deadline:
            raise EmberhubError(f"{plan.warm} warm drivers did not start; see {plan.directory}/service.log")
        await asyncio.sleep(0.5)
    return ""


async def rested(plan: Plan) -> None:
    """Wait until no executor is left. Raises EmberhubError."""
    deadline = asyncio.get_running_loop().time() + START_TIMEOUT
    while left := await asyncio.to_thread(memory.executors, plan.directory):
        if asyncio.get_running_loop().time() > deadline:
            raise EmberhubError(f"{left} idle executors were not given back; see {plan.directory}/service.log")
        await asyncio.sleep(0.5)


async def answers(url: str, service: asyncio.subprocess.Process, log: Path) -> None:
    """Wait until a process answers at an address. Raises EmberhubError if it ends before, or takes too long."""
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
            raise EmberhubError(f"{url} did not answer; see {log}")
        await asyncio.sleep(0.1)
