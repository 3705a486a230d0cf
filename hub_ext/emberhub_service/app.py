"""The service as a traitlets application: what JupyterHub starts as `python -m emberhub_service`."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from emberhub.errors import EmberhubError
from jupyterhub.services.auth import HubOAuth
from traitlets import Bool, Unicode, default
from traitlets.config import Application, Configurable
from traitlets.utils.importstring import import_item

from .config import load_site
from .service import BackendFactory, Service, capacities

BACKENDS = {
    "local": "emberhub_spawner.local.LocalBackend",
    "kubernetes": "emberhub_spawner.kubernetes.KubernetesBackend",
    "fake": "emberhub_spawner.fake.FakeBackend",
}
_PARENT_POLL = 1.0


class EmberhubService(Application):
    """Shares executors between the hub's users."""

    name = "emberhub-service"
    description = "The Emberhub service: personal Spark clusters for the users of a JupyterHub."
    aliases = {  # noqa: RUF012 (traitlets' own form)
        "config": "EmberhubService.config_file",
        "site": "EmberhubService.site",
        "state-dir": "EmberhubService.state_dir",
        "backend": "EmberhubService.backend",
    }
    flags = {  # noqa: RUF012
        "shutdown": (
            {"EmberhubService": {"shutdown": True}},
            "End every driver, and what the backend started for them, instead of serving.",
        ),
    }
    classes = [HubOAuth]  # noqa: RUF012

    config_file = Unicode("", help="A traitlets configuration file (.py or .json) to load.").tag(config=True)
    site = Unicode(
        "emberhub.yaml", help="The file with pools, queues and profiles. If it does not exist, the built-in one holds."
    ).tag(config=True)
    state_dir = Unicode("emberhub-state", help="Where records, logs and drivers' files are kept.").tag(config=True)
    db_url = Unicode("", help="SQLAlchemy's URL of the records. Default: a SQLite file in state_dir.").tag(config=True)
    backend = Unicode("local", help="What runs drivers: 'local', 'kubernetes', 'fake', or a class's dotted name.").tag(
        config=True
    )
    agent_url = Unicode(
        "", help="ws:// or wss:// address of the agents' socket, as drivers reach it. Default: where this listens."
    ).tag(config=True)
    service_url = Unicode(help="Where to listen, as http://HOST:PORT. Default: JUPYTERHUB_SERVICE_URL.").tag(
        config=True
    )
    prefix = Unicode(help="Path that all routes are under. Default: JUPYTERHUB_SERVICE_PREFIX.").tag(config=True)
    shutdown = Bool(False, help="End every driver, and what the backend started, instead of serving.").tag(config=True)

    @default("service_url")
    def _default_service_url(self) -> str:
        return os.environ.get("JUPYTERHUB_SERVICE_URL") or "http://127.0.0.1:8089"

    @default("prefix")
    def _default_prefix(self) -> str:
        return os.environ.get("JUPYTERHUB_SERVICE_PREFIX") or "/services/emberhub/"

    @default("log_level")
    def _default_log_level(self) -> int:
        return logging.INFO

    def initialize(self, argv: list[str] | None = None) -> None:
        """Read the command line and the configuration file."""
        super().initialize(argv)
        if self.config_file:
            self.load_config_file(self.config_file)
            # What stands on the command line wins over the file.
            self.update_config(self.cli_config)
        logging.basicConfig(
            level=cast("int | str", self.log_level),
            format="%(asctime)s %(levelname)s %(name)s: %(message)s",
            stream=sys.stderr,
            force=True,
        )

    def make(self) -> Service:
        """The service that this configuration describes. Raises EmberhubError."""
        address = urlsplit(self.service_url)
        if address.hostname is None or address.scheme != "http":
            raise EmberhubError(f"service_url is {self.service_url!r}: write it as http://HOST:PORT")
        prefix = f"/{self.prefix.strip('/')}/" if self.prefix.strip("/") else "/"
        return Service(
            site=Path(self.site),
            state_dir=Path(self.state_dir).absolute(),
            make_backend=self._backend(),
            auth=self._auth(prefix),
            host=address.hostname,
            port=address.port if address.port is not None else 80,
            prefix=prefix,
            db_url=self.db_url,
            agent_url=self.agent_url,
        )

    def _auth(self, prefix: str) -> HubOAuth:
        defaults = {
            "base_url": prefix,
            "cache_max_age": 60,
            "oauth_client_id": os.environ.get("JUPYTERHUB_CLIENT_ID") or "service-emberhub",
        }
        mine = {**self.config.get("HubAuth", {}), **self.config.get("HubOAuth", {})}
        return HubOAuth(parent=self, **{key: value for key, value in defaults.items() if key not in mine})

    def _backend(self) -> BackendFactory:
        name = BACKENDS.get(self.backend, self.backend)
        try:
            found: Any = import_item(name)
        except ImportError as wrong:
            raise EmberhubError(f"backend {self.backend!r} cannot be loaded: {wrong}") from None
        # A backend with settings of its own finds them in this configuration.
        settings = {"parent": self} if issubclass(found, Configurable) else {}
        return lambda directory, pools: found(directory=directory, pools=pools, **settings)

    def run(self, parent: int) -> int:
        """Serve until SIGTERM or SIGINT, or until the hub that started this (process `parent`) is gone."""
        try:
            asyncio.run(self._shut_down() if self.shutdown else self._serve(parent))
        except EmberhubError as wrong:
            print(f"emberhub service: {wrong}", file=sys.stderr)
            return 1
        except OSError as wrong:
            # A full disk, a directory of somebody else's: for the administrator to put right.
            print(f"emberhub service: {wrong}; see that state_dir can be written and has room", file=sys.stderr)
            return 1
        return 0

    async def _serve(self, parent: int) -> None:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        service = self.make()
        await service.start()
        try:
            # A hub that was killed cannot end its services; the hub after it starts a service of its own.
            managed = bool(os.environ.get("JUPYTERHUB_SERVICE_NAME"))
            while not ended.is_set() and not (managed and os.getppid() != parent):
                try:
                    await asyncio.wait_for(ended.wait(), _PARENT_POLL)
                except TimeoutError:
                    continue
        finally:
            await service.stop()

    async def _shut_down(self) -> None:
        """What `backend.shutdown` does, over the state directory of a service that has ended."""
        backend = self._backend()(Path(self.state_dir).absolute() / "backend", capacities(load_site(Path(self.site))))
        await backend.open(lambda _: None)
        await backend.shutdown()


def main(argv: list[str] | None = None, parent: int = 0) -> int:
    """Run the service; returns its exit status."""
    app = EmberhubService()
    app.initialize(argv)
    return app.run(parent or os.getppid())
