"""What the service holds in memory, and the one way to change a record.

Everything here is used from one thread, the event loop's.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from statistics import median
from typing import Any

from emberhub.wire import rest
from msgspec.structs import replace

from ..alloc.model import Rules, User
from ..config import Site
from ..records import ClusterRecord, Conflict, Records, RecordsUnavailable, UserRecord
from .journal import Journal
from .line import Line
from .live import Live
from .views import cluster_view, essence

log = logging.getLogger(__name__)

_ATTEMPTS = 5
_STARTS = 15
_NOTED = {"running": "Its driver takes work.", "stopped": "Its driver has ended.", "failed": "Its driver has failed."}
"""Changes of a cluster's status that are events."""


def _nobody() -> None:
    """Nobody looks yet."""


class Clock:
    """Unix time that never goes back: read once, then carried on by the monotonic clock.

    `not_before` is the latest time that an earlier service wrote down. Where the machine's clock was set back since, it
    is the present: else what happened last would lie in the future, and nothing would be idle until then.
    """

    def __init__(self, not_before: float = 0.0) -> None:
        self._offset = max(time.time(), not_before) - time.monotonic()

    def __call__(self) -> float:
        return self._offset + time.monotonic()


class State:
    """The configuration in force, the records, and what is known of running drivers."""

    def __init__(self, site: Site, records: Records, clock: Callable[[], float]) -> None:
        self.site = site
        self.config_error = ""
        """Why the last change of the configuration was not taken over."""
        self.clock = clock
        self.lives: dict[str, Live] = {}
        """Clusters whose drivers exist."""
        self.line = Line()
        """Who waits for a driver to be started."""
        self.starts: deque[float] = deque(maxlen=_STARTS)
        """Seconds that executors took lately from their promise to their first sight."""
        self.users: dict[str, User] = {}
        self._store = records
        self._records = {record.id: record for record in records.clusters()}
        # Starts at the time, so that versions grow across restarts of the service.
        self._first_version = int(clock() * 1000)
        self._versions: dict[str, int] = {}
        self._essences: dict[str, object] = {}
        self._waiters: dict[str, set[asyncio.Future[None]]] = {}
        self.on_change: Callable[[], None] = _nobody
        """Called when something has changed that people see."""
        self.journal = Journal(records, clock)
        self._recall_users()

    def rules(self) -> Rules:
        """The allocator's rules, with the time that an executor takes to start as it was measured lately."""
        rules = self.site.rules
        return replace(rules, executor_start=median(self.starts)) if self.starts else rules

    # --- records ---

    def records(self) -> list[ClusterRecord]:
        """Every record, warm drivers' included."""
        return list(self._records.values())

    def record(self, cluster: str) -> ClusterRecord | None:
        """One record."""
        return self._records.get(cluster)

    def records_of(self, user: str) -> list[ClusterRecord]:
        """One user's records, oldest first."""
        mine = (r for r in self._records.values() if r.user == user and not r.warm)
        return sorted(mine, key=lambda r: (r.created, r.id))

    def live_of(self, driver: str, generation: int) -> Live | None:
        """The cluster that this driver serves."""
        return next(
            (
                live
                for live in self.lives.values()
                if live.record.driver == driver and live.record.driver_generation == generation
            ),
            None,
        )

    def insert(self, record: ClusterRecord) -> ClusterRecord:
        """A new record. Raises Conflict if the user has a cluster of this name."""
        self._records[record.id] = self._store.insert(record)
        self.touch(record.id)
        return record

    def amend(self, cluster: str, decide: Callable[[ClusterRecord], dict[str, Any] | None]) -> ClusterRecord:
        """Write what `decide` makes of the record; if somebody else wrote meanwhile, read again and ask it anew.

        `decide` returns None to leave the record as it is. Raises Conflict if this fails again and again, or if what
        was decided is not possible.
        """
        record = self._records[cluster]
        for attempt in range(_ATTEMPTS):
            changes = decide(record)
            if changes is None:
                return record
            try:
                record = self._store.update(record, **changes)
                break
            except Conflict:
                stored = self._store.cluster(cluster)
                if stored is None or stored.version == record.version or attempt == _ATTEMPTS - 1:
                    raise
                record = stored
        self._note_status(self._records[cluster], record)
        self._records[cluster] = record
        if cluster in self.lives:
            self.lives[cluster].record = record
        self.touch(cluster)
        return record

    def _note_status(self, before: ClusterRecord, now: ClusterRecord) -> None:
        if before.status != now.status and now.status in _NOTED and not now.warm:
            self.journal.note(now.status, now.message or _NOTED[now.status], record=now)

    def take_over(self, cluster: str, warm: str, **changes: Any) -> None:
        """The cluster's driver is this warm one from now on, for good. Raises Conflict as `amend` does."""
        live = self.lives[warm]
        record = self._store.take_over(self._records[cluster], self._records[warm], **changes)
        self._drop(warm)
        self._records[cluster] = live.record = record
        self.lives[cluster] = live
        self.touch(cluster)

    def remove(self, cluster: str) -> None:
        """Forget a record whose driver is gone. Raises Conflict if somebody else changed it."""
        self._store.delete(self._records[cluster])
        self._drop(cluster)

    def _drop(self, cluster: str) -> None:
        for known in (self._records, self.lives, self._versions, self._essences, self._waiters):
            known.pop(cluster, None)
        self.on_change()

    # --- users ---

    def _recall_users(self) -> None:
        now, half_life = self.clock(), self.site.rules.credit_half_life
        for name, user in self._store.users().items():
            fade = 0.5 ** (max(0.0, now - user.updated) / half_life) if half_life > 0 else 0.0
            self.users[name] = User(name, credit=user.credit * fade, recent=user.recent * fade)

    def remember_users(self) -> None:
        """Store the users' history; where it cannot be written just now, the next time will do."""
        now = self.clock()
        try:
            self._store.remember(UserRecord(u.name, u.credit, u.recent, now) for u in self.users.values())
        except RecordsUnavailable as away:
            log.warning("the users' history is not stored: %s", away)

    # --- views, and waiting for them to change ---

    def view(self, record: ClusterRecord) -> rest.Cluster:
        """The cluster, as its owner reads it."""
        version = self._versions.setdefault(record.id, self._first_version)
        return self._see(record, version)

    def _see(self, record: ClusterRecord, version: int) -> rest.Cluster:
        place = self.line.place(record.id)
        return cluster_view(record, self.lives.get(record.id), self.clock(), version, place)

    def touch(self, cluster: str) -> None:
        """Something may have changed about a cluster: wakes those who wait for it, if what they would read has."""
        record = self._records[cluster]
        live = self.lives.get(cluster)
        now = essence(self._see(record, 0)), live and live.report and live.report.ui
        if self._essences.get(cluster) == now:
            return
        self._essences[cluster] = now
        self._versions[cluster] = self._versions.get(cluster, self._first_version) + 1
        self.on_change()
        for waiter in self._waiters.pop(cluster, ()):
            if not waiter.done():
                waiter.set_result(None)

    def version(self, cluster: str) -> int:
        """The version of a cluster's view: it grows when something in it changes that people see."""
        return self._versions.get(cluster, self._first_version)

    async def wait(self, cluster: str, after: int, seconds: float) -> None:
        """Return when the view's version is above `after`, or after so many seconds."""
        if self._versions.get(cluster, self._first_version) > after:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(cluster, set()).add(waiter)
        try:
            await asyncio.wait_for(waiter, seconds)
        except TimeoutError:
            pass
        finally:
            self._waiters.get(cluster, set()).discard(waiter)

    def release(self) -> None:
        """Let everybody who waits go: the service ends."""
        for waiters in self._waiters.values():
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
        self._waiters.clear()

    def check_site(self, site: Site) -> None:
        """Whether it can come into force. Raises ValueError if clusters run that it has no place for."""
        pools = {pool.name for pool in site.pools}
        lost = sorted({live.record.pool for live in self.lives.values()} - pools)
        if lost:
            raise ValueError(f"pools: {', '.join(lost)} cannot go while clusters run there; stop them first")
