"""What a plan leads to, and what is to be remembered of it: the state that the next plan is made from."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from .model import (
    CallOff,
    Cluster,
    Executor,
    Grant,
    Plan,
    Promise,
    Reclaim,
    Reclaiming,
    Refuse,
    Revoke,
    Snapshot,
    User,
)

__all__ = ["apply", "remember"]


def apply(snapshot: Snapshot, plan: Plan, *, instantly: bool = False) -> Snapshot:
    """The state that a plan leads to, at the same moment.

    Grants are promises, reclaims are marks, and what is revoked still counts. With `instantly` all goes through at
    once: promises run, as executors that work, and what is revoked is gone.
    """
    by_cluster: dict[str, list[Grant | Reclaim | CallOff | Revoke | Refuse]] = {}
    for decision in plan.decisions:
        by_cluster.setdefault(decision.cluster, []).append(decision)
    clusters = []
    for before in snapshot.clusters:
        after = before
        for decision in by_cluster.get(before.id, ()):
            after = _decided(after, decision, snapshot.now)
        clusters.append(_arrived(after, snapshot.now) if instantly else after)
    return msgspec.structs.replace(snapshot, clusters=tuple(clusters))


def remember(snapshot: Snapshot, plan: Plan) -> Snapshot:
    """Note since when clusters and users wait or starve, as later plans need to know (C, D, H).

    Call it after each plan, with the snapshot that the plan was made from or led to. Users who ask and are not listed
    are added.
    """
    now, fair = snapshot.now, plan.fair
    clusters = []
    asking: dict[str, bool] = {}
    for cluster in snapshot.clusters:
        have = sum(1 for executor in cluster.executors if not executor.revoked)
        have += sum(promise.executors for promise in cluster.promises)
        demand = min(cluster.ceiling, max(cluster.wanted, cluster.floor))
        waits = have < demand
        starves = have < min(demand, fair.get(cluster.id, 0))
        clusters.append(
            msgspec.structs.replace(
                cluster,
                waiting_since=_since(cluster.waiting_since, now) if waits else None,
                starved_since=_since(cluster.starved_since, now) if starves else None,
            )
        )
        if demand > 0 or have > 0:
            asking[cluster.user] = asking.get(cluster.user, False) or have > 0
    known = {user.name: user for user in snapshot.users}
    users = []
    for name in sorted(known.keys() | asking.keys()):
        user = known.get(name) or User(name)
        waits = name in asking and not asking[name]
        users.append(msgspec.structs.replace(user, waiting_since=_since(user.waiting_since, now) if waits else None))
    return msgspec.structs.replace(snapshot, clusters=tuple(clusters), users=tuple(users))


def _since(since: float | None, now: float) -> float:
    return now if since is None else since


def _decided(cluster: Cluster, decision: object, now: float) -> Cluster:
    match decision:
        case Grant(executors=count, pool=pool):
            return msgspec.structs.replace(cluster, promises=(*cluster.promises, Promise(pool, count, now)))
        case Reclaim(executors=names, deadline=deadline, reason=reason):
            mark = Reclaiming(now, deadline, reason=reason)
            return _marked(cluster, {name: {"reclaiming": mark} for name in names})
        case CallOff(executors=names):
            return _marked(cluster, {name: {"reclaiming": None} for name in names})
        case Revoke(executors=names):
            return _marked(cluster, {name: {"revoked": True} for name in names})
    return cluster


def _marked(cluster: Cluster, changes: Mapping[str, dict[str, object]]) -> Cluster:
    executors = tuple(
        msgspec.structs.replace(executor, **changes[executor.id]) if executor.id in changes else executor
        for executor in cluster.executors
    )
    return msgspec.structs.replace(cluster, executors=executors)


def _arrived(cluster: Cluster, now: float) -> Cluster:
    """Promises run and work, under names of their own; what is revoked is gone."""
    taken = {executor.id for executor in cluster.executors}
    executors = [executor for executor in cluster.executors if not executor.revoked]
    number = 0
    for promise in cluster.promises:
        for _ in range(promise.executors):
            while f"new-{number}" in taken:
                number += 1
            taken.add(f"new-{number}")
            executors.append(Executor(f"new-{number}", promise.pool, now, active_tasks=1))
    return msgspec.structs.replace(cluster, executors=tuple(executors), promises=())
