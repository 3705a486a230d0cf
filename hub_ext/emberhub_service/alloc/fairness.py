"""Hierarchical dominant-resource fairness (C), as a tree of nodes that know their own level.

DRF (Ghodsi et al., NSDI 2011) serves whoever has the smallest dominant share: the largest, over the resources, of what
it holds divided by what there is. In a tree, adding up a node's resources starves leaves: a child whose resource nobody
else wants lifts its parent's share, and its sisters are never served. H-DRF (Bhattacharya et al., SoCC 2013) corrects
that twice, and so do we:

* a node's share is computed from its children *rescaled to the level of the least of them that can still be served*;
* children that are blocked, because they want nothing more or because what they need has run out, do not count as
  that least one.

In whole executors, the least level among children that can be served is the one that progressive filling has reached:
the next child served is always the least, after its step, so the levels reached only rise. A child above that level
counts as if it were at it, in the proportions of what it holds; one below counts as it is. Each step costs one heap
operation a node on the way down, O(log n).

`user-fair` puts a virtual node for each user of a leaf who has several clusters there. `fifo` has one level for all,
so that the order of the clusters alone decides.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from .ledger import Amount, Guarantee
from .model import Cluster, Policy

__all__ = ["Job", "Node", "Shares", "block", "rise"]

Shares = tuple[float, float, float, float]
NOTHING: Shares = (0.0, 0.0, 0.0, 0.0)


@dataclass(slots=True, eq=False)
class Job:
    """A cluster while a plan is made: what the steps need of it, computed once."""

    cluster: Cluster
    id: str
    user: str
    need: Amount
    """Size of one executor."""
    shares: Shares
    """That size as shares of everything there is."""
    share: float
    """The largest of them: the dominant share of one executor."""
    demand: int
    floor: int
    gang: int
    live: int
    """Executors held and promised, less those revoked."""
    leaving: int
    """Executors revoked and not seen gone."""
    began: float
    """When the oldest of these was promised; infinity without any."""
    marked: int
    """Executors that phase one has named."""
    at: dict[int, int]
    """Of `live`, how many in each pool."""
    wants: int = 0
    """Its demand, were it not for what makes it impossible."""
    reach: tuple[int, ...] = ()
    """Pools where its executors may start, best first (L)."""
    places: tuple[int, ...] = ()
    """Those, and pools where it holds executors though no more may start there."""
    caps: tuple[int, ...] = ()
    """Accounts of the bounded queues above it (B)."""
    accounts: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """By pool: the accounts that an executor there uses, the pool's and the caps."""
    guarantees: tuple[Guarantee, ...] = ()
    """The guarantees above it (B, M)."""
    guards: tuple[list[int], ...] = ()
    """What is left of the guarantees above it, while filling (B, M)."""
    kind: int = 0
    """The same number for all clusters that claims cannot tell apart: one size, reach, caps and guarantees."""
    parent: Node | None = None
    boost: float = 0.0
    """Dominant share by which its user's credit lowers its level (E)."""
    rank: int = 0
    """Its place by priority, waiting time and id among those that hold the executor in question already."""
    rank_new: int = 0
    """Its place among those that would have to be given it: after every holder of its priority (J)."""
    fair: int = 0
    """Executors that filling gives it: its fair share."""
    slots: dict[int, int] = field(default_factory=dict)
    """Executors it holds that are not matched to its share, by pool; kept only if it has several pools."""
    split: bool = False
    """Whether `slots` are kept."""
    granted: int = 0
    spare: int = 0
    """Executors above its fair share that no claim has taken yet."""
    fifo: bool = False
    plain: bool = False
    """Whether it is of the common sort: cores and memory alone, one executor at a time, no bound above it."""
    direct: bool = False
    """Whether it is served one executor at a time, by level alone, in a child of the root."""

    @property
    def step(self) -> int:
        """Executors in its next step: a gang at once, then one by one (F)."""
        return self.gang - self.fair if self.fair < self.gang else 1

    def key(self) -> tuple[float, int, Job]:
        """Where it stands among its sisters: level after its next step, then the total order of rule C."""
        after = self.fair + 1 if self.fair >= self.gang else self.gang
        if self.fifo:
            return 0.0, self.rank if after <= self.live else self.rank_new, self
        return after * self.share - self.boost, self.rank if after <= self.live else self.rank_new, self


class Node:
    """A queue, or a user with several clusters, while shares are filled."""

    __slots__ = (
        "boost",
        "children",
        "fifo",
        "heap",
        "high",
        "high_sum",
        "level",
        "low",
        "name",
        "parent",
        "policy",
        "vector",
        "weight",
    )

    def __init__(self, name: str, policy: Policy, weight: float, parent: Node | None, boost: float = 0.0) -> None:
        self.name = name
        self.policy = policy
        self.fifo = policy == "fifo"
        self.weight = weight
        self.parent = parent
        self.boost = boost
        self.children: list[Node | Job] = []
        self.heap: list[tuple[float, int, Job]] = []
        """A place for each child that can be served, with the cluster below it that is served next."""
        self.level = 0.0
        """The level that filling has reached among its children."""
        self.low: Shares = NOTHING
        """Sum of the children at or below that level, as they are."""
        self.high: list[tuple[float, int, Shares]] = []
        """Children above it: (level, order, proportions), the least last."""
        self.high_sum: Shares = NOTHING
        self.vector: Shares = NOTHING
        """What it counts as, rescaled, in shares of everything."""

    def open(self, able: set[Job]) -> bool:
        """Start a round of filling among these jobs, the rest being blocked. False if none of them is below."""
        self.heap, self.high, self.level = [], [], 0.0
        self.low = self.high_sum = NOTHING
        for order, child in enumerate(self.children):
            if isinstance(child, Node):
                if child.open(able):
                    self.heap.append(child.key())
                share = max(child.vector)
                if share > 0.0:
                    self._above(share / child.weight, order, child.vector, child.weight / share)
            else:
                if child in able:
                    self.heap.append(child.key())
                if child.fair and child.share > 0.0:
                    self._above(child.share * child.fair, order, child.shares, 1.0 / child.share)
        heapq.heapify(self.heap)
        self.high.sort(reverse=True)
        self._rescale()
        return bool(self.heap)

    def _above(self, level: float, order: int, v: Shares, size: float) -> None:
        """A child has something already: note it, in the proportions of what it has."""
        a, b, c, d = each = (v[0] * size, v[1] * size, v[2] * size, v[3] * size)
        self.high.append((level, order, each))
        e, f, g, h = self.high_sum
        self.high_sum = (e + a, f + b, g + c, h + d)

    def key(self) -> tuple[float, int, Job]:
        """Where it stands among its sisters, by what its best child would add."""
        _, rank, job = self.heap[0]
        if self.parent is not None and self.parent.fifo:
            return 0.0, rank, job
        s = job.shares
        if job.gang > 1:
            k = job.step
            s = (s[0] * k, s[1] * k, s[2] * k, s[3] * k)
        v = self.vector
        cores, memory = v[0] + s[0], v[1] + s[1]
        after = cores if cores > memory else memory
        if v[2] or s[2] or v[3] or s[3]:
            after = max(after, v[2] + s[2], v[3] + s[3])
        return after / self.weight - self.boost, rank, job

    def rise(self, gain: Shares, level: float) -> None:
        """A child gained something by a step, and its level is now the one reached."""
        a, b, c, d = self.low
        e, f, g, h = gain
        self.low = low = (a + e, b + f, c + g, d + h)
        self.level = max(self.level, level)
        if self.high:
            self._rescale()
        else:
            self.vector = low

    def _rescale(self) -> None:
        """Recompute what this node counts as, at the level reached."""
        reached, above = self.level, self.high
        while above and above[-1][0] <= reached:
            level, _, (p, q, r, s) = above.pop()
            a, b, c, d = self.low
            self.low = (a + p * level, b + q * level, c + r * level, d + s * level)
            e, f, g, h = self.high_sum
            self.high_sum = (e - p, f - q, g - r, h - s)
        if above and reached > 0.0:
            a, b, c, d = self.low
            e, f, g, h = self.high_sum
            self.vector = (a + reached * e, b + reached * f, c + reached * g, d + reached * h)
        else:
            self.vector = self.low


def block(job: Job) -> None:
    """A cluster can be served no more: it leaves its parent's heap, and so does a parent that has none left."""
    node = job.parent
    while node is not None:
        heapq.heappop(node.heap)
        parent = node.parent
        if node.heap:
            _renew(node)
            return
        node = parent


def _renew(node: Node) -> None:
    """The best child of a node has changed: so does its own place, all the way up."""
    parent = node.parent
    while parent is not None:
        heapq.heapreplace(parent.heap, node.key())
        node, parent = parent, parent.parent


def rise(job: Job, count: int) -> None:
    """A step was made: the levels above it rise, and each node takes its new place."""
    node = job.parent
    assert node is not None
    gain, fair = job.shares, job.fair
    if count != 1:
        gain = (gain[0] * count, gain[1] * count, gain[2] * count, gain[3] * count)
    level = fair * job.share
    if fair >= job.demand:
        heapq.heappop(node.heap)
    elif job.fifo or fair < job.gang:
        heapq.heapreplace(node.heap, job.key())
    else:
        key = ((fair + 1) * job.share - job.boost, job.rank if fair < job.live else job.rank_new, job)
        heapq.heapreplace(node.heap, key)
    while (parent := node.parent) is not None:
        before = node.vector
        node.rise(gain, level)
        if node.heap:
            heapq.heapreplace(parent.heap, node.key())
        else:
            heapq.heappop(parent.heap)
        if parent.parent is None:
            return  # nobody asks what the whole tree counts as
        after = node.vector
        gain = (after[0] - before[0], after[1] - before[1], after[2] - before[2], after[3] - before[3])
        level = max(after) / node.weight
        node = parent
