"""Who asks, what they may know of, and where their clusters sit."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from ..config import Site, instructed, leaves
from ..records import ClusterRecord


@dataclass(frozen=True)
class Person:
    """Who asks, as the hub says."""

    name: str
    groups: tuple[str, ...] = ()
    admin: bool = False
    metrics: bool = False
    """May read the metrics."""


def sees(
    site: Site, person: Person, *, admins: bool = True, instructors: bool = True
) -> Callable[[ClusterRecord], bool]:
    """Which clusters this person may know of: their own, all as an admin, the class's as its instructor.

    What is not for admins, or not for instructors, says so.
    """
    everything = admins and person.admin
    mine = instructed(site, person.groups) if instructors else frozenset()
    return lambda record: not record.warm and (everything or record.user == person.name or record.queue in mine)


def queue_for(site: Site, groups: Collection[str]) -> str | None:
    """The first leaf that is for one of these groups, else the first that is for everyone; None if there is none."""
    names = [queue.name for queue in leaves(site.queues)]
    own = next((name for name in names if set(site.groups.get(name, ())) & set(groups)), None)
    return own or next((name for name in names if not site.groups.get(name)), None)
