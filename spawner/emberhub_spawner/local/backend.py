"""`LocalBackend`: drivers as processes of this machine, executors from a Spark standalone master and worker.

In its directory, which only its user can read: the engine's files, and `drivers/`, with a directory for each start of
a cluster.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

from emberhub.wire.driver import FILE_APPLICATION
from emberhub.wire.resources import Resources

from ..backend import Driver, DriverSpec, StartFailed
from . import driver
from .engine import EngineClient
from .processes import clear, marked, sweep
from .reasons import why

log = logging.getLogger("emberhub.local")

LOOK = 0.25
"""Seconds between looks at whether drivers live; a look costs microseconds a driver."""
EXECUTORS_LEAVE = 10.0
"""Seconds that the executors of a driver that has ended may take to end by themselves."""
STOP_GRACE = 5.0
AFTER_FAILURE = 1.0
"""Seconds before another try of what must not be given up."""


class LocalBackend:
    """Runs everything on this machine. One pool. See `emberhub_spawner.backend.Backend` for the methods."""

    abandoned_after = 300.0
    """Seconds without any service after which Spark's master and worker end by themselves."""
    tuned = True  # As in DriverConfig; a benchmark measures without.

    def __init__(self, directory: Path, pools: dict[str, Resources]) -> None:
        """`pools` holds exactly one pool: what all executors together may use. Raises ValueError otherwise."""
        self._pool = _only(pools)
        self._directory = directory.absolute()
        self._drivers_in = self._directory / "drivers"
        self._drivers: dict[str, driver.Running] = {}
        self._on_exit: Callable[[Driver], None] | None = None
        self._engine: EngineClient | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._sweeps: set[asyncio.Task[None]] = set()

    async def open(self, on_exit: Callable[[Driver], None]) -> list[Driver]:
        self._on_exit = on_exit
        self._directory.mkdir(parents=True, exist_ok=True)
        self._directory.chmod(0o700)
        self._drivers_in.mkdir(mode=0o700, exist_ok=True)
        if self._engine is None:
            self._engine = EngineClient(self._directory, self.abandoned_after)
        await self._engine.hold()
        try:
            remembered = any(each.identity.alive() for _, each in driver.left(self._drivers_in) if each)
            await self._engine.ensure(self._pool, remembered=remembered)
            await self._adopt()
        except BaseException:
            self._engine.release()
            raise
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._watch(self._engine))
        return [Driver(each.cluster, each.generation, alive=True) for each in self._drivers.values()]

    async def start(self, spec: DriverSpec) -> None:
        engine = self._opened()
        running = self._drivers.get(spec.cluster)
        if running is not None:
            if running.generation == spec.generation and not running.ended():
                return
            await self.stop(spec.cluster, STOP_GRACE)
        self._drivers[spec.cluster] = driver.start(spec, self._drivers_in, engine, tuned=self.tuned)

    async def stop(self, cluster: str, grace: float) -> None:
        running = self._drivers.get(cluster)
        if running is None:
            return
        running.identity.send(signal.SIGTERM)
        try:
            await asyncio.wait_for(running.gone.wait(), grace)
        except TimeoutError:
            for process in await asyncio.to_thread(marked, running.mark):
                with contextlib.suppress(Exception):
                    process.kill()
            await running.gone.wait()

    async def trouble(self, cluster: str) -> str:
        return ""  # One machine has room, or the pool says why not.

    async def resize(self, pools: dict[str, Resources]) -> None:
        """Growth is offered at once; a smaller pool is kept by granting less. Raises ValueError unless it is one."""
        self._pool = _only(pools)
        if self._engine is not None:
            self._engine.resize(self._pool)

    async def close(self) -> None:
        await self._end_watching()
        for running in self._drivers.values():
            if running.child is not None and running.child.poll() is None:
                # The next service looks after it; nobody here waits for it any more.
                running.child.returncode = 0
        self._drivers.clear()
        if self._engine is not None:
            self._engine.release()
            self._engine = None

    async def shutdown(self) -> None:
        if self._engine is None:
            return
        await asyncio.gather(*(self.stop(cluster, STOP_GRACE) for cluster in list(self._drivers)))
        await self._end_watching()
        await self._engine.end()
        self._engine.release()
        self._engine = None
        shutil.rmtree(self._directory, ignore_errors=True)

    # --- drivers -------------------------------------------------------------------------------------------------

    async def _adopt(self) -> None:
        """Find the drivers that an earlier service left, and clear up after those that have ended since."""
        for directory, found in driver.left(self._drivers_in):
            if found is None:
                await clear(directory.name, patience=0)
                self._remove(directory)
                continue
            known = self._drivers.get(found.cluster)
            if known is not None and known.generation == found.generation:
                continue
            if found.identity.alive():
                self._drivers[found.cluster] = found
            else:
                await clear(directory.name, patience=EXECUTORS_LEAVE)
                self._remove(directory)

    async def _watch(self, engine: EngineClient) -> None:
        """A driver's end is noticed while an engine that was lost is started again, which takes seconds."""
        await asyncio.gather(_for_ever(self._look_at_drivers), _for_ever(lambda: self._look_at_engine(engine)))

    async def _look_at_drivers(self) -> None:
        for running in list(self._drivers.values()):
            if running.burial is None and running.ended():
                running.burial = asyncio.create_task(self._bury(running))

    async def _look_at_engine(self, engine: EngineClient) -> None:
        if not engine.alive():
            log.warning("Spark's master and worker are gone; starting them again")
            try:
                await engine.ensure(self._pool, remembered=True)
            except (StartFailed, OSError) as error:
                log.error("%s", error)

    async def _bury(self, running: driver.Running) -> None:
        """A driver has ended: see its executors gone, remove its files, tell the service."""
        while True:
            try:
                message = await self._clear_up(running)
                break
            except Exception:
                # As where the machine has no descriptors left. Whoever stops the driver waits for this.
                log.exception("what the driver of %s left is not cleared up yet", running.cluster)
                await asyncio.sleep(AFTER_FAILURE)
        if self._drivers.get(running.cluster) is running:
            del self._drivers[running.cluster]
        log.info("driver of %s ended: %s", running.cluster, message)
        running.gone.set()
        sweeping = asyncio.create_task(sweep(running.mark))
        self._sweeps.add(sweeping)
        sweeping.add_done_callback(self._sweeps.discard)
        if self._on_exit is not None:
            self._on_exit(Driver(running.cluster, running.generation, alive=False, message=message))

    async def _clear_up(self, running: driver.Running) -> str:
        """After a driver; returns why it ended."""
        status = running.child.returncode if running.child is not None else None
        await clear(running.mark, EXECUTORS_LEAVE)
        message = await asyncio.to_thread(why, running.directory, status)
        await asyncio.to_thread(self._remove, running.directory)
        return message

    def _remove(self, directory: Path) -> None:
        """Remove a driver's files, and what its executors left in the worker's directory."""
        with contextlib.suppress(OSError):
            application = (directory / FILE_APPLICATION).read_text().strip()
            if application.startswith("app-") and "/" not in application:
                shutil.rmtree(self._directory / "work" / application, ignore_errors=True)
        shutil.rmtree(directory, ignore_errors=True)

    async def _end_watching(self) -> None:
        burials = [each.burial for each in self._drivers.values() if each.burial is not None]
        tasks = [task for task in (self._watcher, *burials, *self._sweeps) if task is not None]
        self._watcher = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _opened(self) -> EngineClient:
        if self._engine is None or self._watcher is None:
            raise StartFailed("The service is still starting; try again in a moment.")
        return self._engine


async def _for_ever(look: Callable[[], Awaitable[None]]) -> None:
    """Look again and again, until cancelled."""
    while True:
        await asyncio.sleep(LOOK)
        try:
            await look()
        except Exception:
            log.exception("this look failed; the next may do better")
            await asyncio.sleep(AFTER_FAILURE)


def _only(pools: dict[str, Resources]) -> Resources:
    if len(pools) != 1:
        raise ValueError(f"the local backend has exactly one pool, this machine; {len(pools)} are configured")
    return next(iter(pools.values()))
