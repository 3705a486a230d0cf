"""`python -m emberhub_driver.engine DIRECTORY`: a Spark standalone master and worker on this machine.

The engine outlives the service that started it, so that a restarted service finds executors at work. It ends, and
both Java processes with it, on SIGTERM or when nobody has held the directory's `service.lock` for a while.

In DIRECTORY, which only its user can read:

* `pool.json`: what the worker is to offer, `{"cores": 4, "memory": BYTES, "abandoned_after": SECONDS}`. Written by
  the service; read again on SIGHUP. Growth adds a worker with the difference; a smaller pool is the service's to
  keep, by granting less.
* `secret`: authenticates every connection between master, workers, drivers and executors.
* `engine.json`: written when drivers can register: pid and the master's address.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import logging
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from emberhub.java import find_java

from . import archive, scratch
from .conf import MIB, write_properties
from .jvm import classpath, module_options, quick_start_options, spark_environment

log = logging.getLogger("emberhub.engine")

HOST = "127.0.0.1"
TICK = 0.5
ANOTHER = 3
"""Exit status when another engine runs in the directory."""
LOCK_EVERY = 2.0
START_TIMEOUT = 120.0
STOP_TIMEOUT = 8.0
_MASTER = "org.apache.spark.deploy.master.Master"
_WORKER = "org.apache.spark.deploy.worker.Worker"


@dataclass
class Daemon:
    """One Java process of the engine, started again if it ends."""

    name: str
    arguments: list[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    scratch: Path = Path()


class Engine:
    """The master and the workers in one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ending = False
        self.resized = False
        # A signal writes to this pair, which ends a wait at once.
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        self._java = find_java()
        self._options = quick_start_options(archive.find(self._java).driver)
        self._daemons: list[Daemon] = []
        self._offered = (0, 0)
        self._abandoned_after = 300.0
        self._training: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Serve until told to end or abandoned."""
        self._prepare()
        port = self._port()
        url = f"spark://{HOST}:{port}"
        try:
            self._launch(Daemon("master", [_MASTER, "--port", str(port)]))
            if not self._await_master(port):
                return
            self._offer(url)
            self._announce(url)
            self._training = archive.train_in_background(self._java)
            self._supervise(url)
        finally:
            self._end()

    # --- start ---------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        for name in ("work", "scratch", "recovery"):
            (self.directory / name).mkdir(mode=0o700, exist_ok=True)
        # At once: they may have filled the disk.
        self._clear()
        secret = self.directory / "secret"
        if not secret.exists():
            with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(32))
        write_properties(
            {
                "spark.authenticate": "true",
                "spark.authenticate.secret": secret.read_text(),
                "spark.network.crypto.enabled": "false",
                "spark.master.rest.enabled": "false",
                "spark.ui.killEnabled": "false",
                # Spark always serves these pages, and they show every user's logs: shut with a key that nobody has.
                "spark.ui.filters": "org.apache.spark.ui.JWSFilter",
                "spark.org.apache.spark.ui.JWSFilter.param.secretKey": secrets.token_urlsafe(48),
                "spark.deploy.recoveryMode": "FILESYSTEM",
                "spark.deploy.recoveryDirectory": str(self.directory / "recovery"),
                "spark.deploy.retainedApplications": "5",
                "spark.worker.timeout": "30",
                "spark.worker.ui.retainedExecutors": "5",
                "spark.worker.cleanup.enabled": "true",
                "spark.worker.cleanup.interval": "600",
                "spark.worker.cleanup.appDataTtl": "600",
            },
            self.directory / "engine.properties",
        )

    def _port(self) -> int:
        """The port of the engine that was here before, so that its drivers find the master again; else a free one."""
        note = self.directory / "port"
        wished = int(note.read_text()) if note.exists() else 0
        for port in (wished, 0):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((HOST, port))
                except OSError:
                    continue
                found = int(probe.getsockname()[1])
            note.write_text(str(found))
            return found
        raise OSError(f"no free port on {HOST}")

    def _launch(self, daemon: Daemon) -> None:
        daemon.scratch = scratch.fresh(self.directory / "scratch", daemon.name)
        command = [
            str(self._java.command), "-cp", classpath(), "-Xmx256m", *self._options, *module_options(),
            daemon.arguments[0], "--properties-file", str(self.directory / "engine.properties"),
            "--host", HOST, "--webui-port", "0", *daemon.arguments[1:],
        ]  # fmt: skip
        with (self.directory / f"{daemon.name}.log").open("ab") as output:
            daemon.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env=spark_environment(self._java, HOST) | {scratch.ENV_SCRATCH: str(daemon.scratch)},
                preexec_fn=_end_with_parent,  # noqa: PLW1509 (this process has one thread)
            )
        daemon.started = time.monotonic()
        if daemon not in self._daemons:
            self._daemons.append(daemon)

    def _await_master(self, port: int) -> bool:
        deadline = time.monotonic() + START_TIMEOUT
        while not self._told_to_end(0.05):
            with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
                return True
            process = self._daemons[0].process
            if time.monotonic() > deadline or process is None or process.poll() is not None:
                log.error("the Spark master did not start; see master.log")
                return False
        return False

    def _offer(self, url: str) -> None:
        """Have the workers offer at least the pool."""
        pool = json.loads((self.directory / "pool.json").read_text())
        self._abandoned_after = float(pool.get("abandoned_after", self._abandoned_after))
        wanted = (int(pool["cores"]), int(pool["memory"]) // MIB)
        cores, memory = (max(0, want - have) for want, have in zip(wanted, self._offered, strict=True))
        if cores == 0 and memory == 0:
            return
        number = len(self._daemons)
        # A worker offers at least one core and some memory.
        size = ["--cores", str(max(1, cores)), "--memory", f"{max(1, memory)}m"]
        self._launch(Daemon(f"worker-{number}", [_WORKER, *size, "--work-dir", str(self.directory / "work"), url]))
        self._offered = (max(wanted[0], self._offered[0]), max(wanted[1], self._offered[1]))

    def _announce(self, url: str) -> None:
        aside = self.directory / "engine.json.new"
        aside.write_text(json.dumps({"pid": os.getpid(), "master": url}))
        aside.replace(self.directory / "engine.json")

    # --- run -----------------------------------------------------------------------------------------------------

    def _supervise(self, url: str) -> None:
        held = checked = time.monotonic()
        while not self._told_to_end(TICK):
            now = time.monotonic()
            if self.resized:
                self.resized = False
                self._offer(url)
            if self._training is not None and self._training.poll() is not None:
                self._training = None
            for daemon in self._daemons:
                # One that keeps failing is tried once a second, not as fast as it can fail.
                if daemon.process is not None and daemon.process.poll() is not None and now - daemon.started > 1.0:
                    log.warning("%s ended with status %s; starting it again", daemon.name, daemon.process.returncode)
                    self._launch(daemon)
            if now - checked >= LOCK_EVERY:
                checked = now
                self._clear()
                if self._service_is_there():
                    held = now
                elif now - held > self._abandoned_after:
                    log.warning("no service for %.0f seconds: ending", now - held)
                    return

    def _clear(self) -> None:
        """Delete the blocks that executors have left."""
        scratch.clear(self.directory / "scratch", [daemon.scratch for daemon in self._daemons])

    def _told_to_end(self, seconds: float) -> bool:
        """Wait, less long if a signal comes. Returns whether it was one to end."""
        if not self.ending and select.select([self._woken], [], [], seconds)[0]:
            with contextlib.suppress(BlockingIOError):
                self._woken.recv(4096)
        return self.ending

    def _service_is_there(self) -> bool:
        with (self.directory / "service.lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return True
            return False

    # --- end -----------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        (self.directory / "engine.json").unlink(missing_ok=True)
        if self._training is not None:
            archive.stop_training(self._training)
        # Workers first: they take their executors with them.
        processes = [daemon.process for daemon in reversed(self._daemons) if daemon.process is not None]
        deadline = time.monotonic() + STOP_TIMEOUT
        for process in processes:
            process.terminate()
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
            process.kill()
            process.wait()


def _end_with_parent() -> None:
    """Have the kernel end this process when the engine is killed, where the kernel can (Linux)."""
    with contextlib.suppress(OSError, AttributeError):
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def main() -> int:
    """Run the engine of the directory that is the only argument."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    os.umask(0o077)
    directory = Path(sys.argv[1])
    alone = (directory / "engine.lock").open("a")
    try:
        fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        log.error("another engine runs in %s", directory)
        return ANOTHER
    engine = Engine(directory)

    def end(_number: int, _frame: object) -> None:
        engine.ending = True

    def resize(_number: int, _frame: object) -> None:
        engine.resized = True

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGHUP, resize)
    engine.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
