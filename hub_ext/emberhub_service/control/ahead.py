"""Executors ahead of need: one for who is about to ask for it, where there is room.

It is a demand like another's, made only where its room is free: nobody waits because of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from emberhub.wire.resources import Resources

from ..config import Site
from .live import Live
from .warm import just_started, rank, ready

_FIRST_QUERY = 60.0
"""Seconds after its start within which a cluster's first query is expected."""


def look_ahead(site: Site, lives: Iterable[Live], now: float) -> None:
    """Say which clusters may hold one executor without asking for it.

    First those that have just started, in the order in which they did: the executor starts while their user's first
    query is on its way. Others' firsts come before that, others' seconds after it, as rule D has it. Then the warm
    driver that is taken over next, where all the rest is served, and nobody's first query runs.
    """
    lives = list(lives)
    for live in lives:
        live.ahead = False
    usable = [live for live in lives if live.record.goal == "running" and ready(live)]
    expecting = [live for live in usable if not live.record.warm and not live.worked]
    expecting = [live for live in expecting if now < live.record.started + _FIRST_QUERY]
    others = [live for live in lives if live not in expecting]
    rooms = _rooms(site, others, lambda live: min(1, live.demand(now)))
    for live in sorted(expecting, key=lambda live: (live.record.started, live.record.id)):
        if live.record.executor.fits_in(rooms[live.record.pool]):
            live.ahead = True
            rooms[live.record.pool] -= live.record.executor
    warm = [live for live in usable if live.record.warm]
    first = min(warm, key=lambda live: rank(live, live.record.pool), default=None)
    if first is not None and (_taken(first) or not just_started((live.record for live in lives), now)):
        rooms = _rooms(site, [live for live in lives if live is not first], lambda live: live.demand(now))
        first.ahead = first.record.executor.fits_in(rooms[first.record.pool])


def _rooms(site: Site, lives: Iterable[Live], wanted: Callable[[Live], int]) -> dict[str, Resources]:
    """What each pool has left beside what these clusters have, and want."""
    rooms = {pool.name: pool.capacity for pool in site.pools}
    for live in lives:
        rooms[live.record.pool] -= live.record.executor * max(_taken(live), wanted(live))
    return rooms


def _taken(live: Live) -> int:
    return len(live.held) + live.promised()
