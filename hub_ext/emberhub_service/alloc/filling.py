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
from collections.abc import Iterable

from .fairness import Job, Node
from .ledger import Ledger

__all__ = ["Filling"]


class Filling:
    """Fair shares in the making: the room left, and the steps made so far in their order."""

    def __init__(self, root: Node, ledger: Ledger) -> None:
        self.root = root
        self.ledger = ledger
        self.steps: list[Job] = []
        """The cluster of each executor placed, in the order of filling: also the order of claims."""

    def floors(self, jobs: Iterable[Job]) -> None:
        """Round 1: what a cluster is to have whether it works or not."""
        for job in jobs:
            while job.fair < job.floor and self.place(job):
                pass

    def firsts(self, jobs: Iterable[Job], *, guaranteed: bool = False) -> None:
        """Rounds 2 and 4: one step for each of these, in this order."""
        for job in jobs:
            if not job.fair and (not guaranteed or _within(job)):
                self.place(job)

    def guarantees(self, jobs: Iterable[Job]) -> None:
        """Round 3: by rule C among those whose next step lies within a guarantee above them."""
        self._fill({job for job in jobs if job.guards and job.fair < job.demand}, guaranteed=True)

    def rest(self, jobs: Iterable[Job]) -> None:
        """Round 5: by rule C, until nothing more can be placed."""
        self._fill({job for job in jobs if job.fair < job.demand}, guaranteed=False)

    def place(self, job: Job) -> bool:
        """Give a cluster its next step if there is room for all of it."""
        count = job.gang - job.fair if job.fair < job.gang else 1
        if job.fair + count > job.demand:
            return False
        placed: list[int] = []
        for _ in range(count):
            pool = self._pool(job)
            if pool < 0:
                for back in placed:
                    self._take(job, back, -1)
                return False
            self._take(job, pool, 1)
            placed.append(pool)
        job.fair += count
        for guard in job.guards:
            for kind, amount in enumerate(job.need):
                guard[kind] -= amount * count
        self.steps.extend([job] * count)
        return True

    def _pool(self, job: Job) -> int:
        """The pool for one more executor: where it holds one already, else the best with room; -1 if there is none."""
        rooms = self.ledger.rooms
        a, b, c, d = job.need
        for cap in job.caps:
            room = rooms[cap]
            if room[0] < a or room[1] < b or (c and room[2] < c) or (d and room[3] < d):
                return -1
        found = -1
        slots, reach = job.slots, job.reach
        for pool in job.places:
            room = rooms[pool]
            if room[0] >= a and room[1] >= b and (not c or room[2] >= c) and (not d or room[3] >= d):
                if not slots or slots.get(pool, 0) > 0:
                    return pool
                if found < 0 and pool in reach:
                    found = pool
        return found

    def _take(self, job: Job, pool: int, times: int) -> None:
        a, b, c, d = job.need
        for account in (pool, *job.caps):
            room = self.ledger.rooms[account]
            room[0] -= a * times
            room[1] -= b * times
            room[2] -= c * times
            room[3] -= d * times
        if job.slots:
            job.slots[pool] = job.slots.get(pool, 0) - times

    def _fill(self, able: set[Job], *, guaranteed: bool) -> None:
        """Serve the least level first, step by step."""
        root = self.root
        if not able or not root.open(able):
            return
        heap = root.heap
        while heap:
            job = heap[0][2]
            while isinstance(job, Node):
                job = job.heap[0][2]
            before = job.fair
            if (guaranteed and not _within(job)) or not self.place(job):
                _block(job)
            else:
                _rise(job, job.fair - before)


def _within(job: Job) -> bool:
    """Whether the next step fits in what is left of a guarantee above it."""
    count = job.step
    return any(all(has >= amount * count for has, amount in zip(guard, job.need, strict=True)) for guard in job.guards)


def _block(job: Job) -> None:
    """A cluster can be served no more: it leaves its parent's heap, and so does a parent that has none left."""
    node = job.parent
    while node is not None:
        heapq.heappop(node.heap)
        parent = node.parent
        if node.heap:
            _renew(node)
            return
        node = parent


def _renew(node: Node) -> None:
    """The best child of a node has changed: so does its own place, all the way up."""
    parent = node.parent
    while parent is not None:
        heapq.heapreplace(parent.heap, node.key())
        node, parent = parent, parent.parent


def _rise(job: Job, count: int) -> None:
    """A step was made: the levels above it rise, and each node takes its new place."""
    node = job.parent
    assert node is not None
    s = job.shares
    gain = s if count == 1 else (s[0] * count, s[1] * count, s[2] * count, s[3] * count)
    level = job.fair * job.share
    if job.fair < job.demand:
        heapq.heapreplace(node.heap, job.key())
    else:
        heapq.heappop(node.heap)
    while True:
        before = node.vector
        node.rise(gain, level)
        parent = node.parent
        if parent is None:
            return
        if node.heap:
            heapq.heapreplace(parent.heap, node.key())
        else:
            heapq.heappop(parent.heap)
        after = node.vector
        gain = (after[0] - before[0], after[1] - before[1], after[2] - before[2], after[3] - before[3])
        level = max(after) / node.weight
        node = parent
