"""The cycle around `plan()`: who holds how many executors, decided and told.

It runs shortly after anything has happened, and at the next moment at which the rules may have something to say.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator

from emberhub.wire import agent

from ..alloc import advance, apply, plan, remember
from ..alloc.model import CallOff, Grant, Plan, Reclaim, Reclaiming, Refuse, Revoke, Snapshot
from ..records import RecordsUnavailable
from .ahead import look_ahead
from .live import Live
from .metrics import Metrics
from .snapshot import build_snapshot
from .state import State

log = logging.getLogger(__name__)

DEBOUNCE = 0.05
"""Seconds between a change and the cycle that looks at it: reports come in bursts."""
_WAITING_TICK = 1.0
_QUIET_TICK = 5.0
_LEASE_MARGIN = 5.0
_STORE_EVERY = 30.0


class Controller:
    """See the module. `reconcile` asks for a look at one cluster's driver."""

    def __init__(self, state: State, metrics: Metrics, reconcile: Callable[[str], None]) -> None:
        self.state = state
        self.metrics = metrics
        self.reconcile = reconcile
        self._unheard: set[str] = set()
        self._settled_at = 0.0
        self._last: Snapshot | None = None
        """What held since the cycle before."""
        self._stored_at = state.clock()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._beat_at = 0.0
        """When the next heartbeat is due."""

    # --- when ---

    def start(self) -> None:
        """Begin. Drivers that an earlier service left have a lease's time to be heard before anything is granted."""
        self._unheard = {live.record.id for live in self.state.lives.values() if live.adopted}
        self._settled_at = self.state.clock() + self.state.site.lease + _LEASE_MARGIN
        self.changed()
        self._beat_next()

    def close(self) -> None:
        """No cycle after this; what is known of users is stored."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self.state.remember_users()

    def changed(self) -> None:
        """Something happened: run a cycle soon."""
        self._run_in(DEBOUNCE)

    def _run_in(self, seconds: float) -> None:
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        when = loop.time() + seconds
        if self._timer is not None and not self._timer.cancelled() and self._timer.when() <= when:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(when, self._tick)

    def _tick(self) -> None:
        self._timer = None
        try:
            self.cycle()
        except Exception:
            # Nobody loses an executor because of a fault here; the next cycle may do better.
            self.metrics.plan_failures.inc()
            log.exception("this cycle failed; everything stays as it is")
        now = self.state.clock()
        self._run_in(min([_QUIET_TICK, *(max(DEBOUNCE, date - now) for date in self._dates(now) if date > now)]))

    def _dates(self, now: float) -> Iterator[float]:
        """When the rules may next have something to say."""
        site = self.state.site
        for live in self.state.lives.values():
            if live.waiting_since is not None:
                yield now + _WAITING_TICK
            yield live.paused_until
            yield live.work.peak_until
            yield live.work.grows_at
            yield from (each.until for each in live.lowered if each.until is not None)
            yield from (reclaiming.deadline for reclaiming in live.reclaiming.values())
            yield from (live.idle_from(e) + site.rules.idle_after for e in live.held if not e.active_tasks)
            if live.granted() > len(live.kept()):
                yield live.promised_since + site.service.executor_start_timeout
            if live.idle_since is not None:
                yield max(live.idle_since, live.record.last_active) + site.service.stop_after

    def settling(self) -> bool:
        """Whether this service still waits to hear the drivers that an earlier one left."""
        now, lives = self.state.clock(), self.state.lives
        self._unheard = {
            name for name in self._unheard if name in lives and not lives[name].exited and lives[name].report is None
        }
        if self._unheard and now >= self._settled_at:
            log.warning("clusters that were not heard within their lease: %s", ", ".join(sorted(self._unheard)))
            self._unheard = set()
        return bool(self._unheard)

    # --- the cycle ---

    def cycle(self) -> None:
        """1 look back, 2 deal with what is overdue, 3 tell the allocator, 4 decide, 5 obey, 6 remember, 7 explain."""
        now = self.state.clock()
        self._look_back(now)
        for live in list(self.state.lives.values()):
            self._tend(live, now)
        look_ahead(self.state.site, self.state.lives.values(), now)
        snapshot = self.snapshot()
        settling = self.settling()
        decided = Plan() if settling else self._decide(snapshot)
        self._obey(decided, now)
        self._remember(remember(apply(snapshot, decided), decided))
        self._explain(decided, settling, now)
        for cluster in self.state.lives:
            self.state.touch(cluster)

    def snapshot(self) -> Snapshot:
        """What the allocator would be told now."""
        state = self.state
        return build_snapshot(state.site, state.rules(), state.lives.values(), state.users, state.clock())

    def _look_back(self, now: float) -> None:
        state = self.state
        if self._last is not None:
            state.users = {user.name: user for user in advance(state.users.values(), self._last, now)}
        if now >= self._stored_at + _STORE_EVERY:
            self._stored_at = now
            state.remember_users()

    def _remember(self, after: Snapshot) -> None:
        """Since when who waits; and what holds until the next cycle."""
        self._last = after
        self.state.users = {user.name: user for user in after.users}
        for cluster in after.clusters:
            self.state.lives[cluster.id].remember(cluster)

    def _tend(self, live: Live, now: float) -> None:
        """What is overdue about one cluster."""
        site, record = self.state.site, live.record
        live.settle(now)
        if live.link is not None and not live.fresh:
            missing = live.expire(now, site.service.executor_start_timeout)
            if missing:
                self.metrics.expired.inc(missing)
                log.warning("cluster %s: %d granted executors did not start; withdrawn", record.id, missing)
                live.link.send(agent.Target(executors=live.target))
        if live.exited or record.goal == "stopped":
            return
        quiet = now - live.heard
        if record.status == "starting" and now > live.born + site.service.driver_start_timeout:
            late = f"Its driver was not ready after {site.service.driver_start_timeout:g} seconds."
            self._lose(live, f"{late} {live.trouble}".rstrip())
        elif live.link is None and record.status == "running" and quiet > 2 * site.lease + _LEASE_MARGIN:
            self._lose(live, f"Its driver was not heard from for {quiet:.0f} seconds.")
        elif record.status == "running" and live.link and live.idle_since is not None and not record.warm:
            idle = now - max(live.idle_since, record.last_active, record.started)
            if idle >= site.service.stop_after:
                self._stop_idle(record.id, site.service.stop_after)

    def _lose(self, live: Live, reason: str) -> None:
        live.exited, live.farewell = True, reason
        self.reconcile(live.record.id)

    def _stop_idle(self, cluster: str, after: float) -> None:
        span = f"{after / 60:g} minutes" if after >= 60 else f"{after:g} seconds"
        message = f"It was parked after {span} without work."
        stop = {"goal": "stopped", "message": message}
        try:
            self.state.amend(cluster, lambda r: stop if r.goal == "running" else None)
        except RecordsUnavailable as away:
            # It can wait; the others' executors cannot.
            log.warning("cluster %s is idle, and not stopped yet: %s", cluster, away)
            return
        self.reconcile(cluster)

    def _explain(self, decided: Plan, settling: bool, now: float) -> None:
        """Why each cluster has less than it wants (N)."""
        refused = {d.cluster: d for d in decided.decisions if isinstance(d, Refuse)}
        for cluster, live in self.state.lives.items():
            live.fair = decided.fair.get(cluster)
            live.unmet = self._paused(live, now) or (self._waits(live, now) if settling else refused.get(cluster))
            if live.unmet is not None and live.unmet.estimate is not None and live.estimate is None and not settling:
                live.estimate = (now, live.unmet.estimate)

    def _waits(self, live: Live, now: float) -> Refuse | None:
        """Why nobody gets more just after a restart."""
        lacking = live.demand(now) - live.granted()
        if lacking <= 0 or live.report is None:
            return None
        return Refuse(
            cluster=live.record.id,
            executors=lacking,
            rule="A",
            resource="",
            place=0,
            estimate=max(0.0, self._settled_at - now),
            cheapest="",
            reason="The hub has just restarted, and hears every cluster before it grants more executors.",
        )

    def _decide(self, snapshot: Snapshot) -> Plan:
        started = time.perf_counter()
        decided = plan(snapshot)
        self.metrics.plan_seconds.observe(time.perf_counter() - started)
        return decided

    def _obey(self, decided: Plan, now: float) -> None:
        for decision in decided.decisions:
            live = self.state.lives[decision.cluster]
            if not isinstance(decision, Refuse):
                rule = "" if isinstance(decision, CallOff) else decision.rule
                self.metrics.decisions.labels(type(decision).__name__, rule).inc()
                log.info("%s", decision)
                self.state.journal.decided(decision, live.record)
            if live.link is None:
                continue
            match decision:
                case Grant(executors=count):
                    live.grant(count, now)
                    live.link.send(agent.Target(executors=live.target))
                case Reclaim(executors=names, deadline=deadline, reason=reason):
                    for name in names:
                        live.reclaiming[name] = Reclaiming(since=now, deadline=deadline, reason=reason)
                    live.link.send(agent.Reclaim(executors=names, deadline=max(0.0, deadline - now), reason=reason))
                case CallOff(executors=names, reason=reason):
                    for name in names:
                        live.reclaiming.pop(name, None)
                    live.link.send(agent.CallOff(executors=names, reason=reason))
                case Revoke(executors=names, reason=reason):
                    live.revoke(names)
                    live.link.send(agent.Revoke(executors=names, target=live.target, reason=reason))

    def _paused(self, live: Live, now: float) -> Refuse | None:
        """Why a cluster that got executors, and could not start them, is asked for no more just now."""
        if now >= live.paused_until or live.report is None or live.report.wanted <= live.granted():
            return None
        patience, left = self.state.site.service.executor_start_timeout, live.paused_until - now
        return Refuse(
            cluster=live.record.id,
            executors=live.report.wanted - live.granted(),
            rule="A",
            resource="",
            place=0,
            estimate=left,
            cheapest="",
            reason=f"Executors that were granted did not start within {patience:g} seconds; they are tried again soon."
            f" {live.trouble}".rstrip(),
        )

    # --- signs of life ---

    def _beat(self) -> None:
        if self._closed:
            return
        now, site = self.state.clock(), self.state.site
        late = now - self._beat_at
        if late > site.heartbeat:
            # What drivers said meanwhile is waiting to be read; they do not count such a time either.
            log.warning("the service stood still for %.0f seconds, with its whole machine or alone", late)
            for live in self.state.lives.values():
                live.heard, live.born = min(now, live.heard + late), min(now, live.born + late)
        for live in self.state.lives.values():
            if live.link is None:
                continue
            if now > live.heard + 3 * site.heartbeat + 1:
                link, live.link = live.link, None
                link.close(1001, "Nothing was heard for too long.")
                self.state.touch(live.record.id)
                self.changed()
            else:
                live.link.send(agent.Ping())
        self._beat_next()

    def _beat_next(self) -> None:
        self._beat_at = self.state.clock() + self.state.site.heartbeat
        asyncio.get_running_loop().call_later(self.state.site.heartbeat, self._beat)
