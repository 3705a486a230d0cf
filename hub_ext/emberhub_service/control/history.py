"""What the allocator remembers of users (D, E): pure arithmetic on what they held."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from ..alloc.model import User


@dataclass(frozen=True)
class Use:
    """What one user did in a span of time, in executors."""

    user: str
    held: int
    """Executors held or promised."""
    demand: int
    share: float
    """An equal part of all executors that there could be."""


def advance(
    users: Mapping[str, User], uses: Iterable[Use], now: float, elapsed: float, half_life: float
) -> dict[str, User]:
    """The users' history after `elapsed` seconds in which they did `uses`, which end at `now`.

    Recent use and credit fade by half in `half_life` seconds; with 0, nothing is remembered. Credit grows by what a
    user left to others of an equal share, and falls by what they held above it. To want and not to get is no lending.
    """
    fade = 0.5 ** (elapsed / half_life) if half_life > 0 else 0.0
    after = {
        name: msgspec.structs.replace(user, credit=user.credit * fade, recent=user.recent * fade, waiting_since=None)
        for name, user in users.items()
    }
    for use in uses:
        user = after.get(use.user, User(use.user))
        lent = max(0.0, use.share - max(use.held, use.demand))
        borrowed = max(0.0, use.held - use.share)
        before = users.get(use.user)
        waited = before.waiting_since if before is not None else None
        after[use.user] = User(
            use.user,
            credit=user.credit + (lent - borrowed) * elapsed,
            recent=user.recent + use.held * elapsed,
            waiting_since=(now if waited is None else waited) if use.demand and not use.held else None,
        )
    return after


def worth_keeping(user: User) -> bool:
    """Whether anything about the user is left to remember."""
    return user.waiting_since is not None or abs(user.credit) >= 0.5 or user.recent >= 0.5
