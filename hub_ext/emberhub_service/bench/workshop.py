"""The workshop: users who run the same four notebooks at the same time, under one policy after another."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
from emberhub.errors import EmberhubError

from ..alloc.model import Rules
from ..commands import leftovers
from . import client, data, events, memory
from .metrics import Context, Metrics, Visit, measure
from .places import Access, Plan, place

THINK = (2.0, 6.0)
SETTLE = 30.0
"""Seconds after the last user has stopped, within which every executor must have gone."""
READY_TIMEOUT = 300.0
_LINE = 1 << 20

Say = Callable[[str], None]


class Failed(EmberhubError):
    """A user of the workshop did not come through."""


async def play(plan: Plan, seed: int, stars: Path, say: Say, think: tuple[float, float] = THINK) -> Metrics:
    """Play one plan; all processes have ended afterwards. Raises EmberhubError where it cannot be played at all.

    A user who fails is part of the result.
    """
    plan.directory.mkdir(mode=0o700, parents=True)
    left = 0
    with marked(plan.directory):
        sampler = memory.Sampler(plan.directory)
        try:
            async with place(plan) as access:
                sampler.start()
                visits, zero = await _visits(plan, seed, stars, say, think, access=access)
                executors = await _settled(plan)
            applications = events.read(plan.events, time.monotonic() - time.time() - zero)
        finally:
            if sampler.is_alive():
                sampler.stop()
            left = len(leftovers.processes(plan.directory))
            leftovers.end(plan.directory, grace=5.0)
    ember = plan.policy == "ember"
    context = Context(
        policy=plan.policy,
        tuning=plan.tuning,
        executors=plan.executors,
        quantum=Rules().rotation_quantum if ember else None,
        notice=Rules().reclaim_notice,
        memory=sampler.peak.pss,
        memory_rss=sampler.peak.rss,
        processes=sampler.peak.processes,
        executors_leaked=executors,
        processes_leaked=left,
    )
    return measure(context, visits, applications)


@contextlib.contextmanager
def marked(directory: Path) -> Iterator[None]:
    """Everything that is started meanwhile carries the run's mark, so that none of it is missed."""
    before = os.environ.get(leftovers.ENV_STATE)
    os.environ[leftovers.ENV_STATE] = str(directory)
    try:
        yield
    finally:
        if before is None:
            del os.environ[leftovers.ENV_STATE]
        else:
            os.environ[leftovers.ENV_STATE] = before


async def _visits(
    plan: Plan, seed: int, stars: Path, say: Say, think: tuple[float, float], *, access: dict[str, Access]
) -> tuple[list[Visit], float]:
    """Let all users in at once, and follow them to their ends. Returns what they told, and when that was."""
    (plan.directory / "clients").mkdir(mode=0o700)
    users: list[_User] = []
    try:
        for name in plan.names:
            task = client.Task(name, seed, think, str(stars), plan.executors, access[name].order)
            users.append(await _User.open(plan, task, access[name].environment))
        await asyncio.wait_for(asyncio.gather(*(user.ready() for user in users)), READY_TIMEOUT)
        say(f"{plan.users} user{'s' * (plan.users > 1)} in")
        zero = time.monotonic()
        done: list[int] = []

        def tell(user: str, event: client.Event) -> None:
            at = event.at - zero
            if event.kind == "cell" and event.cell == "count":
                say(f"{at:6.1f} s  {user} has a first result")
            elif event.kind == "failed":
                say(f"{at:6.1f} s  {user} failed: {event.text.splitlines()[0]}")
            elif event.kind == "done":
                done.append(1)
                say(f"{at:6.1f} s  {user} is through ({len(done)} of {plan.users})")

        for user in users:
            user.go()
        visits = await asyncio.gather(*(user.follow(zero, tell) for user in users))
        return list(visits), zero
    finally:
        for user in users:
            await user.end()


class _User:
    """One client process, as its parent sees it."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self._name = name
        self._process = process

    @classmethod
    async def open(cls, plan: Plan, task: client.Task, environment: dict[str, str]) -> _User:
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
            raise Failed(f"the process of {self._name} ended before it was ready")

    def go(self) -> None:
        """Let it begin."""
        self._write(b"go\n")

    async def follow(self, zero: float, tell: Callable[[str, client.Event], None]) -> Visit:
        """Read what it tells until it ends."""
        asked, done, error, cells, sessions = 0.0, None, "", [], []
        while (event := await self._next()) is not None:
            tell(self._name, event)
            at = event.at - zero
            match event.kind:
                case "asked":
                    asked = at
                case "session":
                    sessions.append(event.text)
                case "cell":
                    cells.append((event.notebook, event.cell, event.began - zero, at, event.text))
                case "done":
                    done = at
                case "failed":
                    error = event.text
        await self._process.wait()
        if done is None and not error:
            error = f"its process ended with status {self._process.returncode}"
        return Visit(self._name, asked, done, tuple(cells), tuple(sessions), error)

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


async def _settled(plan: Plan) -> int:
    """Executors that are left some time after everybody has stopped. Warm drivers may hold one."""
    deadline = time.monotonic() + SETTLE
    while True:
        left = await asyncio.to_thread(memory.executors, plan.directory) - min(1, plan.warm)
        if left <= 0 or time.monotonic() > deadline:
            return max(0, left)
        await asyncio.sleep(0.5)


async def all_of(plans: Sequence[Plan], seed: int, scale: int, root: Path, say: Say) -> list[Metrics]:
    """Prepare the stars, and play one plan after the other. Raises EmberhubError."""
    say(f"Preparing the stars, {scale} times over …")
    stars = await asyncio.to_thread(data.prepare, root / "stars", scale)
    played = []
    for number, plan in enumerate(plans, 1):
        head = f"[{number}/{len(plans)}] {plan.tuning} {plan.policy} {plan.users}: "
        say(f"{head}opening")
        played.append(await play(plan, seed, stars, lambda text, head=head: say(head + text)))  # type: ignore[misc]
        shutil.rmtree(plan.directory / "events", ignore_errors=True)
    return played
