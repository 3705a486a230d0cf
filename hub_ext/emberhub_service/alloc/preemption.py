"""Preemption in two phases (I): who could lose what, cheapest first, and what has been asked for already.

Only what lies above a cluster's fair share may be taken, never below a floor or a guarantee: a fair share includes the
floor and the guarantees that the pools can keep, and a queue that holds no more than its guarantee loses nothing to
others even where they cannot. An executor already named is taken first, so that a reclaim in progress is never traded
for another (J); then those that may be named now: idle before busy, least cached and shuffle data, least work lost;
last those still within `min_hold`, which only date the claim. Of a cluster in several pools, executors go where
filling matched none of its share: so taking them leaves its share, and everybody's, as it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .fairness import Job
from .jobs import Field
from .ledger import Ledger
from .model import Executor

__all__ = ["Candidate", "Pick", "Victims"]

NAMED, NOW, LATER = 0, 1, 2
What = tuple[Job, Executor | None, int, float]
"""Whose it is, the executor unless it is only promised, its pool, and when it could leave."""
Entry = tuple[int, float, bool, int, float, float, float, str, str, int, What]
"""What it would cost to lose an executor, as it compares: the number before the last is never equal to another's."""


@dataclass(slots=True, eq=False)
class Candidate:
    """One executor, or one promise of one, above its cluster's fair share."""

    job: Job
    executor: Executor | None
    """None: promised and not seen yet."""
    pool: int
    when: int
    """`NAMED` already, nameable `NOW`, or `LATER`."""
    leaves: float
    """The earliest time at which it could be revoked."""
    taken: bool = False


@dataclass(slots=True, eq=False)
class Pick:
    """A candidate that a claim needs gone."""

    candidate: Candidate
    rule: str
    date: float
    """When the claim can be met: no executor need leave before it."""
    why: str


class Victims:
    """Candidates by account, cheapest first."""

    def __init__(self, work: Field) -> None:
        self.work = work
        self.picks: list[Pick] = []
        self._lists: dict[int, list[Candidate]] = {}
        self._gangs: dict[Job, list[Candidate]] = {}
        self._next: dict[int, int] = {}
        found: list[Entry] = []
        index = {pool.name: number for number, pool in enumerate(work.pools)}
        for job in work.jobs:
            job.spare = job.live - job.fair
            if job.spare > 0 and not job.cluster.frozen:
                found += _within_reach(job, _entries(work, job, index))
        found.sort()
        self.named = bool(found) and found[0][0] == NAMED
        """Whether anything has been asked back already."""
        for entry in found:
            job, executor, pool, leaves = entry[-1]
            candidate = Candidate(job, executor, pool, entry[0], leaves)
            for account in job.accounts[pool]:
                self._lists.setdefault(account, []).append(candidate)
            if job.gang > 1:
                self._gangs.setdefault(job, []).append(candidate)

    def free(self, claimant: Job, pool: int, soon: Ledger, chosen: list[Candidate]) -> bool:
        """Choose candidates until one more executor of the claimant fits in `soon`; False, with none, if it cannot."""
        accounts = claimant.accounts[pool]
        start = len(chosen)
        while (account := soon.tight(claimant.need, accounts)) >= 0:
            candidate = self._cheapest(account, claimant)
            if candidate is None:
                self.undo(chosen[start:], soon)
                del chosen[start:]
                return False
            for gone in self._with_gang(candidate) if candidate.job.gang > 1 else (candidate,):
                self._choose(gone, soon)
                chosen.append(gone)
        return True

    def undo(self, chosen: Iterable[Candidate], soon: Ledger) -> None:
        """Put candidates back that a claim turned out not to be able to use."""
        for candidate in chosen:
            candidate.taken = False
            candidate.job.spare += 1
            if candidate.job.split:
                candidate.job.slots[candidate.pool] = candidate.job.slots.get(candidate.pool, 0) + 1
            self._next.clear()
            soon.take(candidate.job.need, candidate.job.accounts[candidate.pool])
            for guarantee in candidate.job.guarantees:
                guarantee.add(candidate.job.need, 1)

    def drain(self, pool: int, amount: list[int], soon: Ledger) -> list[Candidate]:
        """Choose candidates in a pool until its room is at least this, as far as they go (M)."""
        chosen: list[Candidate] = []
        while any(room < least for room, least in zip(soon.rooms[pool], amount, strict=True)):
            candidate = self._cheapest(pool, None)
            if candidate is None:
                break
            for gone in self._with_gang(candidate):
                self._choose(gone, soon)
                chosen.append(gone)
        return chosen

    def has_named(self, claimant: Job, pool: int) -> bool:
        """Whether something in a pool has been asked back already that the claimant could have."""
        candidate = self._cheapest(pool, claimant)
        return candidate is not None and candidate.when == NAMED

    def _cheapest(self, account: int, claimant: Job | None) -> Candidate | None:
        found = self._lists.get(account, [])
        first = -1
        for at in range(self._next.get(account, 0), len(found)):
            candidate = found[at]
            job = candidate.job
            if not candidate.taken and job.spare > 0 and (not job.split or _surplus_here(candidate)):
                if first < 0:
                    self._next[account] = first = at
                if not job.guarantees or may_lose(job, claimant):
                    return candidate
        if first < 0:
            self._next[account] = len(found)
        return None

    def _with_gang(self, candidate: Candidate) -> list[Candidate]:
        """A gang that loses one executor can use none of them (F): all go together."""
        job = candidate.job
        if job.fair or job.gang == 1 or job.spare > job.gang:
            return [candidate]
        return [candidate, *(other for other in self._gangs[job] if other is not candidate and not other.taken)]

    def _choose(self, candidate: Candidate, soon: Ledger) -> None:
        candidate.taken = True
        job, pool = candidate.job, candidate.pool
        job.spare -= 1
        if job.split:
            job.slots[pool] = job.slots.get(pool, 0) - 1
        soon.take(job.need, job.accounts[pool], -1)
        for guarantee in job.guarantees:
            guarantee.add(job.need, -1)


def may_lose(job: Job, claimant: Job | None) -> bool:
    """Whether every guarantee above a cluster lets go: it holds more than that, or gives to one of its own."""
    shared = claimant.guarantees if claimant is not None else ()
    return not [guarantee for guarantee in job.guarantees if not (guarantee in shared or guarantee.exceeded())]


def _surplus_here(candidate: Candidate) -> bool:
    """Whether filling left something of its cluster unmatched in its pool; what is named already stays named."""
    return candidate.when == NAMED or candidate.job.slots.get(candidate.pool, 0) > 0


def _entries(work: Field, job: Job, index: dict[str, int]) -> list[Entry]:
    """A cluster's executors with what it would cost to lose each, cheapest first, in an order that is total."""
    now, rules, name = work.snapshot.now, work.snapshot.rules, job.id
    hold, notice = rules.min_hold, rules.reclaim_notice
    user = work.users.get(job.user)
    recent = -user.recent if user else 0.0
    found: list[Entry] = []
    for executor in job.cluster.executors:
        if executor.revoked or executor.pool not in index:
            continue
        since = executor.since
        kept_until = since + hold
        busy = executor.idle_since is None
        if executor.reclaiming is not None:
            when, order = NAMED, executor.reclaiming.deadline
            leaves = order
        elif (kept_until - notice if busy else kept_until) <= now:
            when, order = NOW, 0.0
            leaves = max(now + notice if busy else now, kept_until)
        else:
            when, order, leaves = LATER, kept_until, kept_until
        data, work_lost = executor.cached_bytes + executor.shuffle_bytes, executor.active_tasks * executor.oldest_task
        what: What = (job, executor, index[executor.pool], leaves)
        found.append((when, order, busy, data, work_lost, recent, -since, name, executor.id, len(found), what))
    if job.cluster.promises:
        _leave_one(found, min([promise.since for promise in job.cluster.promises]) + rules.executor_start + hold)
    for promise in sorted(job.cluster.promises, key=lambda promise: (promise.since, promise.pool)):
        if promise.pool in index:
            until = promise.since + rules.executor_start + hold
            what = (job, None, index[promise.pool], until)
            for number in range(promise.executors):
                last = f"{promise.pool}/{number}"
                found.append((LATER, until, True, 0, 0.0, recent, 0.0, name, last, len(found), what))
    found.sort()
    return found


def _leave_one(found: list[Entry], until: float) -> None:
    """While others are on their way, a cluster's last present executor stays: what is promised has yet to come."""
    if found and all(entry[0] == NOW for entry in found):
        found.sort()
        _, _, *rest, (job, executor, pool, _) = found[-1]
        found[-1] = (LATER, until, *rest, (job, executor, pool, until))  # type: ignore[assignment]


def _within_reach(job: Job, entries: list[Entry]) -> list[Entry]:
    """Those that could come to be chosen: in a pool, the cheapest go first, and no more than the cluster has spare."""
    if job.gang > 1:
        return entries  # a gang can go as a whole
    kept: list[Entry] = []
    counts: dict[int, int] = {}
    for entry in entries:
        pool = entry[-1][2]
        count = counts[pool] = counts.get(pool, 0) + 1
        if count <= job.spare and (not job.split or entry[0] == NAMED or count <= job.slots.get(pool, 0)):
            kept.append(entry)
    return kept
