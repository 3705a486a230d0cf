"""A service in a process of its own, with thirty stand-in drivers and a stub of the hub: what `bench panel` looks at.

Run as a module with a directory. It tells its address in a line of JSON; a number on its standard input says how many
clusters a second change what they want from then on, besides one that changes all the time.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from emberhub_spawner.fake import FakeBackend, FakeDriver
from jupyterhub.services.auth import HubOAuth
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from ..api.identity import ACCESS
from ..service import Service

STUDENTS = 30
TEACHER = "teacher"
HOT = 20.0
"""Changes a second of the one cluster that changes all the time."""

_SITE = """
pools: [{name: main, cores: 60, memory: 120G}]
queues:
  name: everyone
  children:
    - {name: class, groups: [students], instructors: [teachers]}
profiles: [{name: small, title: Small, executor: {cores: 1, memory: 1G}, executors: {min: 0, max: 4}, default: true}]
rules: {idle_after: 2s}
"""


def student(number: int) -> str:
    """Name, and token, of a student."""
    return f"student-{number:02}"


class _Whoami(RequestHandler):
    def get(self) -> None:
        name = self.request.headers.get("Authorization", "").removeprefix("token ")
        groups = ["teachers"] if name == TEACHER else ["students"]
        self.finish(json.dumps({"kind": "user", "name": name, "groups": groups, "scopes": [ACCESS]}))


class _Users(RequestHandler):
    def get(self) -> None:
        self.finish("[]")


async def _serve(directory: Path) -> None:
    sockets = bind_sockets(0, "127.0.0.1")
    hub = HTTPServer(Application([("/hub/api/user", _Whoami), ("/hub/api/users", _Users)]))
    hub.add_sockets(sockets)
    site = directory / "emberhub.yaml"
    site.write_text(_SITE)
    service = Service(
        site=site,
        state_dir=directory / "state",
        make_backend=lambda where, pools: FakeBackend(directory=where, pools=pools),
        auth=HubOAuth(
            api_url=f"http://127.0.0.1:{sockets[0].getsockname()[1]}/hub/api",
            api_token="of-the-service",  # noqa: S106 (the stub does not look at it)
            base_url="/services/emberhub/",
            oauth_client_id="service-emberhub",
            access_scopes={ACCESS},
            cache_max_age=3600,
        ),
        host="127.0.0.1",
        port=0,
    )
    await service.start()
    url = f"http://127.0.0.1:{service.port}/services/emberhub"
    try:
        await _start_clusters(url)
        backend: Any = service.backend
        print(json.dumps({"url": url}), flush=True)
        await _obey(list(backend.drivers.values()))
    finally:
        await service.stop()


async def _start_clusters(url: str) -> None:
    """One for each student."""
    http = AsyncHTTPClient()
    for number in range(STUDENTS):
        headers = {"Authorization": f"token {student(number)}"}
        made = await http.fetch(HTTPRequest(f"{url}/api/clusters", method="POST", headers=headers, body="{}"))
        cluster = json.loads(made.body)
        while not cluster["ready"]:
            query = f"?after={cluster['version']}&wait=30"
            where = f"{url}/api/clusters/{cluster['id']}{query}"
            cluster = json.loads((await http.fetch(HTTPRequest(where, headers=headers, request_timeout=60))).body)


async def _obey(drivers: list[FakeDriver]) -> None:
    """Change what clusters want as standard input says, until it ends."""
    loop, tasks = asyncio.get_running_loop(), set[asyncio.Task[None]]()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        for task in tasks:
            task.cancel()
        tasks = set()
        if rate := float(line):
            tasks = {
                asyncio.create_task(_change(drivers[1:], rate)),
                asyncio.create_task(_change(drivers[:1], HOT)),
            }


async def _change(drivers: list[FakeDriver], rate: float) -> None:
    turn = 0
    while True:
        await drivers[turn % len(drivers)].work(1 + turn // len(drivers) % 2)
        turn += 1
        await asyncio.sleep(1 / rate)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
