"""Progressive filling in whole executors (C): what each cluster's fair share is, were everything free.

The share is filled from empty pools, so that it does not depend on who happens to hold what. What is held matters in
two places only: an executor that runs is matched to its own pool first, and among equals of one priority whoever holds
the executor keeps it. Without the second, two equal claims on an odd executor would pass it back and forth (J); it is
the one tie-break before rule C's `waiting since, id`.

Rounds, each on what the one before left:

1. floors; 2. the first executor of each user of a guaranteed queue, 3. its guarantee, 4. the first executor of each
user (D), 5. everything else (C). So a floor or a guarantee in use comes before D, and D before weights.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

from .fairness import Job, Node, block, rise
from .ledger import Ledger

__all__ = ["Due", "Filling"]

Due = tuple[Job, int, int]
"""Cluster, executors at once, and pool."""


class Filling:
    """Fair shares in the making: the room left, and what those who lack some of theirs can claim."""

    def __init__(self, root: Node, ledger: Ledger) -> None:
        self.root = root
        self.ledger = ledger
        self.due: list[Due] = []
        """Claims in the order of filling: each step that the cluster does not hold, with the pool it was placed in."""

    def floors(self, jobs: Sequence[Job]) -> None:
        """Round 1: what a cluster is to have whether it works or not, beginning with those that have it."""
        floored = [job for job in jobs if job.floor]
        for held in (True, False):
            for job in floored:
                floor = min(job.floor, job.live) if held else job.floor
                while job.fair + job.step <= floor and self.place(job):
                    pass

    def firsts(self, jobs: Iterable[Job], *, guaranteed: bool = False) -> None:
        """Rounds 2 and 4: one step for each of these, in this order."""
        for job in jobs:
            if not job.fair and (not guaranteed or _within(job)):
                self.place(job)

    def all_fit(self, jobs: Iterable[Job]) -> bool:
        """Whether one step of each of these would fit, so that nobody has to take turns."""
        room = self.ledger.copy()
        for job in jobs:
            for _ in range(job.step):
                for pool in job.places:
                    if room.tight(job.need, job.accounts[pool]) < 0:
                        room.take(job.need, job.accounts[pool])
                        break
                else:
                    return False
        return True

    def guarantees(self, jobs: Iterable[Job]) -> None:
        """Round 3: by rule C among those whose next step lies within a guarantee above them."""
        self._fill({job for job in jobs if job.guards and job.fair < job.demand}, guaranteed=True)

    def rest(self, jobs: Iterable[Job]) -> None:
        """Round 5: by rule C, until nothing more can be placed."""
        able = {job for job in jobs if job.fair < job.demand}
        for job in able:
            job.guards = ()  # no later round asks what is left of a guarantee
        self._fill(able, guaranteed=False)

    def place(self, job: Job) -> bool:
        """Give a cluster its next step if there is room for all of it."""
        fair = job.fair
        if fair < job.gang != 1:
            return self._gang(job)
        if fair >= job.demand or (pool := self._one(job)) < 0:
            return False
        job.fair = fair + 1
        if fair >= job.live:
            self.due.append((job, 1, pool))
        if job.guards:
            _use(job, 1)
        return True

    def _one(self, job: Job) -> int:
        """Place one executor, where the cluster holds one already, else in the best pool with room; -1 if in none."""
        rooms, slots = self.ledger.rooms, job.slots
        a, b, c, d = job.need
        for cap in job.caps:
            room = rooms[cap]
            if (a and room[0] < a) or (b and room[1] < b) or (c and room[2] < c) or (d and room[3] < d):
                return -1
        found = -1
        for pool in job.places:
            room = rooms[pool]
            if (a and room[0] < a) or (b and room[1] < b) or (c and room[2] < c) or (d and room[3] < d):
                continue
            if not slots:
                found = pool
                break
            if pool in slots:
                left = slots[pool]
                if left > 1:
                    slots[pool] = left - 1
                else:
                    del slots[pool]  # all that it holds there is matched
                found = pool
                break
            if found < 0 and pool in job.reach:
                found = pool
        if found < 0:
            return -1
        for account in job.accounts[found]:
            room = rooms[account]
            room[0] -= a
            room[1] -= b
            if c or d:
                room[2] -= c
                room[3] -= d
        return found

    def _plain(self, job: Job) -> int:
        """The same for a cluster of the common sort, with nothing looked at that it does not have."""
        rooms, slots, need = self.ledger.rooms, job.slots, job.need
        a, b, found = need[0], need[1], -1
        for pool in job.places:
            room = rooms[pool]
            if room[0] < a or room[1] < b:
                continue
            if not slots:
                break
            if left := slots.get(pool):
                if left > 1:
                    slots[pool] = left - 1
                else:
                    del slots[pool]
                break
            if found < 0 and pool in job.reach:
                found = pool
        else:
            if found < 0:
                return -1
            pool = found
            room = rooms[pool]
        room[0] -= a
        room[1] -= b
        return pool

    def _gang(self, job: Job) -> bool:
        """Place all of a gang, in several pools if it must be, or none of it (F). What it lacks is one claim."""
        if job.gang > job.demand:
            return False
        placed: list[int] = []
        held = dict(job.slots)
        for _ in range(job.step):
            pool = self._one(job)
            if pool < 0:
                for pool in placed:
                    self.ledger.take(job.need, job.accounts[pool], -1)
                job.slots = held
                return False
            placed.append(pool)
        _use(job, len(placed))
        job.fair = job.gang
        if job.live < job.gang:
            self.due.append((job, job.gang - job.live, placed[-1]))
        return True

    def _fill(self, able: set[Job], *, guaranteed: bool) -> None:
        """Serve the least level first, step by step. The common step is written out here, for speed."""
        heap = self.root.heap if able and self.root.open(able) else []
        plain, one, due = self._plain, self._one, self.due.append
        alive = {(job.kind, job.places): job for job in able}  # one of each sort that may be given more
        while heap and alive:
            job = heap[0][2]
            if not job.direct:
                if self._step(job, guaranteed=guaranteed):
                    continue
            elif (not guaranteed or _within(job)) and (pool := plain(job) if job.plain else one(job)) >= 0:
                if job.fair >= job.live:
                    due((job, 1, pool))
                if guaranteed:
                    _use(job, 1)
                _climb(heap, job)
                continue
            block(job)
            if (job.kind, job.places) in alive and self._hopeless(job):
                alive = {sort: other for sort, other in alive.items() if not self._hopeless(other)}

    def _step(self, job: Job, *, guaranteed: bool) -> bool:
        """Serve a cluster's next step; False if it cannot be."""
        before = job.fair
        if (not guaranteed or _within(job)) and self.place(job):
            rise(job, job.fair - before)
            return True
        return False

    def _hopeless(self, job: Job) -> bool:
        """Whether no cluster of this kind and these pools is given another executor in a round: room only falls."""
        if job.guards and not _within(job, 1):
            return True
        return all(self.ledger.tight(job.need, job.accounts[pool]) >= 0 for pool in job.places)


def _use(job: Job, count: int) -> None:
    """Take a step from what is left of the guarantees above it."""
    a, b, c, d = job.need
    for left in job.guards:
        left[0] -= a * count
        left[1] -= b * count
        if c or d:
            left[2] -= c * count
            left[3] -= d * count


def _within(job: Job, count: int = 0) -> bool:
    """Whether so many executors, or the next step, fit in what is left of a guarantee above it."""
    a, b, c, d = job.need
    if job.gang > 1:
        count = count or job.step
        a, b, c, d = a * count, b * count, c * count, d * count
    for left in job.guards:
        if left[0] >= a and left[1] >= b and left[2] >= c and left[3] >= d:
            break
    else:
        return False
    return True


def _climb(heap: list[tuple[float, int, Job]], job: Job) -> None:
    """`rise` for the common step: of one executor, in a child of the root whose heap this is."""
    node, gain, fair = job.parent, job.shares, job.fair + 1
    assert node is not None
    below = node.heap
    job.fair = fair
    if fair < job.demand:
        rank = job.rank if fair < job.live else job.rank_new
        heapq.heapreplace(below, ((fair + 1) * job.share - job.boost, rank, job))
    else:
        heapq.heappop(below)
    if node.high or gain[2] or gain[3]:
        node.rise(gain, fair * job.share)
        cores, memory, c, d = node.vector
    else:  # with nobody above it, the level reached does not matter
        cores, memory, c, d = node.low
        cores += gain[0]
        memory += gain[1]
        node.low = node.vector = cores, memory, c, d
    if not below:
        heapq.heappop(heap)
        return
    _, rank, job = below[0]
    if c or d or not job.plain:
        heapq.heapreplace(heap, node.key())
        return
    gain = job.shares
    cores += gain[0]
    memory += gain[1]
    heapq.heapreplace(heap, ((cores if cores > memory else memory) / node.weight - node.boost, rank, job))
