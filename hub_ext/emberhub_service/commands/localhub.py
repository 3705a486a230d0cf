"""A whole hub on this machine: where it keeps its things and listens, and what it is started with."""

from __future__ import annotations

import json
import os
import secrets
import socket
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from emberhub.errors import EmberhubError

from . import leftovers

HOST = "127.0.0.1"

_CONFIG = """\
# Written by `emberhub` each time it starts this hub; changes here are lost.
from emberhub_service.commands.localconfig import configure_local

configure_local(c, {settings!r})  # noqa: F821 (JupyterHub gives `c`)
"""

_SITE = """\
# What this hub shares, and what its users may pick. A change is picked up without a restart.
pools:
  - name: main
    cores: {executors}
    memory: {executors}G

profiles:
  - name: small
    title: Small
    description: One core and 1 GB for each executor.
    executor: {{cores: 1, memory: 1G}}
    executors: {{min: 0, max: {executors}}}
    default: true
    # Drivers kept ready, so that a cluster is there at once. Each takes half a gigabyte.
    warm: 2
    # Executors start in half the time, and compute more slowly once warm: for a class, not for long queries.
    conf: {{spark.executor.extraJavaOptions: "-XX:TieredStopAtLevel=1"}}
"""


@dataclass(frozen=True)
class LocalHub:
    """Where a local hub keeps its things and listens."""

    state: Path
    port: int
    site: Path
    users: tuple[str, ...] = ()
    """Who may log in; empty: anybody who knows the password."""

    @property
    def url(self) -> str:
        """Address for browsers, without a slash at the end."""
        return f"http://{HOST}:{self.port}"

    @property
    def log(self) -> Path:
        """What the hub, its proxy, the service and the notebook servers write."""
        return self.state / "hub.log"

    @property
    def password_file(self) -> Path:
        """Holds the password for every user."""
        return self.state / "password"

    @property
    def admin_password_file(self) -> Path:
        """Holds the password of the user `admin`."""
        return self.state / "admin-password"


def prepare(state: Path, port: int, executors: int, site: Path | None = None, users: tuple[str, ...] = ()) -> LocalHub:
    """Make the state directory and what is to be in it. Raises EmberhubError where the hub cannot run."""
    state = state.absolute()
    running = leftovers.processes(state) if state.exists() else []
    if running:
        raise EmberhubError(
            f"a hub already runs in {state} (process {running[0].pid}): stop it, or choose another --state"
        )
    if port and not _is_free(port):
        raise EmberhubError(f"port {port} is in use: stop what uses it, or choose another --port")
    if site is not None and not site.exists():
        raise EmberhubError(f"there is no file {site}: write it, or leave --site out to get one to edit")
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    ports = free_ports(4)
    hub = LocalHub(state, port or ports[3], (site or state / "emberhub.yaml").absolute(), users)
    if not hub.site.exists():
        hub.site.write_text(_SITE.format(executors=executors))
    _keep_secret(hub.password_file, 12)
    _keep_secret(hub.admin_password_file, 32)
    settings = {
        "state": str(state),
        "port": hub.port,
        "hub_port": ports[0],
        "proxy_api_port": ports[1],
        "service_port": ports[2],
        "site": str(hub.site),
        "users": list(users),
    }
    (state / "jupyterhub_config.py").write_text(_CONFIG.format(settings=settings))
    return hub


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _keep_secret(path: Path, size: int) -> None:
    """Write a random secret that only this user can read, unless there is one from an earlier run."""
    if path.exists():
        return
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(size) + "\n")


def write_json(path: Path, facts: dict[str, object]) -> None:
    """Write facts for programs to read."""
    path.write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n")
