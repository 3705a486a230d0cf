"""What each pool, and each queue with a bound, has room for (A, B).

An account is the room left of the four resources, as a list of integers; a pool is an account, and so is a queue that
may not exceed something. Placing an executor takes from its pool's account and from those of all its bounded queues,
so that one test answers rules A and B.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

__all__ = ["UNBOUNDED", "Amount", "Ledger"]

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
        a, b, c, d = need
        for account in accounts:
            room = self.rooms[account]
            if (
                (a and room[0] < a * times)
                or (b and room[1] < b * times)
                or (c and room[2] < c * times)
                or (d and room[3] < d * times)
            ):
                return False
        return True

    def take(self, need: Amount, accounts: Sequence[int], times: int = 1) -> None:
        """Use room; a negative `times` gives it back."""
        a, b, c, d = need
        for account in accounts:
            room = self.rooms[account]
            room[0] -= a * times
            room[1] -= b * times
            room[2] -= c * times
            room[3] -= d * times

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
