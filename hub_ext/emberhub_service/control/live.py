"""What is known of one cluster whose driver exists: built from its reports, never stored.

Pure bookkeeping: the caller hands in the time, and sends what is to be sent. The invariant is rule A: an executor
counts from the moment it is promised until it is seen gone, and a promise that was withdrawn counts until the driver
has acknowledged the lower target and had time to lose what it was just starting.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from emberhub.wire.agent import ExecutorReport, FromService, Report, Welcome

from ..alloc.model import Cluster, Executor, Promise, Reclaiming, Refuse
from ..config import Site
from ..records import ClusterRecord
from .demand import Demand

LAUNCH_GRACE = 3.0
"""Seconds for which an executor may still register after its driver has acknowledged a lower target."""

_FIRST_PAUSE = 15.0
_LONGEST_PAUSE = 300.0


class Link(Protocol):
    """A connection to a driver's agent."""

    def send(self, message: FromService) -> None:
        """Send soon; a connection that is gone takes it silently."""
        ...

    def close(self, code: int, reason: str) -> None:
        """End the connection."""
        ...


@dataclass
class Lowered:
    """A target that was higher before. It counts until the driver has acknowledged a lower one, and a while longer
    where promises were withdrawn: an executor may be just launching.
    """

    most: int
    grace: float
    until: float | None = None
    """None: not acknowledged."""


@dataclass
class Live:
    """One cluster, as the controller sees it. Times are on the controller's clock."""

    record: ClusterRecord
    born: float
    """When the service took up this driver."""
    adopted: bool = False
    """It was started by an earlier service."""
    link: Link | None = None
    fresh: bool = False
    """No report has come yet on the present connection."""
    report: Report | None = None
    """The last report; None until this service has heard the driver."""
    heard: float = 0.0
    """When anything last came from the driver; `born` before that."""
    target: int = 0
    """Executors that the driver is to hold: those that run and are not being revoked, and those promised."""
    lowered: list[Lowered] = field(default_factory=list)
    since: dict[str, float] = field(default_factory=dict)
    """When each executor was first seen."""
    reclaiming: dict[str, Reclaiming] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)
    work: Demand = field(default_factory=Demand)
    """What its reports say that it wants."""
    promised_since: float = 0.0
    granted_at: float | None = None
    """When the first of the executors that are on their way was promised; None once one has come."""
    failures: int = 0
    """How often in a row promised executors did not come."""
    paused_until: float = 0.0
    """No more is asked for before, since executors that were promised did not come."""
    waiting_since: float | None = None
    starved_since: float | None = None
    idle_since: float | None = None
    """Since when the cluster has had no work; None while it has some or is not known."""
    unmet: Refuse | None = None
    trouble: str = ""
    """What keeps its driver, or executors that were promised to it, as the backend sees it."""
    fair: int | None = None
    """Executors that were its fair share when it was last decided."""
    asked: float | None = None
    """Since when it has wanted the executor that comes next."""
    estimate: tuple[float, float] | None = None
    """When the first estimate of this wait was made, and what it said in seconds (N)."""
    ahead: bool = False
    """It may hold one executor before anybody asks for it."""
    worked: bool = False
    """It has had work."""
    farewell: str = ""
    """Why the driver said that it stops."""
    exited: bool = False
    """The backend has seen its driver end."""

    # --- counting (A) ---

    @property
    def held(self) -> tuple[ExecutorReport, ...]:
        """Executors in the last report."""
        return self.report.executors if self.report is not None else ()

    def kept(self) -> tuple[ExecutorReport, ...]:
        """Those held that are not on their way out."""
        return tuple(e for e in self.held if e.id not in self.revoked and not e.decommissioning)

    def promised(self) -> int:
        """Executors that may appear still."""
        if self.report is None:
            # A driver of an earlier service that is not heard keeps its floor past its lease, and no more.
            return self.record.floor if self.adopted else 0
        leaving = len(self.held) - len(self.kept())
        expected = max(self.target, len(self.kept())) + leaving
        return max(expected, *(each.most for each in self.lowered), 0) - len(self.held)

    def granted(self) -> int:
        """Executors that it is to have: its target."""
        return max(self.target, len(self.kept()))

    # --- the target ---

    def grant(self, executors: int, now: float) -> None:
        """Promise more."""
        if self.target <= len(self.kept()):
            self.promised_since = self.granted_at = now
        self.target = max(self.target, len(self.kept())) + executors

    def lower(self, target: int, grace: float = LAUNCH_GRACE) -> None:
        """Hold less. What it was before counts until the driver has acknowledged this, and `grace` seconds more."""
        self.lowered.append(Lowered(self.target, grace))
        self.target = target

    def revoke(self, executors: tuple[str, ...]) -> None:
        """Phase two for these."""
        self.revoked.update(executors)
        for executor in executors:
            self.reclaiming.pop(executor, None)
        # No promise is withdrawn by this: until the driver has acted, one that dies by itself would be replaced.
        self.lower(max(0, self.target - len(executors)), grace=0.0)

    def settle(self, now: float) -> None:
        """Forget higher targets that the driver has put behind it for long enough."""
        self.lowered = [each for each in self.lowered if each.until is None or now < each.until]

    def expire(self, now: float, patience: float) -> int:
        """Withdraw promises that were not kept in `patience` seconds; returns how many."""
        missing = self.target - len(self.kept())
        if missing <= 0 or now < self.promised_since + patience:
            return 0
        self.lower(len(self.kept()))
        self.paused_until = now + min(_FIRST_PAUSE * 2**self.failures, _LONGEST_PAUSE)
        self.failures += 1
        return missing

    def late(self) -> tuple[str, ...]:
        """Executors that came after their promise was withdrawn, the youngest first: they are to be sent back."""
        surplus = len(self.kept()) - max([self.target, *(each.most for each in self.lowered)])
        youngest = sorted(self.kept(), key=lambda e: (-self.since[e.id], e.id))
        return tuple(e.id for e in youngest[: max(0, surplus)])

    # --- reports ---

    def welcome(self, site: Site) -> None:
        """Tell the driver the agreement: when it connects, and when its floor or the configuration has changed."""
        if self.link is not None:
            record = self.record
            self.link.send(Welcome(site.lease, site.heartbeat, floor=record.floor, warm=record.warm))

    def connect(self, link: Link) -> None:
        """A new connection: what was said on the one before may never have arrived."""
        self.link = link
        self.fresh = True

    def hear(self, report: Report, now: float) -> float | None:
        """Take over a report, which is the driver's whole state. Returns the seconds from a promise to the first
        executor that came of it, where this report has it.
        """
        self.heard = now
        came = {e.id for e in report.executors} - self.since.keys()
        missing = self.target > len(self.kept())
        self.report = report
        self.work.hear(report.wanted, now)
        self.worked = self.worked or (report.wanted > 0 and not self.record.warm)
        self.since = {e.id: self.since.get(e.id, now - e.age) for e in report.executors}
        present = self.since.keys()
        # On a new connection, what was said on the one before may be lost: of that, only what has come true holds.
        self.revoked &= set() if self.fresh else present
        self.revoked |= {e.id for e in report.executors if e.decommissioning}
        self.reclaiming = {id_: r for id_, r in self.reclaiming.items() if id_ in present and id_ not in self.revoked}
        if self.fresh:
            self.fresh = False
            self.lowered.append(Lowered(max(self.target, report.target), LAUNCH_GRACE))
            self.target = report.target
        for each in self.lowered:
            if each.until is None and report.target <= self.target:
                each.until = now + each.grace
        self.settle(now)
        kept = len(self.kept())
        if kept > self.target and any(each.most >= kept for each in self.lowered):
            # It came while the promise was being withdrawn, and is counted: it may stay.
            self.target = kept
        if came:
            self.failures, self.paused_until = 0, 0.0
        if came or not missing:
            self.promised_since = now
        self.idle_since = (
            now - report.idle if not report.wanted and not any(e.active_tasks for e in self.held) else None
        )
        if not came or self.granted_at is None:
            return None
        took, self.granted_at = now - self.granted_at, None
        return took

    def idle_from(self, executor: ExecutorReport) -> float:
        """Since when an executor without a task counts as idle: its user may have asked for the cluster since. Nobody
        thinks before a spare executor, so that it goes at once when somebody could use it.
        """
        if self.record.warm:
            return self.born
        return max(self.heard - executor.idle, self.record.last_active)

    # --- demand ---

    def wanted(self, now: float) -> int:
        """Executors that its work could use, before floor and ceiling."""
        wanted = max(int(self.ahead), 0 if self.record.warm else self.work.believed(now))
        if self.kept() and now < self.work.grows_at:
            wanted = min(wanted, self.granted())
        return min(wanted, len(self.kept())) if now < self.paused_until else wanted

    def demand(self, now: float) -> int:
        """What it may ask for: its wanted executors within its floor and ceiling."""
        if now < self.paused_until:
            return self.wanted(now)
        return min(max(self.wanted(now), self.record.floor), self.record.ceiling)

    def remember(self, cluster: Cluster) -> None:
        """Take over since when it waits and starves."""
        self.waiting_since, self.starved_since = cluster.waiting_since, cluster.starved_since
        if self.waiting_since is not None:
            self.asked = self.waiting_since if self.asked is None else self.asked
        elif not self.promised():
            self.asked = self.estimate = None

    # --- for the snapshot ---

    def executors(self, pool: str) -> tuple[Executor, ...]:
        """The executors held, in the allocator's form.

        One without a task is not idle while a query of its user is planned, or is between two of its jobs. One that was
        there when its user took the driver over is theirs since then.
        """
        resting = sorted((e for e in self.held if not e.active_tasks), key=lambda e: (e.idle, e.id))
        work = (self.report.wanted if self.report else 0) - (len(self.held) - len(resting))
        idle = {e.id for e in resting[max(0, work) :]}
        return tuple(
            Executor(
                id=e.id,
                pool=pool,
                since=max(self.since[e.id], self.record.started),
                active_tasks=e.active_tasks,
                oldest_task=e.oldest_task,
                idle_since=self.idle_from(e) if e.id in idle else None,
                cached_bytes=e.cached_bytes,
                shuffle_bytes=e.shuffle_bytes,
                reclaiming=self.reclaiming.get(e.id),
                revoked=e.id in self.revoked,
            )
            for e in self.held
        )

    def promises(self, pool: str) -> tuple[Promise, ...]:
        """The promises outstanding, in the allocator's form."""
        count = self.promised()
        return (Promise(pool=pool, executors=count, since=self.promised_since or self.born),) if count else ()
