"""Reservations (M): room for a queue in a window, and which bookings can be kept.

From `lead` seconds before its start a reservation is a part of its queue's guarantee, and what the queue does not use
of it yet is kept free: borrowers are asked to leave, and nobody else is granted it. From its start to its end it is a
guarantee like others: it can be borrowed while the queue has no use for it, and is given back when it has.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from emberhub.wire.resources import KINDS

from .jobs import Field
from .ledger import UNBOUNDED, Ledger
from .model import Pool, Queue, Reservation, Resources, Snapshot

__all__ = ["Refusal", "admit", "kept_free"]


class Refusal(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a booking cannot be kept."""

    rule: str
    resource: str
    """The resource that is short (a name of `KINDS`), or an empty string."""
    reason: str
    cheapest: str = ""
    """The smallest change with which it could be kept, as a sentence; empty if there is none."""


def kept_free(work: Field, room: Ledger) -> dict[int, list[int]]:
    """By pool: what to keep free for reservations about to start, after their queues have had what they use."""
    now = work.snapshot.now
    kept: dict[int, list[int]] = {}
    for booking in sorted(work.snapshot.reservations, key=lambda booking: booking.id):
        if not booking.start - booking.lead <= now < booking.start or booking.queue not in work.guarantees:
            continue
        guarantee = work.guarantees[booking.queue]
        left = [
            min(amount, max(0, left)) if limit < UNBOUNDED else 0
            for amount, left, limit in zip(booking.amount.amounts(), guarantee.left, guarantee.limit, strict=True)
        ]
        for kind, amount in enumerate(left):
            guarantee.left[kind] -= amount
        for number in _by_room(work, room, booking):
            share = [min(amount, max(0, has)) for amount, has in zip(left, room.rooms[number], strict=True)]
            if any(share):
                so_far = kept.setdefault(number, [0, 0, 0, 0])
                for kind, amount in enumerate(share):
                    so_far[kind] += amount
                    left[kind] -= amount
                    room.rooms[number][kind] -= amount
    return kept


def _by_room(work: Field, room: Ledger, booking: Reservation) -> list[int]:
    """Its own pool, or all of them, the emptiest first."""
    numbers = [number for number, pool in enumerate(work.pools) if booking.pool in (None, pool.name)]
    return sorted(numbers, key=lambda number: ([-has for has in room.rooms[number]], number))


def admit(snapshot: Snapshot, reservation: Reservation) -> Refusal | None:
    """Whether a booking can be kept beside those that exist and the guarantees of other queues; None if it can."""
    path = _path(snapshot.queues, reservation.queue)
    if not path:
        return Refusal("M", "", f"There is no queue {reservation.queue!r}.", "Choose a queue of the tree.")
    if reservation.end <= reservation.start or reservation.end <= snapshot.now:
        return Refusal("M", "", "Its window is empty or over.", "Let it end after it starts, and later than now.")
    if reservation.amount == Resources() or min(reservation.amount.amounts()) < 0:
        return Refusal("M", "", "It asks for nothing.", "Name an amount of cores and memory.")
    pools = [pool for pool in snapshot.pools if reservation.pool in (None, pool.name)]
    if not pools:
        return Refusal("M", "", f"There is no pool {reservation.pool!r}.", "Choose a pool, or none for any.")
    for queue in path:
        limits = (queue.max.millicores, queue.max.memory, queue.max.milligpus, queue.max.nvme)
        for kind, most, amount in zip(KINDS, limits, reservation.amount.amounts(), strict=True):
            if most is not None and amount > most:
                reason = f"Queue {queue.name} may hold at most {_show(kind, most)}."
                return Refusal("B", kind, reason, f"Book at most {_show(kind, most)}.")
    return _short(snapshot, reservation, pools) or _late(snapshot, reservation)


def _short(snapshot: Snapshot, reservation: Reservation, pools: list[Pool]) -> Refusal | None:
    """Whether its pool, and all pools together, can hold it beside other bookings and others' guarantees."""
    everything = list(snapshot.pools)
    for among in (pools, everything) if reservation.pool else (everything,):
        names = {pool.name for pool in among}
        for moment in _moments(snapshot, reservation):
            taken = [
                other.amount
                for other in snapshot.reservations
                if other.id != reservation.id
                and (other.pool in names or (other.pool is None and len(among) == len(everything)))
                and other.start - other.lead <= moment < other.end
            ]
            if len(among) == len(everything):
                taken += _guaranteed_beside(snapshot.queues, reservation.queue)
            for kind, name in enumerate(KINDS):
                has = sum(pool.capacity.amounts()[kind] for pool in among)
                left = has - sum(amount.amounts()[kind] for amount in taken)
                if reservation.amount.amounts()[kind] > left:
                    where = f"pool {reservation.pool}" if len(among) < len(everything) else "all pools together"
                    fit = f"Book at most {_show(name, left)}, or another time." if left > 0 else "Choose another time."
                    reason = f"Beside what is promised to others, {where} can keep {_show(name, max(0, left))} of it."
                    return Refusal("M", name, reason, fit)
    return None


def _late(snapshot: Snapshot, reservation: Reservation) -> Refusal | None:
    """Whether there is time to ask borrowers to leave, unless enough is free at once."""
    if snapshot.now <= reservation.start - reservation.lead:
        return None
    free = [0, 0, 0, 0]
    for pool in snapshot.pools:
        if reservation.pool in (None, pool.name):
            free = [has + more for has, more in zip(free, pool.capacity.amounts(), strict=True)]
    own = {queue.name for queue in _below(_path(snapshot.queues, reservation.queue)[0])}
    for cluster in snapshot.clusters:
        places = [executor.pool for executor in cluster.executors]
        places += [promise.pool for promise in cluster.promises for _ in range(promise.executors)]
        count = sum(1 for place in places if reservation.pool in (None, place)) if cluster.queue not in own else 0
        free = [has - need * count for has, need in zip(free, cluster.executor.amounts(), strict=True)]
    for kind, has, amount in zip(KINDS, free, reservation.amount.amounts(), strict=True):
        if amount > has:
            wait = reservation.lead - (reservation.start - snapshot.now)
            reason = f"Those who use it now need {reservation.lead:g} seconds to leave."
            return Refusal("M", kind, reason, f"Let it start {wait:g} seconds later.")
    return None


def _moments(snapshot: Snapshot, reservation: Reservation) -> Iterator[float]:
    """Times at which what is promised can be at its most in the window: when a window opens."""
    yield reservation.start
    for other in snapshot.reservations:
        if reservation.start < other.start - other.lead < reservation.end:
            yield other.start - other.lead


def _guaranteed_beside(root: Queue, queue: str) -> list[Resources]:
    """Guarantees of the subtrees beside the path to a queue; an inner queue's own covers those below it."""
    if root.name == queue:
        return []
    found: list[Resources] = []
    for child in root.children:
        found += _guaranteed_beside(child, queue) if _path(child, queue) else [_guaranteed(child)]
    return found


def _guaranteed(queue: Queue) -> Resources:
    below = [0, 0, 0, 0]
    for child in queue.children:
        below = [has + more for has, more in zip(below, _guaranteed(child).amounts(), strict=True)]
    own = queue.guaranteed.amounts()
    return Resources(*(max(pair) for pair in zip(own, below, strict=True)))


def _path(queue: Queue, name: str) -> list[Queue]:
    """The queue of this name and those above it, the queue first; empty if there is none."""
    if queue.name == name:
        return [queue]
    for child in queue.children:
        if found := _path(child, name):
            return [*found, queue]
    return []


def _below(queue: Queue) -> Iterator[Queue]:
    yield queue
    for child in queue.children:
        yield from _below(child)


def _show(kind: str, amount: int) -> str:
    return str(Resources(**{kind: amount}))
