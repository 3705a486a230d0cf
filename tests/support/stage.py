"""A real hub whose service runs in the test's own process, over a fake backend: what drivers do is scripted."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import psutil
from emberhub_service.api.identity import ACCESS
from emberhub_service.commands import leftovers
from emberhub_service.commands.leftovers import ENV_STATE
from emberhub_service.commands.localhub import prepare
from emberhub_service.commands.supervisor import answers
from emberhub_service.service import Service
from emberhub_spawner.fake import FakeBackend, FakeDriver
from jupyterhub.services.auth import HubOAuth

from .hub import Person, ask_for_token, eventually

T = TypeVar("T")

_EXTERNAL = """
services = c.JupyterHub.services.get_value([])  # noqa: F821
services[0].pop("command")
services[0]["api_token"] = {token!r}
c.JupyterHub.services = services  # noqa: F821
c.JupyterHub.load_groups = {groups!r}  # noqa: F821
"""


class Stage:
    """See the module. Anybody may log in; `groups` are the hub's."""

    def __init__(self, directory: Path, site: str, groups: dict[str, list[str]]) -> None:
        self.directory = directory
        self.yaml = directory / "emberhub.yaml"
        self.yaml.write_text(site)
        self.hub = prepare(directory / "hub", 0, 4, self.yaml)
        self.url = self.hub.url
        self.service = f"{self.url}/services/emberhub"
        self._token = secrets.token_urlsafe(24)
        config = self.hub.state / "jupyterhub_config.py"
        members = {name: {"users": users} for name, users in groups.items()}
        config.write_text(config.read_text() + _EXTERNAL.format(token=self._token, groups=members))
        self._people: dict[str, Person] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        with self.hub.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jupyterhub", "--config", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.hub.state,
                env={**os.environ, ENV_STATE: str(self.hub.state)},
                start_new_session=True,
            )
        try:
            self.running: Service = self.do(self._serve())
            eventually(self._answers, f"the hub answers; see {self.hub.log}", 120)
        except BaseException:
            self.end()
            raise

    def restart(self, meanwhile: Callable[[], None]) -> None:
        """The service ends, something happens, and it is started again; drivers live on."""
        port = self.running.port
        self.do(self.running.stop())
        meanwhile()
        self.running = self.do(self._serve())
        assert self.running.port == port

    async def _serve(self) -> Service:
        service = Service(
            site=self.yaml,
            state_dir=self.directory / "state",
            make_backend=lambda directory, pools: FakeBackend(directory=directory, pools=pools),
            auth=self._auth(),
            host="127.0.0.1",
            port=self._service_port(),
        )
        await service.start()
        return service

    def _auth(self) -> HubOAuth:
        settings = self._settings()
        return HubOAuth(
            api_url=f"http://127.0.0.1:{settings['hub_port']}/hub/api",
            api_token=self._token,
            base_url="/services/emberhub/",
            oauth_client_id="service-emberhub",
            access_scopes={ACCESS},
            cache_max_age=60,
        )

    def _settings(self) -> dict[str, Any]:
        text = (self.hub.state / "jupyterhub_config.py").read_text()
        found = re.search(r"^configure_local\(c, (\{.*\})\)", text, re.MULTILINE)
        assert found, text
        return dict(ast.literal_eval(found[1]))

    def _service_port(self) -> int:
        return int(self._settings()["service_port"])

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.hub.log.read_text()
        return all(answers(self.url + path) for path in ("/hub/health", "/services/emberhub/health"))

    # --- people ---

    def password(self, name: str) -> str:
        """What this person logs in with."""
        file = self.hub.admin_password_file if name == "admin" else self.hub.password_file
        return file.read_text().strip()

    def make_token(self, user: str) -> str:
        """A token with which this person reaches the service."""
        return ask_for_token(self.url, user, self.password(user))

    def person(self, name: str) -> Person:
        """Somebody who uses the API."""
        if name not in self._people:
            self._people[name] = Person(self, name)
        return self._people[name]

    def start(self, user: str, wanted: int = 0, **body: Any) -> str:
        """A cluster of this person, running, with work for so many executors; returns its id."""
        person = self.person(user)
        status, cluster = person.ask("POST", "clusters", body)
        assert status in {200, 201}, cluster
        where = f"clusters/{cluster['id']}"
        eventually(lambda: person.ask("GET", where)[1]["ready"], f"the cluster of {user} is ready", 30)
        if wanted:
            self.do(self.driver(cluster["id"]).work(wanted))
        return str(cluster["id"])

    def driver(self, cluster: str) -> FakeDriver:
        """The fake driver of a cluster, to be used with `do`."""
        return self.running.backend.drivers[cluster]  # type: ignore[attr-defined, no-any-return]

    def work(self, cluster: str, wanted: int) -> None:
        """From now on the cluster has work for so many executors."""
        self.do(self.driver(cluster).work(wanted))

    def kill(self, cluster: str, message: str) -> None:
        """The cluster's driver ends by itself."""
        self._loop.call_soon_threadsafe(self.driver(cluster).die, message)

    def clear(self) -> None:
        """Stop every cluster, and forget it."""
        admin = self.person("admin")
        for cluster in self._clusters(admin):
            admin.ask("DELETE", f"clusters/{cluster['id']}")
        ended = {"stopped", "failed"}
        eventually(lambda: all(c["state"] in ended for c in self._clusters(admin)), "every cluster stops", 30)
        self.do(self._forget())

    @staticmethod
    def _clusters(admin: Person) -> list[dict[str, Any]]:
        status, body = admin.ask("GET", "clusters?all=1")
        assert status == 200, body
        return list(body["clusters"])

    async def _forget(self) -> None:
        for record in self.running.state.records():
            self.running.state.remove(record.id)
        self.running.controller.changed()

    # --- the service's thread ---

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the service's loop."""
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(60)

    def end(self) -> None:
        """Stop the service and the hub; nothing may be left."""
        if hasattr(self, "running"):
            self.do(self.running.stop())
            self.do(self.running.backend.shutdown())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(60)
        finally:
            for process in leftovers.processes(self.hub.state):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
