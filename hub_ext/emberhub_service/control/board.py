"""What the hub's page shows, and to whom: pure. What a person may not know is not in what is made here for them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from emberhub.wire import rest
from emberhub.wire.resources import Resources

from ..alloc.model import Limits, Queue
from ..config import Site, instructed, leaves
from ..records import ENDED, ClusterRecord
from .live import Live
from .people import Person, sees
from .queues import queues_view
from .snapshot import open_queue
from .views import pools_view

RECENT = 12 * 3600.0
"""Seconds for which others' clusters that have ended are shown."""


class Row(rest.Body, frozen=True):
    """One cluster in a table: the same for everybody who may see it. Times are seconds from when it was sent."""

    id: str
    name: str
    user: str
    profile: str
    queue: str
    state: rest.State
    message: str
    executors: rest.ExecutorRange
    executor: Resources
    wanted: int
    granted: int
    running: int
    busy: int
    """Executors that run a task."""
    cached: int
    """Bytes that its executors keep."""
    ready: bool
    fair: int | None
    """Executors that are its fair share now; None where nothing was decided about it."""
    waited: float | None
    """For how long it has wanted more than it has."""
    unmet: rest.Unmet | None
    reclaims: tuple[rest.ReclaimNotice, ...]


class Holder(rest.Body, frozen=True):
    """What one person holds of the pools."""

    user: str
    """Empty where the reader is not to know."""
    executors: int
    millicores: int
    lacking: int
    """Executors that they wait for."""


class QueueUse(rest.Body, frozen=True):
    """A queue and those below it."""

    name: str
    guaranteed: Resources
    max: Limits
    used: Resources
    """What its clusters hold, and what is promised to them."""
    borrowed: Resources
    """What of that is above its guarantee."""
    clusters: int
    executors: int
    lacking: int
    settings: rest.Queue | None
    """For admins."""
    children: tuple[QueueUse, ...]


class Pool(rest.Body, frozen=True):
    """The pools live."""

    pools: tuple[rest.PoolView, ...]
    holders: tuple[Holder, ...]
    """Who holds or waits; those with the most first, so that where names are not told the order tells nothing."""
    queues: QueueUse
    config_error: str
    """For admins."""


class Me(rest.Body, frozen=True):
    """Who reads, and what they may do."""

    name: str
    admin: bool
    instructs: tuple[str, ...]
    """The queues whose clusters they look after."""


def me(site: Site, person: Person) -> Me:
    """Who this person is, for their page."""
    return Me(person.name, person.admin, tuple(sorted(instructed(site, person.groups))))


def row(view: rest.Cluster, live: Live | None, now: float) -> Row:
    """One cluster's row, from what its owner may read of it."""
    waits = live is not None and live.waiting_since is not None and view.unmet is not None
    return Row(
        id=view.id,
        name=view.name,
        user=view.user,
        profile=view.profile,
        queue=view.queue,
        state=view.state,
        message=view.message,
        executors=view.executors,
        executor=view.executor,
        wanted=view.wanted,
        granted=view.granted,
        running=len(view.running),
        busy=sum(executor.active_tasks > 0 for executor in view.running),
        cached=sum(executor.cached_bytes for executor in view.running),
        ready=view.ready,
        fair=live.fair if live is not None else None,
        waited=round(now - live.waiting_since, 1) if waits and live and live.waiting_since is not None else None,
        unmet=view.unmet,
        reclaims=view.reclaims,
    )


def shown_to(site: Site, person: Person, records: Iterable[ClusterRecord], now: float) -> list[ClusterRecord]:
    """The clusters in this person's tables: those they may know of, without others' that ended long ago."""
    seen = sees(site, person)
    return [
        record
        for record in records
        if seen(record)
        and (
            record.user == person.name
            or record.status not in ENDED
            or record.goal == "running"
            or now - record.last_active < RECENT
        )
    ]


def names_for(site: Site, person: Person) -> Callable[[ClusterRecord], bool]:
    """Of which clusters this person may know whose they are, in the view of the pool.

    Not even one's own is named there: the page knows it anyway, and who may know no other name is sent the same.
    """
    if person.admin or site.show_names:
        return lambda _: True
    mine = instructed(site, person.groups)
    return lambda record: record.queue in mine


def pool(
    site: Site, lives: Collection[Live], named: Callable[[ClusterRecord], bool], admin: bool, config_error: str
) -> Pool:
    """The pools; `named` says of which clusters the user may be told."""
    lives = list(lives)
    settings = {queue.name: queue for queue in queues_view(site).queues} if admin else {}
    return Pool(
        pools=pools_view(site, lives, "").pools,
        holders=_holders(lives, named),
        queues=_queue(site.queues, lives, open_queue(site), {queue.name for queue in leaves(site.queues)}, settings),
        config_error=config_error if admin else "",
    )


def _holders(lives: Sequence[Live], named: Callable[[ClusterRecord], bool]) -> tuple[Holder, ...]:
    # Whose clusters are partly known and partly not is listed twice: the sum would tell what is not to be known.
    found: dict[tuple[str, bool], Holder] = {}
    for live in lives:
        record = live.record
        if record.warm:
            continue
        key = record.user, named(record)
        before = found.get(key, Holder(record.user if key[1] else "", 0, 0, 0))
        held = len(live.held)
        found[key] = Holder(
            before.user,
            before.executors + held,
            before.millicores + held * record.executor.millicores,
            before.lacking + (live.unmet.executors if live.unmet else 0),
        )
    some = [holder for holder in found.values() if holder.executors or holder.lacking]
    return tuple(sorted(some, key=lambda h: (-h.millicores, -h.executors, h.lacking, h.user)))


def _queue(
    queue: Queue, lives: Sequence[Live], fallback: str, known: Collection[str], settings: Mapping[str, rest.Queue]
) -> QueueUse:
    children = tuple(_queue(child, lives, fallback, known, settings) for child in queue.children)
    used, clusters, executors, lacking = Resources(), 0, 0, 0
    for child in children:
        used += child.used
        clusters, executors, lacking = clusters + child.clusters, executors + child.executors, lacking + child.lacking
    for live in lives if not children else ():
        record = live.record
        if (record.queue if record.queue in known else fallback) == queue.name:
            used += record.executor * (len(live.held) + live.promised())
            clusters += not record.warm
            executors += len(live.held)
            lacking += live.unmet.executors if live.unmet else 0
    return QueueUse(
        name=queue.name,
        guaranteed=queue.guaranteed,
        max=queue.max,
        used=used,
        borrowed=Resources(
            *(max(0, has - own) for has, own in zip(used.amounts(), queue.guaranteed.amounts(), strict=True))
        ),
        clusters=clusters,
        executors=executors,
        lacking=lacking,
        settings=settings.get(queue.name),
        children=children,
    )
