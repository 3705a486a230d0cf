"""What a plan works on, computed once from the snapshot: pools and queues as accounts, clusters as jobs.

Everything is put in an order of its own here, so that the order in the snapshot decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from emberhub.wire.resources import KINDS

from .credits import boost
from .fairness import Job, Node, Shares
from .ledger import UNBOUNDED, Amount, Guarantee, Ledger
from .model import Cluster, Pool, Queue, Resources, Snapshot, User
from .reach import Reach, pools_for

__all__ = ["Field", "gather"]


@dataclass(slots=True, eq=False)
class Field:
    """All of a snapshot that the steps need."""

    snapshot: Snapshot
    pools: tuple[Pool, ...]
    root: Node
    jobs: list[Job] = field(default_factory=list)
    """In the order of rule C's tie-break."""
    users: dict[str, User] = field(default_factory=dict)
    bounds: list[tuple[str, list[int]]] = field(default_factory=list)
    """Queues that may not exceed something, and what; accounts follow those of the pools."""
    guarantees: dict[str, Guarantee] = field(default_factory=dict)
    protected: dict[str, tuple[Guarantee, ...]] = field(default_factory=dict)
    """By leaf: the guarantees above it."""
    total: Amount = (0, 0, 0, 0)
    problems: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By cluster that can never be served as it stands: the rule and a sentence."""

    def ledger(self) -> Ledger:
        """Room in every account with nothing held."""
        rooms = [list(pool.capacity.amounts()) for pool in self.pools]
        return Ledger([*rooms, *(limit for _, limit in self.bounds)])

    def held(self, ledger: Ledger, jobs: Sequence[Job]) -> Ledger:
        """Take what these clusters hold and were promised from a ledger (A)."""
        index = {pool.name: number for number, pool in enumerate(self.pools)}
        for job in jobs:
            counts = job.at
            if job.leaving:
                counts = dict(counts)
                for executor in job.cluster.executors:
                    if executor.revoked and executor.pool in index:
                        counts[index[executor.pool]] = counts.get(index[executor.pool], 0) + 1
            for pool, count in counts.items():
                ledger.take(job.need, job.accounts[pool], count)
            lost = job.live + job.leaving - sum(counts.values())
            if lost:  # in a pool that is no longer configured: it still counts against its queue
                ledger.take(job.need, job.caps, lost)
        return ledger


def gather(snapshot: Snapshot) -> Field:
    """Read a snapshot."""
    pools = tuple(sorted(snapshot.pools, key=lambda pool: pool.name))
    work = Field(snapshot, pools, Node(snapshot.queues.name, snapshot.queues.policy, 1.0, None))
    work.users = {user.name: user for user in snapshot.users}
    sums = [sum(pool.capacity.amounts()[kind] for pool in pools) for kind in range(len(KINDS))]
    work.total = (sums[0], sums[1], sums[2], sums[3])
    leaves: dict[str, tuple[Node, tuple[int, ...]]] = {}
    _queues(work, snapshot.queues, work.root, leaves)
    index = {pool.name: number for number, pool in enumerate(pools)}
    reach: dict[object, Reach] = {}
    kinds: dict[object, int] = {}
    accounts: dict[tuple[int, ...], dict[int, tuple[int, ...]]] = {}
    guards = {
        name: (guarantees, tuple([guarantee.left for guarantee in guarantees]))
        for name, guarantees in work.protected.items()
    }
    sizes: dict[Amount, tuple[Shares, float]] = {}
    for cluster in sorted(snapshot.clusters, key=attrgetter("id")):
        job = _job(work, cluster, index, sizes)
        if cluster.queue not in leaves:
            work.problems[job.id] = ("B", f"There is no queue {cluster.queue!r} for clusters any more: choose another.")
            job.demand = min(job.demand, job.live)
        else:
            job.caps = leaves[cluster.queue][1]
            job.guarantees, job.guards = guards[cluster.queue]
        if job.caps not in accounts:
            accounts[job.caps] = {number: (number, *job.caps) for number in range(len(pools))}
        job.accounts = accounts[job.caps]
        _reach(work, job, reach)
        job.places = job.reach
        if outside := [pool for pool in sorted(job.at) if pool not in job.reach]:
            job.places += tuple(outside)
        if len(job.places) > 1 or not job.reach:
            job.slots, job.split = dict(job.at), True
        alike = (job.need, job.reach, job.caps, job.guarantees)
        job.kind = kinds.setdefault(alike, len(kinds))
        work.jobs.append(job)
    _hang(work, leaves)
    _rank(work)
    for job in work.jobs:
        for guarantee in job.guarantees:
            guarantee.add(job.need, job.live)
    return work


def _queues(
    work: Field,
    queue: Queue,
    node: Node,
    leaves: dict[str, tuple[Node, tuple[int, ...]]],
    *,
    caps: tuple[int, ...] = (),
    names: tuple[str, ...] = (),
) -> None:
    """Walk the tree: bounds, guarantees with the reservations in force (M), and nodes."""
    limit = [UNBOUNDED if most is None else most for most in _most(queue)]
    if any(most < UNBOUNDED for most in limit):
        caps = (*caps, len(work.pools) + len(work.bounds))
        work.bounds.append((queue.name, limit))
    names = (queue.name, *names)
    amount = queue.guaranteed
    for booking in work.snapshot.reservations:
        if booking.queue == queue.name and booking.start - booking.lead <= work.snapshot.now < booking.end:
            amount = amount + booking.amount
    if amount != Resources():
        least = [have or UNBOUNDED for have in amount.amounts()]
        work.guarantees[queue.name] = Guarantee(queue.name, least, list(least))
    if not queue.children:
        leaves[queue.name] = (node, caps)
        work.protected[queue.name] = tuple(work.guarantees[name] for name in names if name in work.guarantees)
    for child in sorted(queue.children, key=lambda child: child.name):
        below = Node(child.name, child.policy, child.weight if child.weight > 0 else 1e-9, node)
        node.children.append(below)
        _queues(work, child, below, leaves, caps=caps, names=names)


def _most(queue: Queue) -> list[int | None]:
    """What a queue may hold; one that does not borrow is held to its guarantee, where it has one (B)."""
    most = [queue.max.millicores, queue.max.memory, queue.max.milligpus, queue.max.nvme]
    if queue.borrows:
        return most
    own = queue.guaranteed.amounts()
    return [
        have if not mine else mine if have is None else min(have, mine) for have, mine in zip(most, own, strict=True)
    ]


def _job(work: Field, cluster: Cluster, index: dict[str, int], sizes: dict[Amount, tuple[Shares, float]]) -> Job:
    """A cluster's demand and holdings. A gang asks for all of itself, never for less (F)."""
    need = cluster.executor.amounts()
    if need not in sizes:
        a, b, c, d = [has / all_ if all_ else 0.0 for has, all_ in zip(need, work.total, strict=True)]
        sizes[need] = (a, b, c, d), max(a, b, c, d)
    shares, share = sizes[need]
    live = leaving = marked = 0
    began = math.inf
    at: dict[int, int] = {}
    for executor in cluster.executors:
        if executor.revoked:
            leaving += 1
            continue
        live += 1
        began = min(began, executor.since)
        if executor.reclaiming is not None:
            marked += 1
        if (pool := index.get(executor.pool)) is not None:
            at[pool] = at.get(pool, 0) + 1
    began -= work.snapshot.rules.executor_start
    for promise in cluster.promises:
        live += promise.executors
        began = min(began, promise.since)
        if (pool := index.get(promise.pool)) is not None:
            at[pool] = at.get(pool, 0) + promise.executors
    ceiling, gang = max(0, cluster.ceiling), max(1, cluster.gang)
    floor = min(max(0, cluster.floor), ceiling)
    demand = wants = min(ceiling, max(cluster.wanted, floor))
    if demand and gang > ceiling:
        problem = f"It needs {gang} executors at once and may have at most {ceiling}: raise its maximum to {gang}."
        work.problems[cluster.id] = ("F", problem)
        wants, demand, floor = demand, 0, 0
    elif gang > 1 and demand:
        wants = demand = max(demand, gang)
        floor = max(floor, gang) if floor else 0
    job = Job(
        cluster,
        cluster.id,
        cluster.user,
        need,
        shares,
        share,
        demand,
        floor,
        gang,
        live,
        leaving,
        began,
        marked,
        at,
    )
    job.wants = wants
    if cluster.frozen:
        job.demand = job.fair = live
        job.floor = 0
    return job


def _reach(work: Field, job: Job, known: dict[object, Reach]) -> None:
    """Pools where a cluster's executors may start, best first (L): hard filters, then score."""
    cluster = job.cluster
    key = (job.need, cluster.needs, cluster.prefers, cluster.pools, cluster.data)
    if key not in known:
        known[key] = pools_for(job, work.pools)
    job.reach, problem = known[key]
    if problem is not None:
        work.problems.setdefault(job.id, problem)
        job.demand = min(job.demand, job.live)


def _rank(work: Field) -> None:
    """The total order among equals: priority, then whoever holds the executor (J), then waiting since, then id (C)."""

    def place(job: Job) -> tuple[int, float, str]:
        since = job.cluster.waiting_since
        return -job.cluster.priority, math.inf if since is None else since, job.id

    work.jobs.sort(key=place)
    count, base, last = len(work.jobs), 0, None
    for number, job in enumerate(work.jobs):
        if last is not None and job.cluster.priority != last:
            base += 2 * count
        last = job.cluster.priority
        job.rank, job.rank_new = base + number, base + count + number


def _hang(work: Field, leaves: dict[str, tuple[Node, tuple[int, ...]]]) -> None:
    """Hang the clusters, by id, into the tree: under their users where a leaf shares by user (B, C, E)."""
    rules = work.snapshot.rules
    mean = math.fsum(job.share for job in work.jobs) / len(work.jobs) if work.jobs else 0.0
    mine: dict[tuple[str, str], list[Job]] = {}
    for job in work.jobs:
        if job.cluster.queue in leaves:
            mine.setdefault((job.cluster.queue, job.user), []).append(job)
    for (queue, user), jobs in sorted(mine.items()):
        leaf = leaves[queue][0]
        credit = boost(work.users.get(user), rules.rotation_quantum, rules.credit_half_life) * mean
        node = leaf
        if leaf.policy == "user-fair" and len(jobs) > 1:
            node = Node(user, "fair", 1.0, leaf, credit)
            leaf.children.append(node)
        direct = node.parent is work.root and not (node.fifo or work.root.fifo)
        for job in jobs:
            job.parent, job.fifo = node, leaf.fifo
            a, b, c, d = job.need
            job.direct = direct and job.gang == 1
            job.plain = bool(a and b and not (c or d or job.caps or leaf.fifo or job.gang > 1))
            job.boost = credit if leaf.policy == "user-fair" and node is leaf else 0.0
            node.children.append(job)
