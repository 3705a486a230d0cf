"""`plan(snapshot)`: rules A, C (flat), D, J and K over whole executors; reclaims in two phases (I)."""

from __future__ import annotations

from collections import defaultdict

from .model import CallOff, Cluster, Executor, Grant, Plan, Pool, Reclaim, Refuse, Resources, Revoke, Snapshot

Decisions = list[Grant | Reclaim | CallOff | Revoke | Refuse]


def plan(snapshot: Snapshot) -> Plan:
    """Decide who is granted executors, who is asked to give some back, and who waits for what."""
    clusters = sorted(snapshot.clusters, key=lambda cluster: cluster.id)
    pools = sorted(snapshot.pools, key=lambda pool: pool.name)
    free = _free(pools, clusters)
    fair = _fair(snapshot, pools, clusters)
    decisions: Decisions = []
    lacking: list[Cluster] = []
    for cluster in clusters:
        if cluster.frozen:
            continue
        kept = _kept(cluster)
        lacks = fair[cluster.id] - kept
        for pool in _reach(cluster, pools):
            n = min(lacks, cluster.executor.how_many(free[pool.name]))
            if n > 0:
                free[pool.name] -= cluster.executor * n
                lacks -= n
                decisions.append(Grant(cluster.id, n, pool.name, "C", "Its fair share has room for more."))
        if _demand(cluster) > fair[cluster.id] or lacks > 0:
            lacking.append(cluster)
    decisions += _give_back(snapshot, clusters, fair, bool(lacking))
    for place, cluster in enumerate(lacking, 1):
        n = _demand(cluster) - _kept(cluster)
        decisions.append(Refuse(cluster.id, max(n, 1), "C", "millicores", place, None, "", "Others use the rest."))
    return Plan(tuple(decisions))


def _demand(cluster: Cluster) -> int:
    return min(cluster.ceiling, max(cluster.wanted, cluster.floor))


def _live(cluster: Cluster) -> list[Executor]:
    return sorted((e for e in cluster.executors if not e.revoked), key=lambda e: e.id)


def _kept(cluster: Cluster) -> int:
    running = sum(1 for e in cluster.executors if not e.revoked and e.reclaiming is None)
    return running + sum(p.executors for p in cluster.promises)


def _reach(cluster: Cluster, pools: list[Pool]) -> list[Pool]:
    return [
        pool
        for pool in pools
        if (cluster.pools is None or pool.name in cluster.pools)
        and cluster.executor.fits_in(pool.node or pool.capacity)
    ]


def _free(pools: list[Pool], clusters: list[Cluster]) -> dict[str, Resources]:
    free = {pool.name: pool.capacity for pool in pools}
    for cluster in clusters:
        for executor in cluster.executors:
            free[executor.pool] -= cluster.executor
        for promise in cluster.promises:
            free[promise.pool] -= cluster.executor * promise.executors
    return free


def _fair(snapshot: Snapshot, pools: list[Pool], clusters: list[Cluster]) -> dict[str, int]:
    room = {pool.name: pool.capacity for pool in pools}
    users = {user.name: user for user in snapshot.users}
    fair = {cluster.id: 0 for cluster in clusters}
    had: dict[str, int] = defaultdict(int)
    turn: dict[str, float] = {}
    for cluster in clusters:
        for since in [e.since for e in cluster.executors if not e.revoked] + [p.since for p in cluster.promises]:
            turn[cluster.user] = min(since, turn.get(cluster.user, since))
        if cluster.frozen:
            fair[cluster.id] = len(_live(cluster)) + sum(p.executors for p in cluster.promises)
            for executor in cluster.executors:
                room[executor.pool] -= cluster.executor
            for promise in cluster.promises:
                room[promise.pool] -= cluster.executor * promise.executors
            had[cluster.user] += fair[cluster.id]
    open_ = [c for c in clusters if not c.frozen]

    def order(cluster: Cluster) -> tuple[object, ...]:
        count = had[cluster.user]
        user = users.get(cluster.user)
        waits = user.waiting_since if user and user.waiting_since is not None else snapshot.now
        rank: tuple[float, float] = (1, waits)
        if cluster.user in turn:
            over = snapshot.now >= turn[cluster.user] + snapshot.rules.rotation_quantum
            rank = (2, -turn[cluster.user]) if over else (0, turn[cluster.user])
        return (count, *(rank if count == 0 else (0, 0)), -cluster.priority, fair[cluster.id], cluster.id)

    while True:
        able = [
            (order(cluster), cluster, pool)
            for cluster in open_
            if fair[cluster.id] < _demand(cluster)
            for pool in [next((p for p in _reach(cluster, pools) if cluster.executor.fits_in(room[p.name])), None)]
            if pool is not None
        ]
        if not able:
            return fair
        _, cluster, pool = min(able, key=lambda item: item[0])
        room[pool.name] -= cluster.executor
        fair[cluster.id] += 1
        had[cluster.user] += 1


def _give_back(snapshot: Snapshot, clusters: list[Cluster], fair: dict[str, int], waiting: bool) -> Decisions:
    """Phase one and two (I) for those above their share while somebody waits, and for the idle (J)."""
    now, rules = snapshot.now, snapshot.rules
    decisions: Decisions = []
    for cluster in clusters:
        if cluster.frozen:
            continue
        live = _live(cluster)
        promised = sum(p.executors for p in cluster.promises)
        over_share = len(live) + promised - fair[cluster.id] if waiting else 0
        over = max(over_share, len(live) + promised - cluster.ceiling)
        idle = len(live) + promised - _demand(cluster)
        live.sort(key=lambda e: (e.reclaiming is None, e.idle_since is None, e.cached_bytes + e.shuffle_bytes, e.id))
        for executor in live:
            sleeping = executor.idle_since is not None
            rested = sleeping and (waiting or now - (executor.idle_since or 0.0) >= rules.idle_after)
            needed = over > 0 or (idle > 0 and rested)
            if not needed:
                if executor.reclaiming is not None:
                    decisions.append(CallOff(cluster.id, (executor.id,), "Nobody needs it any more."))
                continue
            if executor.reclaiming is None and now < executor.since + rules.min_hold:
                continue
            over -= 1
            idle -= 1
            if executor.reclaiming is None:
                at = now if sleeping else now + rules.reclaim_notice
                decisions.append(Reclaim(cluster.id, (executor.id,), at, "I", "Others wait below their fair share."))
            elif executor.reclaiming.deadline <= now:
                decisions.append(Revoke(cluster.id, (executor.id,), "I", "It was asked for and is still needed."))
    return decisions
