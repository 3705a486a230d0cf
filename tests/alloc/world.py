"""A small site in memory that lives by its plans: arrivals, changing demand, executors that start, go and fail.

Every plan goes through `step`, which checks what must hold of any plan (A, B, I, J, K, F, N) before it is applied.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import msgspec
from emberhub_service.alloc import advance, apply, plan, remember
from emberhub_service.alloc.model import (
    CallOff,
    Cluster,
    Executor,
    Grant,
    Plan,
    Queue,
    Reclaim,
    Refuse,
    Resources,
    Revoke,
    Snapshot,
)

replace = msgspec.structs.replace
START, DRAIN = 3.0, 1.0


def held(cluster: Cluster) -> int:
    return len(cluster.executors) + sum(promise.executors for promise in cluster.promises)


def live(cluster: Cluster) -> int:
    return held(cluster) - sum(1 for executor in cluster.executors if executor.revoked)


def demand(cluster: Cluster) -> int:
    return min(cluster.ceiling, max(cluster.wanted, cluster.floor))


def used(snapshot: Snapshot) -> dict[str, Resources]:
    total: dict[str, Resources] = defaultdict(Resources)
    for cluster in snapshot.clusters:
        for executor in cluster.executors:
            total[executor.pool] += cluster.executor
        for promise in cluster.promises:
            total[promise.pool] += cluster.executor * promise.executors
    return total


def paths(queue: Queue, above: tuple[Queue, ...] = ()) -> dict[str, tuple[Queue, ...]]:
    path = (*above, queue)
    found = {queue.name: path}
    for child in queue.children:
        found |= paths(child, path)
    return found


def queue_use(snapshot: Snapshot) -> dict[str, Resources]:
    above = paths(snapshot.queues)
    total: dict[str, Resources] = defaultdict(Resources)
    for cluster in snapshot.clusters:
        for queue in above[cluster.queue]:
            total[queue.name] += cluster.executor * held(cluster)
    return total


def exceeds(amount: Resources, queue: Queue) -> bool:
    limits = (queue.max.millicores, queue.max.memory, queue.max.milligpus, queue.max.nvme)
    if any(most is not None and has > most for has, most in zip(amount.amounts(), limits, strict=True)):
        return True
    own = queue.guaranteed.amounts()
    return not queue.borrows and any(most and has > most for has, most in zip(amount.amounts(), own, strict=True))


def within_guarantee(amount: Resources, guaranteed: Resources) -> bool:
    return guaranteed != Resources() and all(
        has <= most for has, most in zip(amount.amounts(), guaranteed.amounts(), strict=True) if most
    )


def check(snapshot: Snapshot, decided: Plan) -> None:
    """What holds of every plan."""
    after = apply(snapshot, decided)
    check_capacity(snapshot, after)
    check_preemption(snapshot, decided)
    check_gangs(snapshot, after)
    check_reasons(snapshot, after, decided)
    check_work_conserving(after, decided)
    check_steady(after)


def check_capacity(before: Snapshot, after: Snapshot) -> None:
    was = used(before)
    for pool in after.pools:
        amount = used(after)[pool.name]
        assert amount.fits_in(pool.capacity) or amount == was[pool.name], f"A: {pool.name} holds {amount}"
    was, now, above = queue_use(before), queue_use(after), paths(after.queues)
    for name, amount in now.items():
        assert not exceeds(amount, above[name][-1]) or amount == was[name], f"B: {name} holds {amount}"


def check_preemption(snapshot: Snapshot, decided: Plan) -> None:
    clusters = {cluster.id: cluster for cluster in snapshot.clusters}
    taken: dict[str, int] = defaultdict(int)
    for decision in decided.decisions:
        if not isinstance(decision, Reclaim | Revoke | CallOff):
            continue
        cluster = clusters[decision.cluster]
        executors = {executor.id: executor for executor in cluster.executors}
        assert not cluster.frozen
        for name in decision.executors:
            executor = executors[name]
            assert not executor.revoked
            if isinstance(decision, Revoke):
                assert executor.reclaiming is not None, "I: named by an earlier plan"
                assert executor.reclaiming.deadline <= snapshot.now, "I: not before its deadline"
                taken[cluster.id] += 1
            elif isinstance(decision, Reclaim):
                assert executor.reclaiming is None, "I: named once"
                assert decision.deadline >= executor.since + snapshot.rules.min_hold, "J: min_hold binds"
    for name, count in taken.items():
        cluster = clusters[name]
        left = live(cluster) - count
        fair = decided.fair[name]
        assert left >= min(cluster.floor, cluster.ceiling, fair), f"I: {name} is left below its floor"
        assert left >= min(fair, demand(cluster)) or cluster.gang > 1, f"I: {name} is left below its share"


def check_gangs(before: Snapshot, after: Snapshot) -> None:
    was = {cluster.id: live(cluster) for cluster in before.clusters}
    for cluster in after.clusters:
        if live(cluster) > was[cluster.id]:
            assert live(cluster) >= min(cluster.gang, cluster.ceiling), "F: all of a gang or nothing"


def check_reasons(before: Snapshot, after: Snapshot, decided: Plan) -> None:
    refused = {d.cluster: d for d in decided.decisions if isinstance(d, Refuse)}
    for cluster in after.clusters:
        if live(cluster) < demand(cluster):
            refusal = refused[cluster.id]
            assert refusal.reason, "N: a sentence"
            assert refusal.rule
            assert refusal.place >= 1
            assert refusal.executors >= demand(cluster) - live(cluster)


def check_work_conserving(after: Snapshot, decided: Plan) -> None:
    refused = {d.cluster: d for d in decided.decisions if isinstance(d, Refuse)}
    use, uses, above = used(after), queue_use(after), paths(after.queues)
    leaving = {e.pool for c in after.clusters for e in c.executors if e.revoked or e.reclaiming is not None}
    kept = any(r.start - r.lead <= after.now < r.start for r in after.reservations)
    for cluster in after.clusters:
        if cluster.frozen or live(cluster) >= demand(cluster) or cluster.needs or cluster.gang > cluster.ceiling:
            continue
        step = max(1, cluster.gang - live(cluster))
        size = cluster.executor * step
        if any(exceeds(uses[queue.name] + size, queue) for queue in above[cluster.queue]):
            continue
        for pool in after.pools:
            if size.fits_in(pool.capacity - use[pool.name]) and cluster.executor.fits_in(pool.node or pool.capacity):
                rule = refused[cluster.id].rule
                kind = f"K: {cluster.id} fits in {pool.name} and is refused by {rule}"
                assert rule in {"G", "I", "F", "H", "M"}, kind
                waits = [r for r in refused.values() if r.rule in {"I", "F", "H", "G"}]
                assert kept or leaving or any(r.rule == "H" for r in waits) or young(after), kind


def young(snapshot: Snapshot) -> bool:
    """Whether a claim may be dated by executors that may not be named yet."""
    rules = snapshot.rules
    return any(
        cluster.promises or any(snapshot.now < e.since + rules.min_hold for e in cluster.executors)
        for cluster in snapshot.clusters
    )


def check_steady(after: Snapshot) -> None:
    """J: a plan on the state that a plan leads to changes nothing; what was due at once may be revoked.

    In one pool that is so for any executors, and in several pools for executors of one size. Unlike executors in unlike
    pools are packed anew by each plan, and may settle a few plans later: but they settle.
    """
    strict = len(after.pools) == 1 or len({cluster.executor for cluster in after.clusters}) == 1
    state = after
    for number in range(6):
        again = plan(state)
        moves = [d for d in again.decisions if not isinstance(d, Refuse)]
        if not moves:
            return
        assert not strict or (number == 0 and all(isinstance(d, Revoke) for d in moves)), (
            f"J: a later plan wants {moves}"
        )
        state = apply(state, again)
    raise AssertionError(f"J: it does not settle: {moves}")


class World:
    """A site and its clock. Promised executors run after `START` seconds; what is revoked goes after `DRAIN`."""

    def __init__(self, snapshot: Snapshot, *, checked: bool = True) -> None:
        self.snapshot = snapshot
        self.checked = checked
        self.history: list[Plan] = []
        self.revoked_at: dict[tuple[str, str], float] = {}
        self.made = 0

    def step(self) -> Plan:
        """Plan once, check it, and act on it."""
        decided = plan(self.snapshot)
        if self.checked:
            check(self.snapshot, decided)
        for decision in decided.decisions:
            if isinstance(decision, Revoke):
                self.revoked_at |= {(decision.cluster, name): self.snapshot.now for name in decision.executors}
        self.snapshot = remember(apply(self.snapshot, decided), decided)
        self.history.append(decided)
        return decided

    def wait(self, seconds: float) -> None:
        """Let time pass: what was promised starts, and what was revoked goes."""
        now = self.snapshot.now + seconds
        users = advance(self.snapshot.users, self.snapshot, now)
        clusters = tuple(self._aged(cluster, now) for cluster in self.snapshot.clusters)
        self.snapshot = replace(self.snapshot, now=now, users=users, clusters=clusters)

    def live_on(self, seconds: float, each: float = 1.0) -> None:
        for _ in range(round(seconds / each)):
            self.step()
            self.wait(each)

    def change(self, cluster: str, **changes: Any) -> None:
        clusters = tuple(replace(c, **changes) if c.id == cluster else c for c in self.snapshot.clusters)
        self.snapshot = replace(self.snapshot, clusters=clusters)

    def add(self, cluster: Cluster) -> None:
        self.snapshot = replace(self.snapshot, clusters=(*self.snapshot.clusters, cluster))

    def remove(self, cluster: str) -> None:
        kept = tuple(c for c in self.snapshot.clusters if c.id != cluster)
        self.snapshot = replace(self.snapshot, clusters=kept)

    def want(self, cluster: str, wanted: int) -> None:
        """Change a demand; executors beyond it run out of tasks, the last ones first, and the others have some."""
        found = self[cluster]
        executors = tuple(
            replace(executor, active_tasks=1, idle_since=None)
            if number < wanted
            else replace(executor, active_tasks=0, idle_since=executor.idle_since or self.snapshot.now)
            for number, executor in enumerate(found.executors)
        )
        self.change(cluster, wanted=wanted, executors=executors)

    def lose(self, cluster: str, number: int) -> None:
        """An executor fails."""
        executors = self[cluster].executors
        if executors:
            gone = executors[number % len(executors)].id
            self.change(cluster, executors=tuple(e for e in executors if e.id != gone))

    def restart(self) -> None:
        """All that is known is what was written down."""
        text = msgspec.json.encode(self.snapshot)
        self.snapshot = msgspec.json.decode(text, type=Snapshot)

    def __getitem__(self, name: str) -> Cluster:
        return next(cluster for cluster in self.snapshot.clusters if cluster.id == name)

    def running(self, name: str) -> int:
        return len([executor for executor in self[name].executors if not executor.revoked])

    def _aged(self, cluster: Cluster, now: float) -> Cluster:
        executors = [
            replace(
                executor, oldest_task=executor.oldest_task + now - self.snapshot.now if executor.active_tasks else 0.0
            )
            for executor in cluster.executors
            if not executor.revoked or now < self.revoked_at.get((cluster.id, executor.id), 0.0) + DRAIN
        ]
        promises = []
        for promise in cluster.promises:
            if now < promise.since + START or cluster.frozen:
                promises.append(promise)
                continue
            for _ in range(promise.executors):
                self.made += 1
                busy = sum(1 for e in executors if not e.revoked) < cluster.wanted
                costs: dict[str, Any] = {"active_tasks": 1} if busy else {"idle_since": now}
                executors.append(Executor(f"{cluster.id}/{self.made}", promise.pool, promise.since + START, **costs))
        return replace(cluster, executors=tuple(executors), promises=tuple(promises))


__all__ = ["Grant", "World", "check", "demand", "held", "live", "paths", "queue_use", "used"]
