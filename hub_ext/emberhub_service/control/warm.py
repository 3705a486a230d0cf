"""Warm drivers: started before anybody asks, each taken over by one cluster for good.

A warm driver is a record without a user. It is started, watched and adopted after a restart like any other, and its
tokens are its own from birth: nothing of a former user can be in it, since there was none. Whoever asks for a cluster
of its profile, without settings of their own, takes it over; another is then started behind everybody who waits.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable

from emberhub_spawner.pods import fingerprint
from emberhub_spawner.profiles import Profile

from ..config import Site
from ..records import ENDED, ClusterRecord
from .live import Live
from .making import pods_of
from .snapshot import choose_pool, open_queue
from .state import State

log = logging.getLogger(__name__)

_TICK = 5.0
_ASK_HUB_EVERY = 30.0
_PEOPLE_FIRST = 10.0
"""Seconds after anybody's start in which nothing is started ahead of need: their first query has the machine."""
_AFTER_FAILURE = 60.0
"""Seconds without another try once a warm driver did not start."""

Presence = Callable[[], Awaitable[set[str] | None]]
"""Asks the hub who has a notebook server; None where it does not say."""


def pick(state: State, record: ClusterRecord) -> Live | None:
    """The warm driver that this cluster may take over: of its profile as it stands now, ready ones first."""
    profile = state.site.profile(record.profile)
    if profile is None or record.warm or record.conf:
        return None
    found = [
        live
        for live in state.lives.values()
        if live.record.warm
        and live.record.status in ("starting", "running")
        and usable(live.record, state.site, profile, record.queue)
        and not live.exited
        and (live.report is not None or not live.adopted)
    ]
    pool = choose_pool(state.site, record.executor, profile, state.lives.values())
    return min(found, key=lambda live: rank(live, pool), default=None)


def rank(live: Live, pool: str) -> tuple[bool, bool, bool, float, str]:
    """Who is taken over first: ready ones, in this pool, with an executor, the oldest."""
    return not ready(live), live.record.pool != pool, not live.held, live.record.created, live.record.id


def ready(live: Live) -> bool:
    """Whether its driver takes work."""
    return live.link is not None and live.report is not None and live.report.endpoint is not None


def usable(record: ClusterRecord, site: Site, profile: Profile, queue: str) -> bool:
    """Whether a warm driver is as one started now for a cluster of this queue would be."""
    same = record.executor == profile.executor and record.conf == profile.conf
    made = record.made_as == fingerprint(*pods_of(site, profile, queue))
    return record.profile == profile.name and same and made and record.goal == "running"


def just_started(records: Iterable[ClusterRecord], now: float) -> bool:
    """Whether somebody has just got a driver."""
    return any(not record.warm and now < record.started + _PEOPLE_FIRST for record in records)


class WarmDrivers:
    """Keeps as many warm drivers as the configuration and the people who are logged in ask for."""

    def __init__(self, state: State, reconcile: Callable[[str], None], presence: Presence) -> None:
        self._state = state
        self._reconcile = reconcile
        self._presence = presence
        self._people: set[str] | None = set()
        self._asked_at = float("-inf")
        self._not_before = 0.0

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            now = self._state.clock()
            try:
                if now >= self._asked_at + _ASK_HUB_EVERY and any(p.warm for p in self._state.site.profiles):
                    self._people, self._asked_at = await self._presence(), now
                self.tend(self._state.clock())
            except Exception:
                log.exception("the warm drivers could not be looked after; trying again")
            await asyncio.sleep(_TICK)

    def tend(self, now: float) -> None:
        """Clear up after those that ended, let go of those that no longer suit, start one where one is missing."""
        kept: dict[str, list[ClusterRecord]] = {profile.name: [] for profile in self._state.site.profiles}
        for record in [r for r in self._state.records() if r.warm]:
            profile = self._state.site.profile(record.profile)
            if record.status in ENDED and record.goal == "stopped":
                if record.status == "failed":
                    log.warning("a warm driver did not last: %s", record.message)
                    self._not_before = now + _AFTER_FAILURE
                self._state.remove(record.id)
            elif profile is None or not usable(record, self._state.site, profile, record.queue):
                self._let_go(record, "The profile has changed.")
            else:
                kept[profile.name].append(record)
        for profile in self._state.site.profiles:
            have, wanted = kept[profile.name], self.wanted(profile)
            oldest = min(have, key=lambda r: r.created, default=None)
            if oldest is not None and len(have) > wanted and now > oldest.created + self._state.site.service.stop_after:
                self._let_go(oldest, "Nobody has needed it.")
            elif len(have) < wanted and now >= self._not_before and not self._busy(now):
                self._start(profile, now)
                return

    def wanted(self, profile: Profile) -> int:
        """How many of this profile: one for each person who is logged in without a cluster, and always one."""
        if self._people is None:
            return profile.warm
        served = {r.user for r in self._state.records() if r.status not in ENDED or r.goal == "running"}
        return min(profile.warm, max(1, len(self._people - served)))

    def _busy(self, now: float) -> bool:
        """Warm drivers are started one by one, while nobody else's is and no executor is on its way or waited for."""
        records, lives = self._state.records(), self._state.lives.values()
        return (
            just_started(records, now)
            or any(r.status in ("pending", "starting") or (r.goal == "running" and r.status in ENDED) for r in records)
            or any(live.waiting_since is not None or live.promised() for live in lives if not live.record.warm)
        )

    def _let_go(self, record: ClusterRecord, why: str) -> None:
        if record.goal == "running":
            self._state.amend(record.id, lambda _: {"goal": "stopped", "message": why})
            self._reconcile(record.id)

    def _start(self, profile: Profile, now: float) -> None:
        name, site = f"w-{secrets.token_hex(8)}", self._state.site
        queue = open_queue(site)
        self._state.insert(
            ClusterRecord.asked_for(
                now,
                id=name,
                user="",
                name=name,
                profile=profile.name,
                queue=queue,
                executor=profile.executor,
                floor=0,
                ceiling=1,
                conf=profile.conf,
                made_as=fingerprint(*pods_of(site, profile, queue)),
            )
        )
        self._reconcile(name)
