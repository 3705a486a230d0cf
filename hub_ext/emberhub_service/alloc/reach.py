"""Where a cluster's executors may start, and where they had better (L): hard filters first, then a score.

Scored are, in this order: what the cluster prefers, how near its data is, the pool's health, and packing: a pool whose
resources the executor would leave unused (GPUs, say) is kept for those who need them.
"""

from __future__ import annotations

from collections.abc import Sequence

from .constraints import ConstraintError, parse
from .fairness import Job
from .model import Pool

__all__ = ["Reach", "pools_for"]

Reach = tuple[tuple[int, ...], tuple[str, str] | None]
"""Pools where executors may start, best first; or none, with the rule and the reason."""


def pools_for(job: Job, pools: Sequence[Pool]) -> Reach:
    """The pools for a cluster's executors: in reach, allowed, healthy and large enough; best first."""
    cluster = job.cluster
    try:
        needs, prefers = parse(cluster.needs), parse(cluster.prefers)
    except ConstraintError as error:
        return (), ("L", f"Its constraint cannot be read: {error.why} (at {error.at + 1}).")
    if not any(job.need):
        return (), ("A", "Its executors have no size: choose a profile with cores and memory.")
    scored, refused = [], []
    for number, pool in enumerate(pools):
        labels = {"pool": pool.name, **pool.labels}
        most = pool.node or pool.capacity
        failing = needs.failing(labels)
        if cluster.pools is not None and pool.name not in cluster.pools:
            refused.append(("L", f"pool {pool.name} cannot be reached from its driver"))
        elif failing:
            refused.append(("L", f"pool {pool.name} does not satisfy '{failing}'"))
        elif pool.health <= 0:
            refused.append(("L", f"pool {pool.name} fails every executor for now"))
        elif not cluster.executor.fits_in(most) or not cluster.executor.fits_in(pool.capacity):
            refused.append(
                ("A", f"an executor of {cluster.executor} is larger than pool {pool.name} can start ({most})")
            )
        else:
            unlike = sum(1 for has, need in zip(pool.capacity.amounts(), job.need, strict=True) if has and not need)
            far = cluster.data.index(labels["site"]) if labels.get("site") in cluster.data else len(cluster.data)
            liked = bool(cluster.prefers) and prefers.holds(labels)
            scored.append(((not liked, far, -pool.health, unlike, pool.name), number))
    if scored:
        return tuple(number for _, number in sorted(scored)), None
    if not refused:
        return (), ("A", "There is no pool.")
    rule = "L" if all(rule == "L" for rule, _ in refused) else "A"
    return (), (rule, "No pool can start it: " + "; ".join(why for _, why in refused) + ".")
