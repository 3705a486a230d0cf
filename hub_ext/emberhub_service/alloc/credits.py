"""Memory across time (E): users who lent what they did not need are served first when they ask.

Karma (Vuppalapati et al., OSDI 2023) gives a user credits for what others borrow of their share, and serves the user
with most credits first. Here a user's credit changes each second by the mean of what the present users hold, less what
the user holds. The sum over users is always nought, nobody gains unless somebody borrows, and time when nobody works
counts for nothing. It is counted in executors held, not in those used: asking for more than one needs costs credit and
brings nothing back, so that it does not pay. An executor larger than the mean of those present counts for more, in
proportion to its dominant share.

In filling, `rotation_quantum` seconds of credit count as one executor that the user does not have (or, for a debt,
has already), in whole executors only: so shares stay as they are for at least that long under steady demand
(J). Credit moves the shares beyond everybody's first executor; D, floors and guarantees come before it. Both numbers
decay with `credit_half_life`; 0 turns credits off, which leaves plain DRF.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from .model import Cluster, Resources, Snapshot, User

__all__ = ["advance", "boost"]


def advance(users: Iterable[User], snapshot: Snapshot, now: float) -> tuple[User, ...]:
    """What is to be remembered of users at `now`, when `snapshot` has held since its own time.

    Users who are in the snapshot and not yet known are added, in the order of names. A user who is known and has no
    cluster neither lends nor borrows; what is remembered of them fades, and is dropped when nothing is left of it.
    """
    half_life, dt = snapshot.rules.credit_half_life, max(0.0, now - snapshot.now)
    known = {user.name: user for user in users}
    held = _held(snapshot)
    mean = math.fsum(held.values()) / len(held) if held else 0.0
    fade, seconds = (0.5 ** (dt / half_life), _faded(dt, half_life)) if half_life > 0 else (0.0, 0.0)
    remembered = []
    for name in sorted(known.keys() | held.keys()):
        user = known.get(name) or User(name)
        has = held.get(name)
        credit = user.credit * fade + ((mean - has) * seconds if has is not None else 0.0)
        recent = user.recent * fade + (has or 0.0) * seconds
        if has is None and abs(credit) < 1e-3 and recent < 1e-3:
            continue
        remembered.append(User(name, credit, recent, user.waiting_since if has is not None else None))
    return tuple(remembered)


def boost(user: User | None, quantum: float, half_life: float) -> int:
    """Whole executors by which a user's credit moves their place in filling; negative for a debt."""
    if user is None or half_life <= 0 or quantum <= 0:
        return 0
    return int(user.credit / quantum)


def _faded(dt: float, half_life: float) -> float:
    """Seconds that a span of `dt` counts for at its end, each of them fading from when it passed."""
    rate = math.log(2) / half_life
    return -math.expm1(-rate * dt) / rate


def _held(snapshot: Snapshot) -> dict[str, float]:
    """Mean executors that each present user holds or was promised."""
    total = [0, 0, 0, 0]
    for pool in snapshot.pools:
        total = [has + more for has, more in zip(total, pool.capacity.amounts(), strict=True)]
    clusters = sorted(snapshot.clusters, key=lambda cluster: cluster.id)
    size = _sizes(clusters, total)
    held: dict[str, float] = {}
    for cluster in clusters:
        count = len(cluster.executors) + sum(promise.executors for promise in cluster.promises)
        held[cluster.user] = held.get(cluster.user, 0.0) + count * size[cluster.executor]
    return held


def _sizes(clusters: list[Cluster], total: list[int]) -> Mapping[Resources, float]:
    """How many mean executors one of each shape is, by dominant share."""
    shares = {
        cluster.executor: max(
            (need / has for need, has in zip(cluster.executor.amounts(), total, strict=True) if has), default=0.0
        )
        for cluster in clusters
    }
    mean = math.fsum(shares[cluster.executor] for cluster in clusters) / len(clusters) if clusters else 0.0
    return {shape: share / mean if mean else 1.0 for shape, share in shares.items()}
