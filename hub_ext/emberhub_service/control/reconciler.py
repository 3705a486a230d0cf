"""Starts and stops drivers, so that each cluster's status follows its goal.

One queue keyed by cluster: a cluster that is put in while it is worked on is looked at once more afterwards, and
nothing is done twice at the same time. This is the only place that writes a status or calls the backend.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Callable

from emberhub.wire import agent
from emberhub_spawner.backend import Backend, Driver, DriverSpec, StartFailed

from ..records import ENDED, ClusterRecord
from .live import Live
from .making import pods_of
from .snapshot import choose_pool
from .state import State
from .warm import pick

log = logging.getLogger(__name__)

STOP_GRACE = 10.0
"""Seconds that a driver has to end by itself."""
_RETRY = 5.0
_START_HOLDS = 30.0
"""Seconds after which a start that is not done lets the next one begin beside it."""

_LOST = "Its driver ended while the hub's service was not running."
_ENDED = "Its driver ended unexpectedly."
_BROKEN = "The cluster could not be started because of a fault in the hub; tell your administrator."


class Reconciler:
    """See the module. `changed` is called when capacity may have come free or a driver may be new."""

    def __init__(self, state: State, backend: Backend, agent_url: str, changed: Callable[[], None]) -> None:
        self.state = state
        self.backend = backend
        self.agent_url = agent_url
        self.changed = changed
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._reasons: dict[str, str] = {}
        """Why drivers have ended whose records do not say so yet."""
        self._closed = False

    # --- the queue ---

    def enqueue(self, cluster: str) -> None:
        """Look at this cluster soon."""
        if self._closed:
            return
        if cluster in self._tasks:
            self._again.add(cluster)
            return
        task = asyncio.get_running_loop().create_task(self._work(cluster), name=f"reconcile {cluster}")
        self._tasks[cluster] = task

    async def _work(self, cluster: str) -> None:
        try:
            while True:
                self._again.discard(cluster)
                moved = await self.reconcile(cluster)
                if not moved and cluster not in self._again:
                    break
        except Exception:
            # Whatever it was, the cluster must not be forgotten.
            log.exception("cluster %s: could not be brought to its goal; trying again in %g s", cluster, _RETRY)
            asyncio.get_running_loop().call_later(_RETRY, self.enqueue, cluster)
        finally:
            del self._tasks[cluster]
            self._admit()
            if cluster in self._again:
                self.enqueue(cluster)

    async def close(self) -> None:
        """Stop working. What was half done is taken up by the next service."""
        self._closed = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- what is done ---

    async def reconcile(self, cluster: str) -> bool:
        """One step towards the goal; returns whether there may be another."""
        record = self.state.record(cluster)
        if record is None:
            return False
        live = self.state.lives.get(cluster)
        match record.status, record.goal:
            case "pending", "stopped":
                self.state.line.leave(cluster)
                self.state.amend(cluster, lambda r: {"status": "stopped"} if r.goal == "stopped" else None)
            case "pending", "running":
                return self._take_over(record) or await self._start(record)
            case (("starting" | "running"), _) if live is None or live.exited:
                await self._bury(record, live)
            case (("starting" | "running"), "stopped"):
                self.state.amend(cluster, lambda _: {"status": "stopping"})
            case "starting", "running" if live is not None and live.report is not None and live.report.endpoint:
                self.state.amend(cluster, lambda _: {"status": "running"})
                log.info("cluster %s of %s is ready", cluster, record.user)
            case "stopping", _:
                await self._stop(record, live)
            case (("stopped" | "failed"), "running"):
                self.state.amend(cluster, lambda r: {"status": "pending", "restarted": r.message, "message": ""})
            case _:
                return False
        return True

    def _take_over(self, record: ClusterRecord) -> bool:
        """Give the cluster a driver that was started before anybody asked, if one is as this one would be."""
        warm = pick(self.state, record)
        if warm is None:
            return False
        self.state.take_over(
            record.id,
            warm.record.id,
            status="starting",
            generation=record.generation + 1,
            agent_token_hash=warm.record.agent_token_hash,
            connect_token=warm.record.connect_token,
            driver=warm.record.driver,
            started=self.state.clock(),
            pool=warm.record.pool,
        )
        self.state.line.leave(record.id)
        warm.born = self.state.clock()
        warm.welcome(self.state.site)
        log.info("cluster %s of %s takes over the warm driver %s", record.id, record.user, warm.record.driver)
        self.changed()
        return True

    def _admit(self) -> None:
        """Whoever is next in line may start."""
        for cluster in self.state.line.first(self._free_starts()):
            self.enqueue(cluster)
        for cluster in self.state.line.people():
            self.state.touch(cluster)

    def _free_starts(self) -> int:
        """How many drivers may be started now beside those that are starting."""
        since = self.state.clock() - _START_HOLDS
        busy = sum(r.status == "starting" and r.started > since for r in self.state.records())
        return self.state.site.starts_at_once - busy

    async def _start(self, record: ClusterRecord) -> bool:
        """Start a driver once it is this cluster's turn; returns whether it was."""
        line = self.state.line
        line.join(record.id, warm=record.warm)
        if record.id not in line.first(self._free_starts()):
            self.state.touch(record.id)
            return False
        line.leave(record.id)
        agent_token, connect_token = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        profile = self.state.site.profile(record.profile)
        pool = choose_pool(self.state.site, record.executor, profile, self.state.lives.values())
        now = self.state.clock()
        record = self.state.amend(
            record.id,
            lambda r: (
                {
                    "status": "starting",
                    "generation": r.generation + 1,
                    "agent_token_hash": hash_token(agent_token),
                    "connect_token": connect_token,
                    "driver": r.id,
                    "started": now,
                    "pool": pool,
                }
                if r.goal == "running" and r.status == "pending"
                else None
            ),
        )
        if record.status != "starting":
            return True
        self.state.lives[record.id] = Live(record=record, born=now, heard=now)
        asyncio.get_running_loop().call_later(_START_HOLDS, self._admit)
        log.info(
            "starting cluster %s (%s of %s, generation %d)", record.id, record.name, record.user, record.generation
        )
        driver_pod, executor_pod = pods_of(self.state.site, profile, record.queue)
        spec = DriverSpec(
            cluster=record.id,
            generation=record.generation,
            user=record.user,
            name=record.name,
            pool=pool,
            agent_url=self.agent_url,
            agent_token=agent_token,
            connect_token=connect_token,
            executor=record.executor,
            conf={**(profile.conf if profile else {}), **record.conf},
            lease=self.state.site.lease,
            driver_pod=driver_pod,
            executor_pod=executor_pod,
        )
        try:
            await self.backend.start(spec)
        except StartFailed as failed:
            self._give_up(record, str(failed))
        except Exception:
            log.exception("cluster %s: the backend could not start its driver", record.id)
            self._give_up(record, _BROKEN)
        return True

    def _give_up(self, record: ClusterRecord, message: str) -> None:
        """Its driver was not made; somebody may have taken it over meanwhile."""
        log.warning("cluster %s did not start: %s", record.id, message)
        self.on_exit(Driver(record.driver, record.driver_generation, alive=False, message=message))

    async def _bury(self, record: ClusterRecord, live: Live | None) -> None:
        """The driver has ended by itself: clear up after it, and say so."""
        await self.backend.stop(record.driver, 0.0)
        reason = self._reasons.setdefault(record.id, (live.farewell if live is not None else _LOST) or _ENDED)
        self._forget(record.id)

        def end(r: ClusterRecord) -> dict[str, object]:
            if r.goal == "stopped":  # As its user wanted; perhaps while it was cleared up.
                return {"status": "stopping"}
            return {"status": "failed", "goal": "stopped", "message": reason, "resumable": r.generation + 1}

        record = self.state.amend(record.id, end)
        del self._reasons[record.id]
        if record.status == "failed":
            log.warning("cluster %s of %s failed: %s", record.id, record.user, reason)

    async def _stop(self, record: ClusterRecord, live: Live | None) -> None:
        if live is not None and live.link is not None:
            live.link.send(agent.Stop(record.message))
        await self.backend.stop(record.driver, STOP_GRACE)
        self._forget(record.id)
        self.state.amend(record.id, lambda _: {"status": "stopped", "agent_token_hash": "", "connect_token": ""})
        log.info("cluster %s of %s is stopped: %s", record.id, record.user, record.message)

    def _forget(self, cluster: str) -> None:
        live = self.state.lives.pop(cluster, None)
        if live is not None and live.link is not None:
            live.link.close(agent.CLOSE_SUPERSEDED, "The cluster has ended.")
            live.link = None
        self.changed()

    # --- what the backend says ---

    async def open(self) -> None:
        """Take up what an earlier service left."""
        found = {driver.cluster: driver for driver in await self.backend.open(self.on_exit)}
        now = self.state.clock()
        for record in self.state.records():
            driver = found.pop(record.driver, None)
            if record.status in ENDED or record.status == "pending":
                if driver is not None:
                    await self.backend.stop(record.driver, 0.0)
            elif driver is not None and driver.alive and driver.generation == record.driver_generation:
                self.state.lives[record.id] = Live(record=record, born=now, heard=now, adopted=True)
            elif record.status == "starting" and record.goal == "running" and driver is None:
                self.state.amend(record.id, lambda _: {"status": "pending"})
            elif driver is not None and driver.message:
                gone = Live(record=record, born=now, exited=True, farewell=driver.message)
                self.state.lives[record.id] = gone
            self.enqueue(record.id)
        for orphan in found:
            log.warning("the backend has a driver of cluster %s, which is not known here: stopping it", orphan)
            await self.backend.stop(orphan, 0.0)

    def on_exit(self, driver: Driver) -> None:
        """The backend has seen a driver end."""
        live = self.state.live_of(driver.cluster, driver.generation)
        if live is None:
            return
        live.exited = True
        live.farewell = driver.message or live.farewell
        self.enqueue(live.record.id)


def hash_token(token: str) -> str:
    """What is stored of an agent's token."""
    return hashlib.sha256(token.encode()).hexdigest()
