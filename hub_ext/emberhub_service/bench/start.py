"""How long it takes from asking for a cluster to its first result, beside Spark without Emberhub, in one run."""

from __future__ import annotations

import asyncio
import statistics
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from emberhub.errors import EmberhubError
from emberhub.java import find_java
from emberhub.wire.resources import Resources
from emberhub_driver.conf import executor_heap, write_properties
from emberhub_spawner.local.engine import EngineClient

from ..commands import leftovers
from . import events, probes
from .acquisition import Answer, Move, Order
from .ember import rested, warmed
from .places import place
from .plans import HOST, SHAPE, Access, Plan, event_log, marked, opened

EXECUTORS = 4
WARM = 2
LARGE = Resources.of(cores=1, memory="4G")
"""An executor that holds a gigabyte in its cache."""

Say = Callable[[str], None]
Ready = Callable[[], Awaitable[None]]
"""Waits until a start may be measured."""


class Starts(msgspec.Struct):
    """Everything measured. Seconds, one a repetition."""

    to_first_result: dict[str, list[float]] = {}
    waiting: dict[str, list[float]] = {}
    """For each driver, the longest time in which it had a job and no executor."""
    acquisition: dict[str, list[float]] = {}
    release: dict[str, list[float]] = {}
    migration: list[Move] = []


UNTUNED, LOCAL = "Spark, untuned, 0 to 1 executor", "Spark, local[2]"
COLD, CLAIMED, AGAIN = "Emberhub, cold", "Emberhub, warm driver", "Emberhub, cluster found again"
RESTED = "Emberhub, cluster without an executor"
WAITS = "a job waits for an executor, "


async def _at_once() -> None:
    """Nothing is to be waited for."""


class Bench:
    """One run of it, in a directory of its own."""

    def __init__(self, root: Path, repeat: int, say: Say) -> None:
        self._root = root
        self._repeat = repeat
        self._say = say
        self._found = Starts()
        self._names = [f"c{number}" for number in range(repeat + 1)]

    async def measure(self, sizes: Sequence[int]) -> Starts:
        """Measure all, one after the other; nothing is left running. Raises EmberhubError.

        `sizes` are those of the caches that are moved, in bytes.
        """
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with marked(self._root):
            await self._without()
            await self._new_and_found_again()
            await self._taken_over()
            await self._rested()
            await self._executors(sizes)
        return self._found

    async def _without(self) -> None:
        """Spark as it is started without Emberhub: with no master, and on one."""
        settings = self._root / "settings"
        settings.mkdir(mode=0o700)
        environment = {"SPARK_CONF_DIR": str(settings), "SPARK_LOCAL_IP": HOST, "JAVA_HOME": str(find_java().home)}
        basic = {"spark.ui.enabled": "false", "spark.driver.host": HOST, "spark.driver.bindAddress": HOST}
        write_properties(basic, settings / "spark-defaults.conf")
        await self._spark(LOCAL, probes.LOCAL, environment)
        async with _Engine(self._root / "engine-untuned", SHAPE * EXECUTORS) as engine:
            on_master = {
                "spark.master": engine.master,
                "spark.authenticate": "true",
                "spark.authenticate.secret": engine.secret(),
                "spark.dynamicAllocation.enabled": "true",
                "spark.executor.cores": "1",
                "spark.executor.memory": f"{executor_heap(SHAPE.memory) >> 20}m",
            }
            logs = self._root / "events-untuned"
            logs.mkdir(mode=0o700)
            write_properties(basic | on_master | event_log(logs), settings / "spark-defaults.conf")
            await self._spark(UNTUNED, probes.DEFAULTS, environment)
        self._waited(UNTUNED, logs)

    async def _spark(self, name: str, master: str, environment: Mapping[str, str]) -> None:
        await self._fresh(name, probes.SPARK_FRESH.replace("MASTER", master), [environment] * self._repeat)
        await self._warm(name, probes.SPARK_WARM.replace("MASTER", master), environment, self._names)

    async def _new_and_found_again(self) -> None:
        """Emberhub: a cluster that is new, and one that runs."""
        plan = Plan("ember", "tuned", self._repeat + 2, EXECUTORS, 0, self._root / "cold")
        async with _opened(plan) as access:
            *each, busy, mine = (one.environment for one in access.values())
            await self._fresh(COLD, _ending(probes.EMBER_FRESH, probes.STOP), each)
            await self._warm(COLD, _ending(probes.EMBER_WARM, probes.STOP), busy, self._names)
            leave = _ending(probes.EMBER_FRESH, probes.LEAVE)
            await probes.fresh(leave, mine, self._root)
            await self._fresh(AGAIN, leave, [mine] * self._repeat)
            await self._warm(AGAIN, _ending(probes.EMBER_WARM, probes.LEAVE), mine, ["main"] * (self._repeat + 1))
        self._waited(COLD, plan.events)

    async def _taken_over(self) -> None:
        """Emberhub: a cluster that takes a warm driver over."""
        plan = Plan("ember", "tuned", self._repeat + 1, EXECUTORS, WARM, self._root / "warm")

        used: set[str] = set()

        async def ready() -> None:
            used.add(await warmed(plan, used))

        async with _opened(plan) as access:
            *each, mine = (one.environment for one in access.values())
            await self._fresh(CLAIMED, _ending(probes.EMBER_FRESH, probes.STOP), each, ready)
            await self._warm(CLAIMED, _ending(probes.EMBER_WARM, probes.STOP), mine, self._names, ready)
        self._waited(CLAIMED, plan.events)

    async def _rested(self) -> None:
        """Emberhub: a cluster that runs, and whose executors have gone for want of work."""
        plan = Plan("ember", "tuned", 1, EXECUTORS, 0, self._root / "rested")

        async def ready() -> None:
            await rested(plan)

        async with _opened(plan) as access:
            (mine,) = (one.environment for one in access.values())
            await self._warm(RESTED, _ending(probes.EMBER_WARM, probes.LEAVE), mine, ["main"] * len(self._names), ready)
        (application,) = events.read(plan.events, 0.0)
        waits = [end - start for start, end in application.waits()][-self._repeat :]
        self._note(self._found.waiting, RESTED, waits, WAITS)

    async def _fresh(self, name: str, program: str, each: Sequence[Mapping[str, str]], ready: Ready = _at_once) -> None:
        """Starts in kernels of their own, one for each of these environments."""
        seconds = []
        for environment in each:
            await ready()
            seconds.append(await probes.fresh(program, environment, self._root))
        self._note(self._found.to_first_result, f"{name}, fresh kernel", seconds)

    async def _warm(
        self, name: str, program: str, environment: Mapping[str, str], names: Sequence[str], *ready: Ready
    ) -> None:
        """Starts in one kernel; the first is what makes it warm, and does not count."""
        seconds = []
        async with probes.kernel(program, environment, self._root) as kernel:
            for each in names:
                for wait in ready:
                    await wait()
                seconds.append(await kernel.measured(each))
                kernel.go_on()
        self._note(self._found.to_first_result, f"{name}, warm kernel", seconds[1:])

    def _waited(self, name: str, logs: Path) -> None:
        """How long each application that ran anything waited for an executor, by Spark's own events."""
        worked = [application for application in events.read(logs, 0.0) if application.jobs]
        seconds = [events.longest(each.waits()) for each in worked]
        self._note(self._found.waiting, name, seconds, WAITS)

    async def _executors(self, sizes: Sequence[int]) -> None:
        """Executors that come and go, and blocks that move."""
        found, root = self._found, self._root
        async with _Engine(root / "engine-executors", LARGE * 2) as engine:
            # An engine's very first executor also waits for code that master and worker run for the first time.
            await _asked(engine, root / "first", tuned=True, executor=SHAPE, repeat=1)
            for name, tuned in (("tuned", True), ("default", False)):
                answer = await _asked(engine, root / name, tuned=tuned, executor=SHAPE, repeat=self._repeat)
                self._note(found.acquisition, name, answer.came, "an executor comes, ")
                self._note(found.release, name, answer.gone, "an executor goes, ")
            for size in sizes:
                answer = await _asked(engine, root / f"move-{size}", tuned=True, executor=LARGE, size=size)
                assert answer.move is not None
                found.migration.append(answer.move)
                mib, seconds = answer.move.cached >> 20, answer.move.seconds
                self._say(f"{mib} MiB in the cache of an executor taken back: {seconds:.1f} s")

    def _note(self, where: dict[str, list[float]], name: str, seconds: list[float], before: str = "") -> None:
        where[name] = seconds
        self._say(f"{before}{name}: {statistics.median(seconds):.2f} s (median of {len(seconds)})")


def _ending(program: str, how: str) -> str:
    return program.replace("STOP", how)


@asynccontextmanager
async def _opened(plan: Plan) -> AsyncIterator[Mapping[str, Access]]:
    try:
        with opened(plan):
            async with place(plan) as access:
                yield access
    finally:
        leftovers.end(plan.directory)


async def _asked(engine: EngineClient, directory: Path, **what: Any) -> Answer:
    """Have `acquisition` measure on this engine, in a process that takes its driver with it. Raises EmberhubError."""
    order = Order(directory=str(directory), master=engine.master, secret=engine.secret(), **what)
    log = directory.with_suffix(".log")
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "emberhub_service.bench.acquisition",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
            start_new_session=True,
        )
    try:
        told, _ = await process.communicate(msgspec.json.encode(order) + b"\n")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise EmberhubError(f"executors could not be measured; see {log} (--keep DIR keeps it)")
    return msgspec.json.decode(told, type=Answer)


class _Engine:
    """A standalone master and worker for as long as it is needed."""

    def __init__(self, directory: Path, pool: Resources) -> None:
        directory.mkdir(mode=0o700)
        self._client, self._pool = EngineClient(directory, abandoned_after=30.0), pool

    async def __aenter__(self) -> EngineClient:
        await self._client.hold()
        try:
            await self._client.ensure(self._pool, remembered=False)
        except BaseException:
            self._client.release()
            raise
        return self._client

    async def __aexit__(self, *_: object) -> None:
        await self._client.end()
        self._client.release()


async def costs(root: Path, repeat: int) -> tuple[float, float]:
    """Median seconds in which a tuned executor comes, and in which it goes."""
    with marked(root):
        async with _Engine(root / "engine", SHAPE * EXECUTORS) as engine:
            answer = await _asked(engine, root / "driver", tuned=True, executor=SHAPE, repeat=repeat)
    return statistics.median(answer.came), statistics.median(answer.gone)
