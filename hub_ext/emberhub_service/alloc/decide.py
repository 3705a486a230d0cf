"""From what is to happen to decisions: revoke, call off, grant and reclaim, each with a sentence (I, J)."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from .claims import Claims
from .fairness import Job
from .jobs import Field
from .model import CallOff, Executor, Grant, Reclaim, Revoke
from .preemption import NAMED, NOW, Pick

__all__ = ["Taking", "grants", "takings"]

WHY = {
    "C": "It has less than its fair share, and there is room.",
    "D": "Everyone has one executor before anyone has two.",
    "K": "Nobody else can use what is free.",
}


class Taking:
    """What is taken from the clusters, and what no longer is."""

    def __init__(self) -> None:
        self.revokes: list[Revoke] = []
        self.calloffs: list[CallOff] = []
        self.reclaims: list[Reclaim] = []
        self.going: dict[str, int] = {}
        """By cluster: executors named or revoked by this plan or an earlier one."""


def grants(work: Field, claims: Claims) -> list[Grant]:
    """One decision for each cluster, pool and rule, in the order in which they were served."""
    merged: dict[tuple[str, int, str], int] = {}
    for job, pool, rule in claims.grants:
        key = (job.id, pool, rule)
        merged[key] = merged.get(key, 0) + 1
    return [Grant(name, count, work.pools[pool].name, rule, WHY[rule]) for (name, pool, rule), count in merged.items()]


def takings(work: Field, picks: Iterable[Pick], strained: Collection[int]) -> Taking:
    """Both phases of preemption (I), of giving back what is not used (J), and what is above a maximum (B).

    `strained`: the accounts in which more is held than there may be, such as those of queues whose maximum was lowered.
    """
    taking = Taking()
    by_cluster: dict[str, list[Pick]] = {}
    for pick in picks:
        by_cluster.setdefault(pick.candidate.job.id, []).append(pick)
    for job in work.jobs:
        mine = by_cluster.get(job.id, [])
        bounded = bool(strained) and any(cap in strained for cap in job.caps)
        if job.cluster.frozen or not (mine or job.marked or job.live > (job.fair if bounded else job.demand)):
            continue
        cluster = _Cluster(work, job, mine, bounded=bounded)
        cluster.for_claims()
        cluster.for_itself()
        cluster.decide(taking)
    return taking


class _Cluster:
    """One cluster: phase two for what is due, phase one for what is new, and an end to what is not needed."""

    def __init__(self, work: Field, job: Job, picks: list[Pick], *, bounded: bool) -> None:
        self.now = work.snapshot.now
        self.rules = work.snapshot.rules
        self.job = job
        self.picks = picks
        self.bounded = bounded
        """A queue above it holds more than it may."""
        self.revoke: dict[tuple[str, str], list[str]] = {}
        self.reclaim: dict[tuple[float, str, str], list[str]] = {}
        self.off: list[str] = []
        self.going = 0

    def for_claims(self) -> None:
        """What others need of it."""
        for pick in self.picks:
            executor, when = pick.candidate.executor, pick.candidate.when
            if executor is not None and when in {NAMED, NOW}:
                self._take(executor, max(pick.candidate.leaves, pick.date), pick.rule, pick.why)

    def for_itself(self) -> None:
        """What lies idle or above its maximum with nobody waiting for it, and what is needed no more."""
        job, rules = self.job, self.rules
        most, rule, why = job.cluster.ceiling, "J", "It is above its cluster's maximum."
        if self.bounded and job.fair < most:
            most, rule, why = job.fair, "B", "Its queue has more than its maximum."
        over = job.live - min(job.demand, most) - len(self.picks)
        beyond = job.live - most - len(self.picks)
        if over <= 0 and not job.marked:
            return
        picked = {pick.candidate.executor.id for pick in self.picks if pick.candidate.executor is not None}
        rest = [executor for executor in job.cluster.executors if not executor.revoked and executor.id not in picked]
        for executor in sorted(rest, key=_cheap):
            held = self.now >= executor.since + rules.min_hold
            rested = executor.idle_since is not None and self.now - executor.idle_since >= rules.idle_after
            if held and over > 0 and (rested or beyond > 0):
                over, beyond = over - 1, beyond - 1
                if rested:
                    self._take(executor, self.now, "J", "It is idle, and its cluster does not want it.")
                else:
                    deadline = self.now + rules.reclaim_notice
                    self._take(executor, deadline, rule, why)
            elif executor.reclaiming is not None:
                self.off.append(executor.id)

    def decide(self, taking: Taking) -> None:
        """The decisions, executors together that go for the same reason."""
        name = self.job.id
        for (rule, why), executors in self.revoke.items():
            taking.revokes.append(Revoke(name, tuple(sorted(executors)), rule, why))
        if self.off:
            taking.calloffs.append(CallOff(name, tuple(sorted(self.off)), "Nobody needs it any more: it stays."))
        for (deadline, rule, why), executors in sorted(self.reclaim.items()):
            taking.reclaims.append(Reclaim(name, tuple(sorted(executors)), deadline, rule, why))
        if self.going:
            taking.going[name] = self.going

    def _take(self, executor: Executor, deadline: float, rule: str, why: str) -> None:
        self.going += 1
        if executor.reclaiming is None:
            self.reclaim.setdefault((deadline, rule, why), []).append(executor.id)
        elif executor.reclaiming.deadline <= self.now:
            self.revoke.setdefault((rule, why), []).append(executor.id)


def _cheap(executor: Executor) -> tuple[bool, bool, int, float, float, str]:
    """Named ones first, then idle ones, then by what would be lost, the newest first."""
    return (
        executor.reclaiming is None,
        executor.idle_since is None,
        executor.cached_bytes + executor.shuffle_bytes,
        executor.active_tasks * executor.oldest_task,
        -executor.since,
        executor.id,
    )
