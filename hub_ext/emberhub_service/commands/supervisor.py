"""Runs a local hub as a child process, and sees to it that nothing of it is left."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from types import FrameType

from emberhub.errors import EmberhubError
from emberhub.java import find_java
from emberhub_driver import archive

from . import leftovers
from .localhub import LocalHub

START_TIMEOUT = 120.0
STOP_TIMEOUT = 60.0


class Interrupted(EmberhubError):
    """Somebody pressed Ctrl-C or sent SIGTERM while the hub was being started or used."""


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
        self._prepare_java()
        self._process = self._launch("jupyterhub", "--config", str(self.hub.state / "jupyterhub_config.py"))
        until = time.monotonic() + START_TIMEOUT
        for path in ("/hub/health", "/services/emberhub/health"):
            while not answers(self.hub.url + path):
                if time.monotonic() > until:
                    raise EmberhubError(
                        f"the hub did not answer at {path} in {START_TIMEOUT:.0f} s; see {self.hub.log}"
                    )
                self.wait(0.25)

    def _prepare_java(self) -> None:
        """Make Java's class-data archives where they are missing: in a class they would compete with the first queries.

        Without them everything works, and starts more slowly: whatever goes wrong is told and passed over.
        """
        if archive.find(find_java()).driver:
            return
        self._say("Preparing Java for fast starts; this is done once, and takes about half a minute …")
        process = self._process = self._launch("emberhub_driver.archive")
        while process.poll() is None:
            self.check()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.5)
        if process.returncode:
            self._say(f"Java could not be prepared, so clusters start more slowly; see {self.hub.log}")

    def _launch(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Run a Python module as this hub's: its output goes to the hub's log, and it ends with the hub."""
        with self.hub.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.hub.state,
                env={**os.environ, leftovers.ENV_STATE: str(self.hub.state)},
                start_new_session=True,
            )

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
        service = f"--EmberhubService.state_dir={self.hub.state}", f"--EmberhubService.site={self.hub.site}"
        self._launch("emberhub_service", "--shutdown", *service).wait(STOP_TIMEOUT)


def answers(url: str) -> bool:
    """Whether a page can be had there."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
