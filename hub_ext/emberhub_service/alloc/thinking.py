"""J, between two cells: whoever thinks keeps what they have for a moment.

Handing an executor on costs a start and a first query in code that is cold, and its user wants it back after the next
cell. So an executor counts as wanted until it has been idle for as long as that takes, or for `think_time` if that is
shorter. Like a skier who rents until the rent has reached the price of skis, this never costs much more than the better
of keeping and handing on. Two limits hold:

* It is demand, no more: C shares as ever, and what is above a fair share goes to others at once (K), as do floors,
  guarantees and turns (B, D).
* Who asks and has had nothing lately does not wait for others to think: for each of them, the cluster that has thought
  longest gives its executors at once.
"""

from __future__ import annotations

from msgspec.structs import replace

from .model import Cluster, Snapshot

__all__ = ["thinking"]

PRICE = 2
"""What handing on costs, in starts: one, and as much again in which the first query is slower than in warm code."""


def thinking(snapshot: Snapshot) -> Snapshot:
    """The snapshot with the demand of those who think as it was before they did."""
    rules = snapshot.rules
    span = min(rules.think_time, rules.idle_after, PRICE * rules.executor_start)
    if span <= 0:
        return snapshot
    since = snapshot.now - span
    more = [c for c in snapshot.clusters if len(c.executors) > c.wanted and not c.frozen]  # the rest have work for all
    kept = {cluster.id: _kept(cluster, since) for cluster in more}
    raised = {cluster.id: cluster for cluster in more if kept[cluster.id] > cluster.wanted}
    if not raised:
        return snapshot
    newcomers = _newcomers(snapshot, span)
    for cluster in sorted(raised.values(), key=_thought)[:newcomers]:
        del raised[cluster.id]
    return replace(
        snapshot,
        clusters=tuple([replace(c, wanted=kept[c.id]) if c.id in raised else c for c in snapshot.clusters]),
    )


def _kept(cluster: Cluster, since: float) -> int:
    """How many executors do wanted work, or have been idle since `since` at the earliest."""
    present = [executor.idle_since for executor in cluster.executors if not executor.revoked]
    resting = sum([idle is not None and idle > since for idle in present])
    return min(cluster.wanted, present.count(None)) + resting


def _thought(cluster: Cluster) -> tuple[bool, float, str]:
    """Those without any work first, who has thought longest first of all."""
    idle = [executor.idle_since for executor in cluster.executors if executor.idle_since is not None]
    return cluster.wanted > 0, max(idle, default=0.0), cluster.id


def _newcomers(snapshot: Snapshot, span: float) -> int:
    """Users who ask, have nothing, and have had less than `span` executor-seconds lately."""
    asking = {cluster.user for cluster in snapshot.clusters if cluster.wanted > 0 and not cluster.frozen}
    asking -= {cluster.user for cluster in snapshot.clusters if cluster.executors or cluster.promises}
    had = {user.name for user in snapshot.users if user.recent >= span}
    return len(asking - had)
