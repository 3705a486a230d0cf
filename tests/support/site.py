"""A real service with real Spark and without a hub: what is asked of the hub, a stub answers."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import emberhub
import msgspec
import psutil
from emberhub_service.alloc.model import Cluster, Snapshot
from emberhub_service.api.identity import ACCESS
from emberhub_service.commands.leftovers import ENV_STATE, processes
from emberhub_service.commands.localhub import free_ports

from .hub import Person, eventually
from .line import Line

_JAVA = {
    "executor": ".CoarseGrainedExecutorBackend",
    "master": "org.apache.spark.deploy.master.Master",
    "worker": "org.apache.spark.deploy.worker.Worker",
}


class _Whoami(BaseHTTPRequestHandler):
    """The hub's `/hub/api/user`: somebody's token is their name and `-token`."""

    def do_GET(self) -> None:
        token = self.headers.get("Authorization", "").removeprefix("token ")
        name = token.removesuffix("-token")
        known = name != token
        model = {"kind": "user", "name": name, "admin": name == "admin", "scopes": [ACCESS]}
        body = json.dumps(model if known else {"status": 403}).encode()
        self.send_response(200 if known else 403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class Site:
    """A state directory, and the service that runs over it. Drivers reach the service over a line that can be cut."""

    host = "127.0.0.1"
    """Where the service listens."""

    def __init__(self, directory: Path, site: str, environment: dict[str, str] | None = None) -> None:
        self.state = directory / "state"
        self.log = directory / "service.log"
        self.yaml = directory / "emberhub.yaml"
        self.yaml.write_text(site)
        self._environment = environment or {}
        self._hub = ThreadingHTTPServer(("127.0.0.1", 0), _Whoami)
        self._hub_thread = threading.Thread(target=self._hub.serve_forever, daemon=True)
        self._hub_thread.start()
        self._port = free_ports(1)[0]
        self.line = Line(self._port, self.host)
        self.service = f"http://{self.host}:{self._port}/services/emberhub"
        self.admin = Person(self, "admin")
        self.process = self.launch()
        try:
            self.await_service()
        except BaseException:
            self.end()
            raise

    def make_token(self, user: str) -> str:
        return f"{user}-token"

    @functools.cache  # noqa: B019 (a site lives as long as the tests of its module)
    def person(self, name: str) -> Person:
        return Person(self, name)

    # --- the service's process ---

    def _command(self, *arguments: str) -> list[str]:
        service = {
            "site": self.yaml,
            "state_dir": self.state,
            "service_url": f"http://{self.host}:{self._port}",
            "agent_url": f"ws://{self.host}:{self.line.port}/services/emberhub/agent",
        }
        settings = [f"--EmberhubService.{key}={value}" for key, value in service.items()]
        return [sys.executable, "-m", "emberhub_service", *settings, *arguments]

    def _env(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("JUPYTERHUB_")}
        return kept | {
            "JUPYTERHUB_API_URL": f"http://127.0.0.1:{self._hub.server_port}/hub/api",
            "JUPYTERHUB_API_TOKEN": "service-token",
            "JUPYTERHUB_OAUTH_ACCESS_SCOPES": json.dumps([ACCESS]),
            ENV_STATE: str(self.state),
            **self._environment,
        }

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the service's process, as a hub does."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env(),
                start_new_session=True,
            )
        return self.process

    def await_service(self) -> None:
        def answers() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return self.answers()

        eventually(answers, "the service answers", 120)

    def answers(self) -> bool:
        with contextlib.suppress(OSError):
            return self.admin.ask("GET", "pool")[0] == 200
        return False

    def restart(self) -> None:
        """What a hub does when its service has died."""
        self.process.wait(60)
        self.launch()
        self.await_service()

    def end(self) -> None:
        """Stop the service and all that it started; nothing may be left, neither process nor file."""
        self.line.heal()
        try:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
            subprocess.run(self._command("--shutdown"), env=self._env(), timeout=60, check=True, capture_output=True)
        finally:
            left = processes(self.state)
            for each in left:
                each.kill()
            self.line.close()
            self._hub.shutdown()
            self._hub_thread.join(10)
            self._hub.server_close()
        assert left == [], f"left behind: {left}"
        assert not (self.state / "backend").exists()

    # --- what there is ---

    def snapshot(self) -> Snapshot:
        """What the service counts."""
        status, body = self.admin.ask("GET", "pool/snapshot")
        assert status == 200, body
        return msgspec.convert(body, Snapshot)

    def counted(self, cluster: emberhub.Cluster) -> Cluster:
        """This cluster, as the service counts it."""
        return next(each for each in self.snapshot().clusters if each.id == cluster.id)

    def running(self, kind: str, cluster: emberhub.Cluster | None = None) -> list[psutil.Process]:
        """Real processes: executors, drivers (their Python), JVMs of drivers, engines, masters, workers."""
        found = []
        for process in processes(self.state):
            with contextlib.suppress(psutil.Error):
                if self._is(process, kind) and (
                    cluster is None or cluster.id in process.environ().get("EMBERHUB_DRIVER", "")
                ):
                    found.append(process)
        return found

    @staticmethod
    def _is(process: psutil.Process, kind: str) -> bool:
        line = process.cmdline()
        match kind:
            case "driver":
                return line[-1:] == ["emberhub_driver"]
            case "jvm":
                parent = process.parent()
                return "java" in line[0] and parent is not None and parent.cmdline()[-1:] == ["emberhub_driver"]
            case "engine":
                return "emberhub_driver.engine" in line
        return any(part.endswith(_JAVA[kind]) for part in line)

    def executors(self, cluster: emberhub.Cluster | None = None) -> list[str]:
        """Ids of the executors that really run, one entry for each process."""
        found = []
        for process in self.running("executor", cluster):
            with contextlib.suppress(psutil.Error, ValueError):
                line = process.cmdline()
                found.append(line[line.index("--executor-id") + 1])
        return sorted(found)

    def files(self) -> list[Path]:
        """What drivers, executors and Spark's worker keep while there are clusters."""
        backend = self.state / "backend"
        return [*(backend / "drivers").iterdir(), *(backend / "work").iterdir(), *backend.glob("scratch/**/executor-*")]
