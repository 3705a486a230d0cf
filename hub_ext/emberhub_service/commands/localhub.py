"""A whole hub on this machine: JupyterHub, its proxy, the Emberhub service and Spark, started and ended together."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from emberhub.errors import EmberhubError

from . import leftovers

HOST = "127.0.0.1"
START_TIMEOUT = 120.0
STOP_TIMEOUT = 60.0

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
"""


class Interrupted(EmberhubError):
    """Somebody pressed Ctrl-C or sent SIGTERM while the hub was being started or used."""


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


class Supervisor:
    """Runs a local hub as a child, and leaves no process behind. Use it in a `with` statement in the main thread.

    From its beginning to its end, SIGINT, SIGTERM and SIGHUP are caught: the first makes `wait` raise Interrupted,
    later ones change nothing, so that cleaning up is never interrupted. What may block for long belongs in another
    thread.
    """

    def __init__(self, hub: LocalHub, say: Callable[[str], None]) -> None:
        self.hub = hub
        self.left = 0
        """Processes that had to be looked for and ended at the end; 0 after a proper stop."""
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self._wanted_down = False
        self._handlers: dict[int, object] = {}

    def __enter__(self) -> Supervisor:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # A handler of our own is also what resets, in the children, a SIGINT that a shell's `&` has ignored.
            self._handlers[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        self._wanted_down = True
        try:
            self._stop()
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)  # type: ignore[arg-type]

    def start(self) -> None:
        """Start the hub and return when it and the service answer. Raises EmberhubError, Interrupted."""
        self.check()
        environment = {**os.environ, leftovers.ENV_STATE: str(self.hub.state)}
        with self.hub.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jupyterhub", "--config", str(self.hub.state / "jupyterhub_config.py")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.hub.state,
                env=environment,
                start_new_session=True,
            )
        until = time.monotonic() + START_TIMEOUT
        for path in ("/hub/health", "/services/emberhub/health"):
            while not _answers(self.hub.url + path):
                if time.monotonic() > until:
                    raise EmberhubError(
                        f"the hub did not answer at {path} in {START_TIMEOUT:.0f} s; see {self.hub.log}"
                    )
                self.wait(0.25)

    def wait(self, seconds: float | None = None) -> None:
        """Let time pass while the hub runs. Raises Interrupted, and EmberhubError if the hub has ended by itself."""
        assert self._process is not None
        until = None if seconds is None else time.monotonic() + seconds
        while until is None or time.monotonic() < until:
            self.check()
            left = 0.5 if until is None else max(0.0, min(0.5, until - time.monotonic()))
            try:
                status = self._process.wait(left)
            except subprocess.TimeoutExpired:
                continue
            raise EmberhubError(f"the hub ended by itself with status {status}; see the end of {self.hub.log}")

    def check(self) -> None:
        """Raises Interrupted if somebody wants this to end."""
        if self._wanted_down:
            raise Interrupted("interrupted")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self._wanted_down:
            self._say("Still stopping; please wait.")
            return
        # Raising from here could strike between any two steps, those of cleaning up included.
        self._wanted_down = True

    def _stop(self) -> None:
        if self._process is None:
            return
        self._say("Stopping the hub and everything that it started.")
        try:
            if self._process.poll() is None:
                self._process.terminate()
            self._process.wait(STOP_TIMEOUT)
            self._stop_spark()
        except subprocess.TimeoutExpired as late:
            who = "Spark" if "--shutdown" in late.cmd else "The hub"
            self._say(f"{who} did not stop in {STOP_TIMEOUT:.0f} s and is ended by force.")
        finally:
            self.left = leftovers.end(self.hub.state)
            self._process.wait()

    def _stop_spark(self) -> None:
        """Drivers and executors outlive the service by design: tell the service's backend to end them all."""
        command = [
            sys.executable,
            "-m",
            "emberhub_service",
            "--shutdown",
            f"--EmberhubService.state_dir={self.hub.state}",
            f"--EmberhubService.site={self.hub.site}",
        ]
        with self.hub.log.open("ab") as log:
            subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, leftovers.ENV_STATE: str(self.hub.state)},
                start_new_session=True,
                timeout=STOP_TIMEOUT,
                check=False,
            )


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


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def write_json(path: Path, facts: dict[str, object]) -> None:
    """Write facts for programs to read."""
    path.write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n")
