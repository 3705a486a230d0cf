"""Who waits for a driver to be started, in order: people as they came, warm drivers behind them all."""

from __future__ import annotations


class Line:
    """A few drivers are started at a time: thirty at once on one machine would make every one of them slow."""

    def __init__(self) -> None:
        self._people: dict[str, None] = {}
        self._warm: dict[str, None] = {}

    def join(self, cluster: str, *, warm: bool) -> None:
        """Wait for a turn; whoever waits already keeps their place."""
        (self._warm if warm else self._people).setdefault(cluster)

    def leave(self, cluster: str) -> None:
        """Wait no longer, if it did."""
        self._people.pop(cluster, None)
        self._warm.pop(cluster, None)

    def first(self, count: int) -> list[str]:
        """The `count` whose turn is next."""
        return [*self._people, *self._warm][: max(0, count)]

    def people(self) -> list[str]:
        """The clusters of people who wait."""
        return list(self._people)

    def place(self, cluster: str) -> int:
        """Place in line, 1 is next; 0 for who does not wait."""
        return next((place for place, each in enumerate(self.first(len(self)), start=1) if each == cluster), 0)

    def __len__(self) -> int:
        return len(self._people) + len(self._warm)
