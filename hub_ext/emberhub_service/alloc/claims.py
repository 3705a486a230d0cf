"""Serving what is due: from free room, from what is on its way, or by asking for executors back (F, G, H, I).

Two ledgers are kept. `now` has the room that nothing holds; `soon` adds what has been revoked, and what the claims of
this plan take back, and has all claims so far deducted. An executor is granted only if it fits in both: what is free
now but spoken for is left to the claim that it was set free for, so that small requests cannot keep a gang or a large
executor waiting (G). Others may fill that room in if they end, or can be asked to leave again, before the claim's date.

Claims are served in the order of filling, with those starved for longer than `starvation_after` first (H). Such a claim
keeps whatever comes free in its first pool, even where that is not enough yet. So a starved cluster is served, at
latest, once the last executor above a fair share in its reach may leave: after `starvation_after` + `min_hold` +
`reclaim_notice` (+ a deferral) + `executor_start`, if it fits beside what is frozen, floor or guarantee there.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .fairness import Job
from .filling import Due
from .jobs import Field
from .ledger import Ledger
from .preemption import LATER, Candidate, Pick, Victims

__all__ = ["Claims", "Wait"]


@dataclass(slots=True, eq=False)
class Wait:
    """A claim that is not met yet."""

    rule: str
    date: float | None
    """When room for it is expected; None if nothing is on its way."""
    pool: int


class Claims:
    """The claims of one plan, as they are served one after another."""

    def __init__(self, work: Field, now: Ledger, soon: Ledger, victims: Victims, kept: dict[int, list[int]]) -> None:
        self.work = work
        self.now = now
        self.soon = soon
        self.victims = victims
        self.kept = kept
        """By pool: what is kept for reservations about to start."""
        self.grants: list[tuple[Job, int, str]] = []
        """Cluster, pool and rule of each executor granted."""
        self.waits: dict[str, Wait] = {}
        self.held: dict[int, float] = {}
        """By pool: the earliest date of a claim that room there is kept for."""
        self._hopeless: set[tuple[int, int]] = set()
        """Kinds of clusters, with how many executors at once, for which no room can be made."""
        self._full: set[int] = set()
        """Kinds of clusters of which not one executor fits in what is free now; that never grows in a plan."""
        self._dry: set[int] = set()
        """Kinds of which not one executor fits in `soon`, as long as that does not grow."""

    def serve(self, due: Iterable[Due]) -> None:
        """Serve what is due of fair shares, in this order."""
        last = self.work.snapshot.now - self.work.snapshot.rules.starvation_after
        starved: list[tuple[float, Job, int, int]] = []
        others: list[Due] = []
        for claim in due:
            since = claim[0].cluster.starved_since
            if since is not None and since < last:
                starved.append((since, *claim))
            else:
                others.append(claim)
        starved.sort(key=lambda claim: claim[0])
        for _, job, count, pool in starved:
            self._claim(job, count, pool, starved=True)
        for job, count, pool in others:
            self._claim(job, count, pool, starved=False)

    def hold(self, pool: int, amount: list[int], rule: str, why: str) -> None:
        """Keep this much of a pool free, asking for it back where it is in use (M)."""
        self._dry.clear()
        taken = self.victims.drain(pool, self._plus(self.soon.rooms[pool], amount), self.soon) if any(amount) else []
        date = self._date(taken)
        self.victims.picks += [Pick(candidate, rule, candidate.leaves, why) for candidate in taken]
        for ledger in (self.now, self.soon):
            ledger.rooms[pool] = [room - most for room, most in zip(ledger.rooms[pool], amount, strict=True)]
        self.held[pool] = min(date, self.held.get(pool, date))

    def rest(self, jobs: Sequence[Job]) -> None:
        """What is still free goes to whoever can use it, least level first, beyond fair shares too (K)."""
        heap = []
        for job in jobs:
            have = job.live + job.granted
            if have < job.demand and not job.cluster.frozen and not self.nothing_free(job):
                heap.append((self._level(job), job.rank, job))
        heapq.heapify(heap)
        while heap:
            _, _, job = heapq.heappop(heap)
            count = max(1, job.gang - job.live - job.granted)
            placed = self._place(job, count, fill=True)
            if placed is None:
                continue
            rule = "K" if job.live + job.granted >= job.fair else "C"
            self._grant(job, placed, rule)
            if job.live + job.granted < job.demand:
                heapq.heappush(heap, (self._level(job), job.rank, job))

    def _claim(self, job: Job, count: int, best: int, *, starved: bool) -> None:
        whole = job.live + job.granted + count >= job.gang  # else it is for when its gang is there (F)
        if not whole:
            placed = None
        elif count == 1:
            pool = self._spot(job, best)
            placed = None if pool < 0 else [pool]
        else:
            placed = self._place(job, count, fill=False)
        if placed is not None:
            self._grant(job, placed, "D" if job.live + job.granted == 0 else "C")
            return
        arranged = None if (job.kind, count) in self._hopeless else self._arrange(job, count, best)
        if arranged is None:
            self._hopeless.add((job.kind, count))
            if starved and job.reach:
                self._insist(job, count)
            return
        pools, chosen = arranged
        date = self._date(chosen)
        if whole and count == 1 and self._in_time(job, pools[0], date):
            self.now.take(job.need, job.accounts[pools[0]])
            self._pick(job, chosen)
            self._grant(job, pools, "D" if job.live + job.granted == 0 else "C")
            return
        self._await(job, count, pools, chosen, date)

    def _in_time(self, job: Job, pool: int, date: float) -> bool:
        """Whether it may start in room kept for an earlier claim, as others leave that claim enough by its date (G)."""
        return date <= self.held.get(pool, -math.inf) and self.now.fits(job.need, job.accounts[pool])

    def _date(self, chosen: list[Candidate]) -> float:
        """When the last of these may have left: now, if nobody has to."""
        if len(chosen) == 1:
            return chosen[0].leaves
        return max((candidate.leaves for candidate in chosen), default=self.work.snapshot.now)

    def _insist(self, job: Job, count: int) -> None:
        """What comes free in its first pool is kept for it (H)."""
        pool = job.reach[0]
        self.soon.take(job.need, job.accounts[pool], count)
        self.waits.setdefault(job.id, Wait("H", None, pool))
        self.held[pool] = self.work.snapshot.now  # nobody fills in

    def _await(self, job: Job, count: int, pools: list[int], chosen: list[Candidate], date: float) -> None:
        """Room for it is on its way: note by when, and who leaves for it (I)."""
        if job.id not in self.waits:
            self.waits[job.id] = Wait("F" if count > 1 else "I", date, pools[0])
        if chosen:
            self._pick(job, chosen)
        for pool in pools:
            if date < self.held.get(pool, math.inf):
                self.held[pool] = date

    def _pick(self, job: Job, chosen: list[Candidate]) -> None:
        """These leave for it, none of them before the last that it needs may."""
        date = self.work.snapshot.now
        for candidate in chosen:
            if candidate.when == LATER and candidate.leaves > date:
                date = candidate.leaves
        rule = "D" if job.live + job.granted == 0 else "C"
        why = "A user waits for a first executor." if rule == "D" else "Others have less than their fair share."
        for candidate in chosen:
            self.victims.picks.append(Pick(candidate, rule, date, why))

    def _spot(self, job: Job, best: int) -> int:
        """The pool in which one executor fits in both ledgers, taken from them; -1 if there is none."""
        if self.nothing_free(job):
            return -1
        need = job.need
        for pool in job.reach if len(job.reach) < 2 or best not in job.reach else (best, *job.reach):
            accounts = job.accounts[pool]
            if self.now.tight(need, accounts) < 0 and self.soon.tight(need, accounts) < 0:
                self.now.take(need, accounts)
                self.soon.take(need, accounts)
                return pool
        return -1

    def nothing_free(self, job: Job) -> bool:
        """Whether not one executor fits in what is free now."""
        if job.kind in self._full:
            return True
        for pool in job.reach:
            if self.now.tight(job.need, job.accounts[pool]) < 0:
                return False
        self._full.add(job.kind)
        return True

    def _place(self, job: Job, count: int, *, fill: bool) -> list[int] | None:
        """Pools in which so many executors fit in both ledgers, taken from them; None, and nothing taken, if not."""
        placed: list[tuple[int, bool]] = []
        for _ in range(count):
            for pool in job.reach:
                accounts = job.accounts[pool]
                if not self.now.fits(job.need, accounts):
                    continue
                spare = self.soon.fits(job.need, accounts)
                if spare or (fill and self._gone_by(job, pool) and self.soon.fits(job.need, job.caps)):
                    self.now.take(job.need, accounts)
                    self.soon.take(job.need, accounts if spare else job.caps)
                    placed.append((pool, spare))
                    break
            else:
                for pool, spare in placed:
                    accounts = job.accounts[pool]
                    self.now.take(job.need, accounts, -1)
                    self.soon.take(job.need, accounts if spare else job.caps, -1)
                return None
        return [pool for pool, _ in placed]

    def _gone_by(self, job: Job, pool: int) -> bool:
        """Whether a cluster that fills in would be gone before the claim that the pool's room is kept for (G)."""
        rules, cluster = self.work.snapshot.rules, job.cluster
        date = self.held.get(pool)
        if date is None:
            return False
        leave = rules.min_hold + rules.reclaim_notice
        if cluster.gang_seconds is not None:
            leave = min(leave, cluster.gang_seconds)
        return self.work.snapshot.now + rules.executor_start + leave <= date

    def _grant(self, job: Job, pools: list[int], rule: str) -> None:
        job.granted += len(pools)
        self.grants += [(job, pool, rule) for pool in pools]

    def _arrange(self, job: Job, count: int, best: int) -> tuple[list[int], list[Candidate]] | None:
        """Pools in which so many executors will fit, and what has to leave for it; None, with nothing done, if none."""
        pools: list[int] = []
        chosen: list[Candidate] = []
        for _ in range(count):
            before = len(chosen)
            pool = self._coming(job, chosen, best)
            if pool < 0:
                self._dry.clear()
                for back in pools:
                    self.soon.take(job.need, job.accounts[back], -1)
                self.victims.undo(chosen, self.soon)
                return None
            self.soon.take(job.need, job.accounts[pool])
            pools.append(pool)
            more = len(chosen) - before
            if more > 1 or (more and not _alike(chosen[-1], job, pool)):
                self._dry.clear()
        return pools, chosen

    def _coming(self, job: Job, chosen: list[Candidate], best: int) -> int:
        """The pool where one more will fit: as things are, else by asking for some back; -1 if there is none."""
        if job.kind not in self._dry:
            for pool in job.reach:
                if self.soon.tight(job.need, job.accounts[pool]) < 0:
                    return pool
            self._dry.add(job.kind)
        order = job.reach if len(job.reach) < 2 or best not in job.reach else (best, *job.reach)
        if len(order) > 1 and self.victims.named:  # a reclaim in progress is not traded for another (J)
            order = tuple(sorted(order, key=lambda pool: not self.victims.has_named(job, pool)))
        for pool in order:
            if self.victims.free(job, pool, self.soon, chosen):
                return pool
        return -1

    def _level(self, job: Job) -> float:
        return (job.live + job.granted + 1) * job.share

    @staticmethod
    def _plus(room: list[int], amount: list[int]) -> list[int]:
        """The room needed for an amount to be kept: only in the resources that it has."""
        return [most if most else min(have, 0) for have, most in zip(room, amount, strict=True)]


def _alike(gone: Candidate, job: Job, pool: int) -> bool:
    """Whether what goes for an executor leaves as much room as that takes, in every account."""
    return gone.pool == pool and gone.job.need == job.need and gone.job.caps == job.caps
