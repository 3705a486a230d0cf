"""From what is to happen to decisions: revoke, call off, grant and reclaim, each with a sentence (I, J)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .claims import Claims
from .fairness import Job
from .jobs import Field
from .model import CallOff, Executor, Grant, Reclaim, Revoke
from .preemption import NAMED, NOW, Pick, may_lose

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


def takings(work: Field, picks: Iterable[Pick], strained: Mapping[int, list[int]]) -> Taking:
    """Both phases of preemption (I), of giving back what is not used (J), and what is above a maximum (B).

    `strained`: accounts of queues that hold more than they may, with what is left of each resource.
    """
    taking = Taking()
    by_cluster: dict[str, list[Pick]] = {}
    for pick in picks:
        by_cluster.setdefault(pick.candidate.job.id, []).append(pick)
    for job in work.jobs:
        mine = by_cluster.get(job.id, [])
        most = _most(job, strained) if strained else job.cluster.ceiling
        if job.cluster.frozen or not (mine or job.marked or job.live > min(job.demand, most)):
            continue
        cluster = _Cluster(work, job, mine, most)
        cluster.for_claims()
        cluster.for_itself()
        cluster.decide(taking)
    return taking


def _most(job: Job, strained: Mapping[int, list[int]]) -> int:
    """Executors that a cluster may keep: its own maximum; its fair share, where its queue must become smaller by what
    its executors are made of. Floors stay, and guarantees in use (I).
    """
    above = [strained[cap] for cap in job.caps if cap in strained]
    if any(need and left < 0 for room in above for need, left in zip(job.need, room, strict=True)) and may_lose(
        job, None
    ):
        return min(job.cluster.ceiling, max(job.fair, job.floor))
    return job.cluster.ceiling


class _Cluster:
    """One cluster: phase two for what is due, phase one for what is new, and an end to what is not needed."""

    def __init__(self, work: Field, job: Job, picks: list[Pick], most: int) -> None:
        self.now = work.snapshot.now
        self.rules = work.snapshot.rules
        self.job = job
        self.picks = picks
        self.most = most
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
        unwanted = job.live - job.demand - len(self.picks)
        beyond = job.live - self.most - len(self.picks)
        if unwanted <= 0 and beyond <= 0 and not job.marked:
            return
        rule, why = "J", "It is above its cluster's maximum."
        picked = {pick.candidate.executor.id for pick in self.picks if pick.candidate.executor is not None}
        rest = [executor for executor in job.cluster.executors if not executor.revoked and executor.id not in picked]
        if self.most < job.cluster.ceiling:
            rule, why = "B", "Its queue has more than its maximum."
            if self.most and job.gang == 1:  # what is promised has not come yet
                beyond = min(beyond, len(rest) - 1)
        for executor in sorted(rest, key=_cheap):
            held = self.now >= executor.since + rules.min_hold
            rested = executor.idle_since is not None and self.now - executor.idle_since >= rules.idle_after
            if held and rested and unwanted > 0:
                self._take(executor, self.now, "J", "It is idle, and its cluster does not want it.")
            elif held and beyond > 0:
                self._take(executor, self.now + rules.reclaim_notice, rule, why)
            else:
                if executor.reclaiming is not None:
                    self.off.append(executor.id)
                continue
            unwanted, beyond = unwanted - 1, beyond - 1

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
