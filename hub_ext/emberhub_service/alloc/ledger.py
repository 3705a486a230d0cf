"""What each pool, and each queue with a bound, has room for (A, B).

An account is the room left of the four resources, as a list of integers; a pool is an account, and so is a queue that
may not exceed something. Placing an executor takes from its pool's account and from those of all its bounded queues,
so that one test answers rules A and B.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

__all__ = ["UNBOUNDED", "Amount", "Guarantee", "Ledger"]

Amount = tuple[int, int, int, int]
UNBOUNDED = 1 << 62
"""Room in a resource that nobody limits."""


class Ledger:
    """Room in every account. Room may be negative: more is spoken for than there is."""

    __slots__ = ("rooms",)

    def __init__(self, rooms: Iterable[Iterable[int]]) -> None:
        self.rooms: list[list[int]] = [list(room) for room in rooms]

    def fits(self, need: Amount, accounts: Sequence[int], times: int = 1) -> bool:
        """Whether so many executors of this size fit in all these accounts."""
        if times != 1:
            need = need[0] * times, need[1] * times, need[2] * times, need[3] * times
        return self.tight(need, accounts) < 0

    def tight(self, need: Amount, accounts: Sequence[int]) -> int:
        """The first of these accounts that has no room for this; -1 if all have."""
        a, b, c, d = need
        rooms = self.rooms
        for account in accounts:
            room = rooms[account]
            if (a and room[0] < a) or (b and room[1] < b) or (c and room[2] < c) or (d and room[3] < d):
                return account
        return -1

    def take(self, need: Amount, accounts: Sequence[int], times: int = 1) -> None:
        """Use room; a negative `times` gives it back."""
        a, b, c, d = need
        if times != 1:
            a, b, c, d = a * times, b * times, c * times, d * times
        for account in accounts:
            room = self.rooms[account]
            room[0] -= a
            room[1] -= b
            if c or d:
                room[2] -= c
                room[3] -= d

    def short(self, need: Amount, accounts: Sequence[int], times: int = 1) -> tuple[int, int] | None:
        """The first account, and the resource in it, that lacks room; None if all fits."""
        for account in accounts:
            room = self.rooms[account]
            for kind in (0, 1, 2, 3):
                amount = need[kind]
                if amount and room[kind] < amount * times:
                    return account, kind
        return None

    @contextmanager
    def without(self, victims: Iterable[tuple[Amount, Sequence[int]]]) -> Iterator[Ledger]:
        """The ledger as it would be without these executors; restored at the end, also after an error."""
        gone = list(victims)
        for need, accounts in gone:
            self.take(need, accounts, -1)
        try:
            yield self
        finally:
            for need, accounts in gone:
                self.take(need, accounts)

    def copy(self) -> Ledger:
        """Another ledger with the same room."""
        return Ledger(self.rooms)


@dataclass(slots=True, eq=False)
class Guarantee:
    """A queue's guarantee, its reservations in force included; `UNBOUNDED` where it says nothing."""

    queue: str
    limit: list[int]
    left: list[int]
    """What filling has not used of it yet."""
    use: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    """What the queue's clusters hold, less what is being taken."""

    def exceeded(self) -> bool:
        """Whether the queue holds more than this, so that something may be taken from it (I)."""
        use, limit = self.use, self.limit
        return use[0] > limit[0] or use[1] > limit[1] or use[2] > limit[2] or use[3] > limit[3]

    def add(self, need: Amount, times: int) -> None:
        """The queue's clusters hold so many more executors of this size, or fewer."""
        a, b, c, d = need
        use = self.use
        use[0] += a * times
        use[1] += b * times
        use[2] += c * times
        use[3] += d * times
