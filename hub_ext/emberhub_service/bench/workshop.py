"""The workshop: users who run the same four notebooks at the same time, under one policy after another."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

from ..alloc.model import Rules
from ..commands import leftovers
from . import client, events, full, memory
from .ember import warmed
from .metrics import Context, Metrics, Visit, measure
from .places import place
from .plans import Plan, opened
from .processes import Process

SETTLE = 30.0
"""Seconds after the last user has stopped, within which every executor must have gone."""
READY_TIMEOUT = 600.0

Say = Callable[[str], None]


class User(Protocol):
    """Somebody at the workshop."""

    async def ready(self) -> None:
        """Returns when they could begin. Raises EmberhubError."""
        ...

    async def follow(self, zero: float, tell: Callable[[str, client.Event], None]) -> Visit:
        """Let them begin, and return what they told, in seconds since `zero`."""
        ...


async def play(plan: Plan, seed: int, stars: Path, say: Say) -> Metrics:
    """Play one plan; all processes have ended afterwards. Raises EmberhubError where it cannot be played at all.

    A user who fails is part of the result.
    """

    def task(name: str, order: str = "") -> client.Task:
        return client.Task(name, seed, plan.think, str(stars), plan.executors, order)

    sampler = memory.Sampler(plan.directory)
    try:
        with opened(plan):
            async with _on_hub(plan, task) if plan.full else _in_processes(plan, task) as users:
                sampler.start()
                visits, zero = await _visits(plan, users, say)
                executors = await _settled(plan)
        applications = events.read(plan.events, time.monotonic() - time.time() - zero)
    finally:
        if sampler.is_alive():
            sampler.stop()
        left = len(leftovers.processes(plan.directory))
        leftovers.end(plan.directory, grace=5.0)
    context = Context(
        policy=plan.policy,
        tuning=plan.tuning,
        executors=plan.executors,
        quantum=Rules().rotation_quantum if plan.policy == "ember" else None,
        notice=Rules().reclaim_notice,
        memory=sampler.peak.pss,
        memory_rss=sampler.peak.rss,
        processes=sampler.peak.processes,
        executors_leaked=executors,
        processes_leaked=left,
    )
    return measure(context, visits, applications)


@asynccontextmanager
async def _in_processes(plan: Plan, task: Callable[[str, str], client.Task]) -> AsyncIterator[list[User]]:
    """Each user a process, on a service or a master."""
    (plan.directory / "clients").mkdir(mode=0o700)
    users: list[Process] = []
    async with place(plan) as access:
        try:
            for name in plan.names:
                mine = access[name]
                users.append(await Process.open(plan, task(name, mine.order), mine.environment))
            yield list(users)
        finally:
            for user in users:
                await user.end()


@asynccontextmanager
async def _on_hub(plan: Plan, task: Callable[[str], client.Task]) -> AsyncIterator[list[User]]:
    """Each user with a notebook server and a kernel, on a whole hub."""
    async with full.hub(plan) as local:
        door = asyncio.Semaphore(full.AT_ONCE)
        yield [full.User(local, task(name), door) for name in plan.names]


async def _visits(plan: Plan, users: Sequence[User], say: Say) -> tuple[list[Visit], float]:
    """Let all users in at once, and follow them to their ends. Returns what they told, and when that was."""
    await asyncio.wait_for(asyncio.gather(*(user.ready() for user in users)), READY_TIMEOUT)
    await warmed(plan)
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

    visits = await asyncio.gather(*(user.follow(zero, tell) for user in users))
    return list(visits), zero


async def _settled(plan: Plan) -> int:
    """Executors that are left some time after everybody has stopped. Warm drivers may hold one."""
    deadline = time.monotonic() + SETTLE
    while True:
        left = await asyncio.to_thread(memory.executors, plan.directory) - min(1, plan.warm)
        if left <= 0 or time.monotonic() > deadline:
            return max(0, left)
        await asyncio.sleep(0.5)


async def all_of(
    plans: Sequence[Plan], seed: int, stars: Path, say: Say, after: Callable[[list[Metrics]], None]
) -> list[Metrics]:
    """Play one plan after the other; `after` is told all that was played each time. Raises EmberhubError."""
    played: list[Metrics] = []
    for number, plan in enumerate(plans, 1):
        head = f"[{number}/{len(plans)}] {plan.tuning} {plan.policy} {plan.users}: "
        say(f"{head}opening")
        found = await play(plan, seed, stars, partial(_headed, say, head))
        shutil.rmtree(plan.events, ignore_errors=True)
        played.append(found)
        worst = "none" if found.first_result_worst is None else f"{found.first_result_worst:.1f} s"
        say(f"{head}worst first result {worst}, makespan {found.makespan:.1f} s, {found.failed} failed")
        after(played)
    return played


def _headed(say: Say, head: str, text: str) -> None:
    say(head + text)
