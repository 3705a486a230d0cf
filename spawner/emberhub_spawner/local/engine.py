"""Hold the engine, Spark's standalone master and worker, from the service's side.

The engine is a process of its own (`python -m emberhub_driver.engine`, which says what is in its directory). It is
left running when the service ends, and found again by the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

import psutil
from emberhub.wire.resources import Resources

from ..backend import StartFailed
from .environment import for_driver
from .processes import Identity

log = logging.getLogger("emberhub.local")

START_TIMEOUT = 120.0
STOP_TIMEOUT = 20.0
LOCK_TIMEOUT = 5.0
_POLL = 0.05
_ANOTHER = 3
"""Exit status of an engine that finds another one in its directory, which starts or ends; that is waited for."""
_AGAIN = 1.0


class EngineClient:
    """The engine of one directory, and the lock that says that a service is there."""

    def __init__(self, directory: Path, abandoned_after: float) -> None:
        self._directory = directory
        self._abandoned_after = abandoned_after
        self._lock: IO[str] | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._identity: Identity | None = None
        self.master = ""

    async def hold(self) -> None:
        """Take the directory's lock. Raises StartFailed if another service has it."""
        if self._lock is not None:
            return
        lock = (self._directory / "service.lock").open("a")
        deadline = time.monotonic() + LOCK_TIMEOUT
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                # The engine looks at the lock by holding it for an instant.
                if time.monotonic() > deadline:
                    lock.close()
                    raise StartFailed(
                        f"Another service already uses {self._directory}: stop it, or choose another state directory"
                    ) from None
            await asyncio.sleep(_POLL)
        self._lock = lock

    def release(self) -> None:
        """Give the lock back; the engine goes on until it is missed for too long."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        if self._child is not None and self._child.returncode is None:
            # It is not ours to wait for any more.
            self._child.returncode = 0

    async def ensure(self, pool: Resources, *, remembered: bool) -> None:
        """Find the engine, or start it; returns when drivers can register. Raises StartFailed.

        `remembered`: drivers of an earlier engine run and look for it, so it takes up what that one knew.
        """
        self._write_pool(pool)
        told = self._told()
        if told is not None:
            self.master = told["master"]
            return
        if not remembered:
            # Else the master would first wait for workers that are long gone.
            shutil.rmtree(self._directory / "recovery", ignore_errors=True)
        for worker in (self._directory / "recovery").glob("worker_*"):
            # Workers end with their engine: the master would wait for theirs before it serves those who are there.
            worker.unlink()
        log.info("starting Spark's master and worker in %s", self._directory)
        child = self._child = self._spawn()
        deadline = time.monotonic() + START_TIMEOUT
        while (told := self._told()) is None:
            if child.poll() not in (None, _ANOTHER) or time.monotonic() > deadline:
                raise StartFailed(
                    f"Spark's master and worker did not start, so tell your administrator: {self._last_words()}"
                )
            if child.poll() == _ANOTHER:
                # That one is about to say where it is; or it ends, and makes room.
                await asyncio.sleep(_AGAIN)
                child = self._child = self._spawn()
            await asyncio.sleep(_POLL)
        self.master = told["master"]

    def _spawn(self) -> subprocess.Popen[bytes]:
        with (self._directory / "engine.log").open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "emberhub_driver.engine", str(self._directory)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=for_driver(),
                start_new_session=True,
            )

    def alive(self) -> bool:
        """Whether the engine still runs."""
        if self._child is not None:
            self._child.poll()  # else it would stay a zombie
        return self._identity is not None and self._identity.alive()

    def resize(self, pool: Resources) -> None:
        """Tell the engine the pool's new size."""
        self._write_pool(pool)
        if self._identity is not None:
            self._identity.send(signal.SIGHUP)

    def secret(self) -> str:
        """What authenticates Spark's own connections."""
        return (self._directory / "secret").read_text()

    async def end(self) -> None:
        """End the engine with its master and workers."""
        told = self._told()
        if told is None or self._identity is None:
            return
        self._identity.send(signal.SIGTERM)
        if not await self._identity.gone(STOP_TIMEOUT):
            log.warning("the engine does not end; killing it")
            self._identity.send(signal.SIGKILL)
            await self._identity.gone(STOP_TIMEOUT)
        if self._child is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(1)

    def _told(self) -> dict[str, Any] | None:
        """What the engine says of itself, if it runs."""
        try:
            told: dict[str, Any] = json.loads((self._directory / "engine.json").read_text())
        except (OSError, ValueError):
            return None
        self._identity = Identity.of(told["pid"])
        if self._identity is None or not self._is_engine(told["pid"]):
            (self._directory / "engine.json").unlink(missing_ok=True)
            return None
        return told

    def _is_engine(self, pid: int) -> bool:
        """Whether the process with this id is the engine of this directory, and not one that got its id later."""
        try:
            process = psutil.Process(pid)
            return (
                process.cmdline()[-2:] == ["emberhub_driver.engine", str(self._directory)]
                and process.status() != psutil.STATUS_ZOMBIE
            )
        except psutil.Error:
            return False

    def _write_pool(self, pool: Resources) -> None:
        told = {"cores": pool.millicores // 1000, "memory": pool.memory, "abandoned_after": self._abandoned_after}
        aside = self._directory / "pool.json.new"
        aside.write_text(json.dumps(told))
        aside.replace(self._directory / "pool.json")

    def _last_words(self) -> str:
        for name in ("engine.log", "master.log"):
            with contextlib.suppress(OSError):
                lines = (self._directory / name).read_text(errors="replace").strip().splitlines()
                if lines:
                    return lines[-1]
        return "it left no message"
