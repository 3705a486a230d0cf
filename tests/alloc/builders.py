"""Builders that read like the sentences they stand for: `a_queue("class").guaranteeing(cores=8)`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import msgspec
from emberhub_service.alloc import plan
from emberhub_service.alloc.model import (
    CallOff,
    Cluster,
    Executor,
    Grant,
    Limits,
    Plan,
    Pool,
    Promise,
    Queue,
    Reclaim,
    Reclaiming,
    Refuse,
    Resources,
    Revoke,
    Rules,
    Snapshot,
    User,
)

NOW = 1000.0
LONG_AGO = NOW - 300


@dataclass(frozen=True)
class AQueue:
    queue: Queue

    def _with(self, **changes: Any) -> AQueue:
        return AQueue(msgspec.structs.replace(self.queue, **changes))

    def guaranteeing(self, **amount: Any) -> AQueue:
        return self._with(guaranteed=Resources.of(**amount))

    def at_most(self, **amount: Any) -> AQueue:
        most = Resources.of(**amount)
        return self._with(max=Limits(*(value or None for value in most.amounts())))

    def weighing(self, weight: float) -> AQueue:
        return self._with(weight=weight)

    def by(self, policy: str) -> AQueue:
        return self._with(policy=policy)

    def that_does_not_borrow(self) -> AQueue:
        return self._with(borrows=False)

    def over(self, *children: AQueue) -> AQueue:
        return self._with(children=tuple(child.queue for child in children))


def a_queue(name: str) -> AQueue:
    return AQueue(Queue(name))


@dataclass(frozen=True)
class ACluster:
    cluster: Cluster
    now: float = NOW

    def _with(self, **changes: Any) -> ACluster:
        return replace(self, cluster=msgspec.structs.replace(self.cluster, **changes))

    def of(self, user: str) -> ACluster:
        return self._with(user=user)

    def in_queue(self, queue: str) -> ACluster:
        return self._with(queue=queue)

    def wanting(self, wanted: int) -> ACluster:
        return self._with(wanted=wanted)

    def with_executors_of(self, **amount: Any) -> ACluster:
        return self._with(executor=Resources.of(**amount))

    def between(self, floor: int, ceiling: int) -> ACluster:
        return self._with(floor=floor, ceiling=ceiling)

    def in_gangs_of(self, gang: int) -> ACluster:
        return self._with(gang=gang)

    def waiting_for(self, seconds: float) -> ACluster:
        return self._with(waiting_since=self.now - seconds)

    def starved_for(self, seconds: float) -> ACluster:
        return self._with(starved_since=self.now - seconds)

    def but(self, **changes: Any) -> ACluster:
        return self._with(**changes)

    def holding(
        self, count: int, pool: str = "main", *, since: float = LONG_AGO, busy: bool = True, **costs: Any
    ) -> ACluster:
        """Add executors `id-0`, `id-1`, … that have run for long, each with a task unless `busy=False`."""
        first = len(self.cluster.executors)
        costs = {"active_tasks": 1, "oldest_task": 1.0} | costs if busy else {"idle_since": self.now - 1.0} | costs
        more = tuple(Executor(f"{self.cluster.id}-{first + number}", pool, since, **costs) for number in range(count))
        return self._with(executors=self.cluster.executors + more)

    def promised(self, count: int, pool: str = "main", *, since: float = NOW - 1) -> ACluster:
        return self._with(promises=(*self.cluster.promises, Promise(pool, count, since)))

    def asked_back(self, *names: str, deadline: float = NOW - 1) -> ACluster:
        mark = Reclaiming(self.now - 10, deadline)
        executors = tuple(
            msgspec.structs.replace(executor, reclaiming=mark) if executor.id in names else executor
            for executor in self.cluster.executors
        )
        return self._with(executors=executors)


def a_cluster(name: str) -> ACluster:
    """A cluster of a user of the same name, that wants nothing and may have a hundred executors of one core."""
    return ACluster(Cluster(name, name, "root", Resources.of(cores=1, memory="1G"), wanted=0, ceiling=100))


def a_pool(name: str = "main", *, labels: dict[str, str] | None = None, **amount: Any) -> Pool:
    return Pool(name, Resources.of(**amount), labels or {})


def a_site(*parts: AQueue | ACluster | Pool | User | Any, now: float = NOW, rules: Rules | None = None) -> Snapshot:
    """A snapshot of pools, at most one queue (the root), clusters, users and reservations, in any order."""
    queues = [part.queue for part in parts if isinstance(part, AQueue)]
    others = [part for part in parts if not isinstance(part, AQueue | ACluster | Pool | User)]
    return Snapshot(
        now,
        tuple(part for part in parts if isinstance(part, Pool)),
        queues[0] if queues else Queue("root"),
        tuple(part.cluster for part in parts if isinstance(part, ACluster)),
        tuple(part for part in parts if isinstance(part, User)),
        tuple(others),
        rules or Rules(),
    )


class Outcome:
    """A plan, asked the questions that tests ask."""

    def __init__(self, decided: Plan) -> None:
        self.plan = decided

    def _of(self, kind: type, cluster: str | None = None) -> list[Any]:
        return [d for d in self.plan.decisions if type(d) is kind and cluster in (None, d.cluster)]

    def granted(self, cluster: str, pool: str | None = None) -> int:
        return sum(grant.executors for grant in self._of(Grant, cluster) if pool in (None, grant.pool))

    def reclaims(self, cluster: str | None = None) -> list[Reclaim]:
        return self._of(Reclaim, cluster)

    def asked(self, cluster: str | None = None) -> list[str]:
        return sorted(name for reclaim in self._of(Reclaim, cluster) for name in reclaim.executors)

    def revoked(self, cluster: str | None = None) -> list[str]:
        return sorted(name for revoke in self._of(Revoke, cluster) for name in revoke.executors)

    def called_off(self, cluster: str | None = None) -> list[str]:
        return sorted(name for off in self._of(CallOff, cluster) for name in off.executors)

    def refusal(self, cluster: str) -> Refuse:
        found = self._of(Refuse, cluster)
        assert len(found) == 1, f"{cluster} has {len(found)} refusals"
        return found[0]

    def moves(self) -> list[Any]:
        return [decision for decision in self.plan.decisions if not isinstance(decision, Refuse)]


def decide(site: Snapshot) -> Outcome:
    return Outcome(plan(site))
