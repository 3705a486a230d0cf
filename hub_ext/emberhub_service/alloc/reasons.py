"""Every no has a reason (N): what holds an unmet demand, its place in line, when it is served, and what would help."""

from __future__ import annotations

from collections.abc import Mapping

from emberhub.wire.resources import KINDS

from .claims import Claims
from .fairness import Job
from .jobs import Field
from .ledger import Ledger
from .model import Refuse, Resources
from .rotation import Turns, wait_bound

__all__ = ["refusals"]

_NAMES = dict(zip(KINDS, ("cores", "memory", "GPUs", "NVMe scratch"), strict=True))

_SPARED = ("milligpus", "nvme")
"""What an executor can do without."""

Why = tuple[str, str, str, float | None]
"""Rule, resource, sentence and estimate."""


def refusals(work: Field, claims: Claims, left: Ledger, going: Mapping[str, int], turns: Turns) -> list[Refuse]:
    """A `Refuse` for each cluster that lacks executors after a plan, in the order in which they wait.

    `left` is the room that filling left, `going` what the plan takes from each cluster, `turns` what rule D says.
    """
    reasons = _Reasons(work, claims, left, turns)
    lacking = []
    for job in work.jobs:
        lacks = job.wants - job.live - job.granted + going.get(job.id, 0)
        if lacks > 0:
            lacking.append((reasons.line(job), job, lacks))
    lacking.sort(key=lambda item: item[0])
    return [reasons.refuse(job, lacks) for _, job, lacks in lacking]


class _Reasons:
    def __init__(self, work: Field, claims: Claims, left: Ledger, turns: Turns) -> None:
        self.work = work
        self.claims = claims
        self.left = left
        self.claim_order = {name: number for number, name in enumerate(claims.waits)}
        self.turns = {job.id: number for number, job in enumerate(turns.order)}
        self.newcomers = turns.newcomers
        self.served = sum(1 for job in turns.order if job.fair)
        self.holds = {job.user for job in work.jobs if job.fair}
        self.places: dict[tuple[str, str], int] = {}
        self._changes: dict[object, str] = {}
        self._shorts: dict[object, str] = {}

    def line(self, job: Job) -> tuple[int, float, int]:
        """Where a cluster stands among those who wait."""
        claim = self.claim_order.get(job.id)
        if claim is not None:
            return 0, claim, job.rank
        if not job.fair and job.id in self.turns:
            return 1, self.turns[job.id], job.rank
        return 2, (job.fair + 1) * job.share, job.rank

    def refuse(self, job: Job, lacks: int) -> Refuse:
        rule, resource, reason, estimate = self._why(job)
        place = self.places[rule, resource] = self.places.get((rule, resource), 0) + 1
        if rule == "D":
            estimate = self._turn(place, job)
        return Refuse(job.id, lacks, rule, resource, place, estimate, self._cheapest(job), reason)

    def _why(self, job: Job) -> Why:
        """What holds a cluster."""
        now, start = self.work.snapshot.now, self.work.snapshot.rules.executor_start
        if job.cluster.frozen:
            return "A", "", "Its driver is not heard from: it keeps what it has until it reports again.", None
        if job.id in self.work.problems:
            rule, reason = self.work.problems[job.id]
            return rule, "", reason, None
        wait = self.claims.waits.get(job.id)
        resource = self._short(job, wait.pool if wait else None)
        if wait is not None:
            estimate = None if wait.date is None else max(0.0, wait.date - now) + start
            if wait.rule == "H":
                reason = "It has been below its fair share for long: what comes free in its reach is kept for it."
            elif wait.rule == "F":
                reason = f"It needs {job.gang} executors at once: executors are on their way, asked back from others."
            else:
                reason = "Executors are on their way to it, asked back from others."
            return wait.rule, resource, reason, estimate
        return self._unentitled(job, resource)

    def _unentitled(self, job: Job, resource: str) -> Why:
        """Why filling gave it no more, or could not make room for what it gave."""
        missing = max(1, job.gang - job.live - job.granted)
        if not self.claims.nothing_free(job) and any(
            self.claims.now.fits(job.need, job.accounts[pool], missing) for pool in job.reach
        ):
            return self._kept_for_others(job, resource)
        if job.fair > job.live + job.granted:
            reason = "It is below its fair share, and those who hold the rest where it can run are not above theirs."
            return "H", resource, reason, None
        step = max(1, job.gang - job.fair)
        bound = self._bound(job, step)
        if bound is not None and (not job.reach or any(self.left.fits(job.need, (p,), step) for p in job.reach)):
            return "B", bound[1], f"Queue {bound[0]} holds all the {_NAMES[bound[1]]} that it may.", None
        if self._reserved(job, step):
            return "M", resource, "What is left is kept for a reservation that starts soon.", None
        return self._by_share(job, resource)

    def _kept_for_others(self, job: Job, resource: str) -> Why:
        """It would fit in what is free, which is spoken for."""
        dates = [self.claims.held[pool] for pool in job.reach if pool in self.claims.held]
        now, start = self.work.snapshot.now, self.work.snapshot.rules.executor_start
        estimate = max(0.0, min(dates) - now) + start if dates else None
        return "G", resource, "What is free is kept for a request before it that needs more at once.", estimate

    def _by_share(self, job: Job, resource: str) -> Why:
        """It has its share, or its turn comes."""
        if job.gang > 1 and not job.fair:
            reason = f"It needs {job.gang} executors at once, more than can be its share beside the others now."
            return "F", resource, reason, None
        if not self.served and not job.fair:
            return "A", resource, "What others are to keep leaves no room for an executor of its size.", None
        if not job.fair and job.user not in self.holds and job.id in self.turns:
            what = _NAMES[resource] if resource in _SPARED else "executors"
            reason = f"More users ask than there are {what}: they take turns, and this one's comes."
            return "D", resource, reason, None
        if job.fifo:
            return "C", resource, "Those before it in the queue use the rest.", None
        reason = f"It has its fair share: others who ask use the rest of the {_NAMES.get(resource, 'pool')}."
        return "C", resource, reason, None

    def _turn(self, place: int, job: Job) -> float:
        newcomer = job.user in self.newcomers
        return wait_bound(place, self.served, self.work.snapshot.rules, newcomers=newcomer)

    def _short(self, job: Job, pool: int | None) -> str:
        """The resource that is shortest for its next executor, in a pool or in the best of its reach."""
        count = max(1, job.gang - job.live - job.granted)
        key = (job.kind, pool, count)
        if key not in self._shorts:
            pools = (pool,) if pool is not None else job.reach
            ledgers = (self.claims.soon, self.claims.now, self.left)
            found = (ledger.short(job.need, (number,), count) for ledger in ledgers for number in pools)
            self._shorts[key] = next((KINDS[short[1]] for short in found if short is not None), "")
        return self._shorts[key]

    def _bound(self, job: Job, step: int) -> tuple[str, str] | None:
        """The bounded queue above it that has no room for its next step, and the resource."""
        short = self.left.short(job.need, job.caps, step)
        if short is None:
            return None
        return self.work.bounds[short[0] - len(self.work.pools)][0], KINDS[short[1]]

    def _reserved(self, job: Job, step: int) -> bool:
        """Whether it would fit without what is kept for reservations."""
        for pool in job.reach:
            if pool not in self.claims.kept:
                continue
            a, b, c, d = self.claims.kept[pool]
            with self.left.without([((a, b, c, d), (pool,))]) as freed:
                if freed.fits(job.need, job.accounts[pool], step):
                    return True
        return False

    def _cheapest(self, job: Job) -> str:
        """The smallest change to the request that would be served now, as a sentence."""
        if job.cluster.frozen:
            return ""
        key = (job.kind, job.gang, bool(job.cluster.needs))
        if key not in self._changes:
            self._changes[key] = self._change(job)
        return self._changes[key]

    def _change(self, job: Job) -> str:
        if job.caps and any(min(self._room(cap)) <= 0 for cap in job.caps):
            return ""
        if job.gang > 1:
            fit = max((Resources(*job.need).how_many(Resources(*self._room(pool))) for pool in job.reach), default=0)
            if 0 < fit < job.gang:
                return f"With {fit} at once instead of {job.gang} it would start now."
        for number, pool in enumerate(self.work.pools):
            most = pool.node or pool.capacity
            size = Resources(*job.need)
            if number not in job.reach and size.fits_in(most) and size.fits_in(Resources(*self._room(number))):
                which = "a constraint and profile that allow" if job.cluster.needs else "a profile that allows"
                return f"With {which} pool {pool.name} it would start now."
        for parts in (3, 2, 1):
            size = Resources(*(-(-amount * parts // 4) for amount in job.need))
            for number in job.reach or range(len(self.work.pools)):
                pool = self.work.pools[number]
                if size.fits_in(pool.node or pool.capacity) and size.fits_in(Resources(*self._room(number))):
                    return f"With executors of {size} it would start now."
        for spared in _SPARED:
            size = Resources(*(0 if kind == spared else amount for kind, amount in zip(KINDS, job.need, strict=True)))
            if size != Resources(*job.need) and any(size.fits_in(Resources(*self._room(pool))) for pool in job.reach):
                return f"Without {_NAMES[spared]} it would start now."
        return ""

    def _room(self, account: int) -> list[int]:
        """What is free and spoken for by nobody."""
        pair = zip(self.claims.now.rooms[account], self.claims.soon.rooms[account], strict=True)
        return [max(0, min(both)) for both in pair]
