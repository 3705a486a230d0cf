"""Users of the workshop as processes: each is `client`, started, let go and followed."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable

import msgspec
from emberhub.errors import EmberhubError

from . import client
from .metrics import Visit
from .plans import Plan

_LINE = 1 << 20


class Process:
    """A user who is a process of their own, as its parent sees it."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self._name = name
        self._process = process

    @classmethod
    async def open(cls, plan: Plan, task: client.Task, environment: dict[str, str]) -> Process:
        """Start it, and hand it its task."""
        with (plan.directory / "clients" / f"{task.user}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                client.__name__,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=_LINE,
                env=os.environ | environment,
                start_new_session=True,
            )
        user = cls(task.user, process)
        user._write(msgspec.json.encode(task) + b"\n")
        return user

    async def ready(self) -> None:
        """Wait until it has imported all."""
        event = await self._next()
        if event is None or event.kind != "ready":
            raise EmberhubError(f"the process of {self._name} ended before it was ready")

    async def follow(self, zero: float, tell: Callable[[str, client.Event], None]) -> Visit:
        """Let it begin, and read what it tells until it ends."""
        self._write(b"go\n")
        told: list[client.Event] = []
        while (event := await self._next()) is not None:
            told.append(event)
            tell(self._name, event)
        await self._process.wait()
        if not {"done", "failed"} & {event.kind for event in told}:
            why = f"its process ended with status {self._process.returncode}"
            told.append(client.Event("failed", time.monotonic(), text=why))
        return client.visit_of(self._name, told, zero)

    async def end(self) -> None:
        """End it if it still runs."""
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def _write(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line)

    async def _next(self) -> client.Event | None:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        return msgspec.json.decode(line, type=client.Event) if line else None
