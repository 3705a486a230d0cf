"""The whole service, put together: what `app` runs, and what tests run in their own process."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from socket import socket as Socket  # noqa: N812 (the module api.socket is another)
from typing import IO

from emberhub.errors import ConfigError, EmberhubError
from emberhub.wire.resources import Resources
from emberhub_spawner.backend import Backend
from jupyterhub.services.auth import HubOAuth
from msgspec.structs import replace
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from .api.identity import Identity
from .api.livy import livy_handlers
from .api.presence import people_with_servers
from .api.server import make_server
from .config import Changes, Site, load_site, parse_site
from .control.agents import Agents
from .control.controller import Controller
from .control.metrics import Metrics
from .control.questions import Questions
from .control.queues import Queues
from .control.reconciler import Reconciler
from .control.requests import Requests
from .control.sessions import Sessions
from .control.sparkui import SparkUi
from .control.state import Clock, State
from .control.troubles import Troubles
from .control.warm import WarmDrivers
from .control.watch import Watch
from .records import open_records
from .web.feed import Feed
from .web.pages import pages
from .web.sparkui import spark_pages

log = logging.getLogger(__name__)

PATIENCE = 30.0
"""Seconds to wait for a predecessor to let go of its lock and its port."""
_PAUSE = 0.1
_SECRET_BYTES = 32

BackendFactory = Callable[[Path, dict[str, Resources]], Backend]


class Service:
    """One running service. Everything is done in `start`, and undone in `stop`; drivers outlive both."""

    def __init__(
        self,
        *,
        site: Path,
        state_dir: Path,
        make_backend: BackendFactory,
        auth: HubOAuth,
        host: str,
        port: int,
        prefix: str = "/services/emberhub/",
        db_url: str = "",
        agent_url: str = "",
    ) -> None:
        self.site = site
        self.state_dir = state_dir
        self.make_backend = make_backend
        self.auth = auth
        self.identity = Identity(auth)
        self.host = host
        self.port = port
        self.prefix = prefix
        self.db_url = db_url or f"sqlite:///{state_dir.absolute() / 'emberhub.sqlite'}"
        self.agent_url = agent_url
        self._lock: IO[str] | None = None

    async def start(self) -> None:
        """Returns when requests are answered. Raises ConfigError, or EmberhubError where a predecessor stays."""
        self.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = await _locked(self.state_dir / "service.lock")
        self.records = open_records(self.db_url)
        try:
            site, error = self._first_site(self.records.queue_changes())
        except ConfigError:
            self.records.close()
            raise
        self.state = state = State(site, self.records, Clock(self.records.latest()))
        state.config_error = error
        sockets = await _bound(self.host, self.port)
        self.port = sockets[0].getsockname()[1]
        agent_url = self.agent_url or f"ws://{_reachable(self.host)}:{self.port}{self.prefix}agent"
        try:
            self.backend = self.make_backend(self.state_dir / "backend", capacities(site))
        except ValueError as wrong:
            raise ConfigError(f"the configuration does not suit the backend: {wrong}") from None
        self.metrics = Metrics()
        self.reconciler = Reconciler(state, self.backend, agent_url, self._changed)
        self.controller = Controller(state, self.metrics, self.reconciler.enqueue)
        questions = Questions(state)
        agents = Agents(state, self.metrics, self.controller, self.reconciler.enqueue, questions)
        self.watch = Watch(self.site, state, self.records, self._site_changed)
        queues = Queues(state, self.watch)
        requests = Requests(state, self.controller, self.metrics, self.reconciler.enqueue, queues)
        # Drivers that call before it is known which were left running would be sent away for good.
        await self.reconciler.open()
        self.controller.start()
        self.feed = Feed(state)
        self.server: HTTPServer = make_server(
            self.prefix,
            requests,
            agents,
            self.identity,
            site.heartbeat,
            cookie_secret=_kept_secret(self.state_dir / "page-cookie-secret"),
            pages=[
                *pages(self.prefix, self.identity, self.feed),
                *livy_handlers(
                    self.prefix,
                    requests,
                    self.identity,
                    Sessions(state, self.records, requests, questions, self.prefix),
                ),
                spark_pages(self.prefix, self.identity, SparkUi(state, requests)),
            ],
        )
        self.server.add_sockets(sockets)
        self.warm = WarmDrivers(state, self.reconciler.enqueue, lambda: people_with_servers(self.auth))
        troubles = Troubles(state, self.backend)
        self._tasks = [asyncio.create_task(each.run()) for each in (self.watch, self.warm, troubles, state.journal)]
        log.info("the service listens on http://%s:%d%s", self.host, self.port, self.prefix)

    async def stop(self) -> None:
        """End, and leave drivers and executors as they are."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.server.stop()
        self.feed.say_farewell()
        self.controller.close()
        try:
            self.state.journal.write()
        except Exception as wrong:
            log.error("the last decisions are not written down: %s", wrong)
        await self.reconciler.close()
        self.state.release()
        for live in self.state.lives.values():
            if live.link is not None:
                live.link.close(1001, "The service ends; another will take over.")
        await self.server.close_all_connections()
        await self.backend.close()
        await self.identity.close()
        self.records.close()
        if self._lock is not None:
            self._lock.close()

    def _changed(self) -> None:
        self.controller.changed()

    # --- configuration ---

    @property
    def _last_good(self) -> Path:
        return self.state_dir / "site.last-good.yaml"

    def _first_site(self, changes: Changes) -> tuple[Site, str]:
        """The site's file with what was changed of its queues; if that is wrong, what was last in force, and why."""
        try:
            site, error = load_site(self.site, changes), ""
            self._keep_good()
        except ConfigError as wrong:
            if self._last_good.exists():
                site = parse_site(self._last_good.read_text(), self._last_good.name, changes)
                error = f"{wrong}. The configuration from before stays in force."
            else:
                # Still told as changed, so that an admin can take back what does not suit the file.
                kept = {name: tuple(settings) for name, settings in changes.items() if settings}
                site = replace(load_site(self.site), changed=kept)
                error = f"{wrong}. The file's own queues are in force."
            log.error("%s", error)
        return site, error

    def _keep_good(self) -> None:
        """Keep a copy of the file that is in force. Where that is not possible, the older copy stays."""
        aside = self._last_good.with_suffix(".new")
        try:
            if self.site.exists():
                aside.write_text(self.site.read_text())
                aside.replace(self._last_good)
        except OSError as wrong:
            log.error("no copy of the configuration in force is kept: %s", wrong)
            aside.unlink(missing_ok=True)

    async def _site_changed(self, site: Site) -> None:
        """Put a configuration in force. Raises ValueError if it does not suit what runs, or the backend."""
        self.state.check_site(site)
        await self.backend.resize(capacities(site))
        self.state.site, self.state.config_error = site, ""
        self._keep_good()
        for live in self.state.lives.values():
            live.welcome(site)
        self.controller.changed()
        self.state.on_change()


def capacities(site: Site) -> dict[str, Resources]:
    """What a backend is told of the pools."""
    return {pool.name: pool.capacity for pool in site.pools}


async def _locked(path: Path) -> IO[str]:
    """Hold this lock file; a predecessor that is just ending has a while to let it go."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    file = os.fdopen(descriptor, "r+")
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except OSError:
            # Another process's lock tells nobody when it goes: it can only be tried again.
            if asyncio.get_running_loop().time() > deadline:
                file.close()
                raise EmberhubError(
                    f"another service uses {path.parent}: stop it, or choose another state_dir"
                ) from None
        await asyncio.sleep(_PAUSE)


def _kept_secret(path: Path) -> bytes:
    """What cookies are signed with: kept, so that people stay logged in when the service is started again."""
    if path.exists() and len(known := path.read_bytes()) >= _SECRET_BYTES:
        return known
    made, aside = secrets.token_bytes(_SECRET_BYTES), path.with_suffix(".new")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(made)
    aside.replace(path)
    return made


async def _bound(host: str, port: int) -> list[Socket]:
    """Listening sockets; as `_locked`, for a port."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while True:
        try:
            return bind_sockets(port, host or None)
        except OSError as wrong:
            if wrong.errno != errno.EADDRINUSE or asyncio.get_running_loop().time() > deadline:
                raise EmberhubError(f"cannot listen on {host}:{port}: {wrong.strerror}") from None
        await asyncio.sleep(_PAUSE)


def _reachable(host: str) -> str:
    """An address for drivers on this machine."""
    if host in ("", "0.0.0.0", "::"):  # noqa: S104 (compared, not bound)
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
