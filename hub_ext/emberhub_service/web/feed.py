"""What open pages are sent: all at first, then what has changed, a few times a second at most."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ..control import board
from ..control.people import Person
from ..control.state import State
from ..records import ClusterRecord, Event

log = logging.getLogger(__name__)

PAUSE = 0.3
"""Seconds between two messages to a page."""
MOST_PAGES = 20
"""Pages that one person may have open."""
_BYE = b'{"bye":true}'
LOOK = 5.0
"""Seconds after which what changes by itself, such as estimates, is looked at again while a page is open."""


class Update(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message to a page. What is left out is as it was."""

    me: board.Me | None = None
    whole: bool = False
    """What the page had is of no use any more."""
    rows: tuple[msgspec.Raw, ...] = ()
    """Clusters that are new or have changed: `board.Row`."""
    gone: tuple[str, ...] = ()
    """Clusters that are no more, or no more to be seen."""
    pool: msgspec.Raw | None = None
    """`board.Pool`."""
    events: tuple[Event, ...] = ()
    """What was decided and done, the oldest first; for admins."""


@dataclass(eq=False)
class Viewer:
    """One open page."""

    person: Person
    send: Callable[[bytes], Awaitable[None]]
    """Returns once the page can take more."""
    seen: dict[str, bytes] = field(default_factory=dict)
    """By cluster, the row that was sent."""
    pool: bytes = b""
    me: board.Me | None = None
    events: int = 0
    """The last event that was sent."""
    busy: asyncio.Future[None] | None = None


class Feed:
    """See the module. Rows and pools are made once for all who may see the same."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._viewers: set[Viewer] = set()
        self._rows: dict[str, tuple[object, bytes]] = {}
        """By cluster, of which version its row was made, and the row."""
        self._timer: asyncio.TimerHandle | None = None
        self._sent = 0.0
        self._look = 0
        state.on_change = self.changed

    def join(self, viewer: Viewer) -> bool:
        """A page was opened; False if its person has too many already."""
        if sum(other.person.name == viewer.person.name for other in self._viewers) >= MOST_PAGES:
            return False
        self._viewers.add(viewer)
        self._run_in(0.0)
        return True

    def leave(self, viewer: Viewer) -> None:
        """A page was closed."""
        self._viewers.discard(viewer)
        if viewer.busy is not None:
            viewer.busy.cancel()
        if not self._viewers:
            self.close()

    def say_farewell(self) -> None:
        """The service ends. Pages are told in words, since not every proxy tells them that a connection has ended."""
        for viewer in self._viewers:
            viewer.busy = asyncio.ensure_future(viewer.send(_BYE))
        self.close()

    def close(self) -> None:
        """Nothing is sent from now on, until somebody opens a page."""
        self._viewers.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._rows.clear()

    def changed(self) -> None:
        """Something has changed that somebody may see."""
        if self._viewers:
            self._run_in(max(0.0, self._sent + PAUSE - asyncio.get_running_loop().time()))

    def _run_in(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        when = loop.time() + seconds
        if self._timer is not None:
            if self._timer.when() <= when:
                return
            self._timer.cancel()
        self._timer = loop.call_at(when, self._run)

    def _run(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer, self._sent = None, loop.time()
        self._look = int(self._sent / LOOK)
        try:
            self._update()
        except Exception:
            log.exception("open pages are not up to date")
        self._run_in(LOOK)

    def _update(self) -> None:
        records = self._state.records()
        pools: dict[object, bytes] = {}
        self._rows = {record.id: self._rows[record.id] for record in records if record.id in self._rows}
        for viewer in list(self._viewers):
            if viewer.busy is None:
                self._tell(viewer, records, pools)

    def _tell(self, viewer: Viewer, records: list[ClusterRecord], pools: dict[object, bytes]) -> None:
        site, person = self._state.site, viewer.person
        me = board.me(site, person)
        shown = board.shown_to(site, person, records, self._state.clock())
        rows = {record.id: self._row(record) for record in shown}
        pool = self._pool(me, person, pools)
        update = Update(
            me=None if me == viewer.me else me,
            whole=viewer.me is None,
            rows=tuple(msgspec.Raw(row) for name, row in rows.items() if viewer.seen.get(name) != row),
            gone=tuple(name for name in viewer.seen if name not in rows),
            pool=None if pool == viewer.pool else msgspec.Raw(pool),
            events=tuple(self._state.journal.since(viewer.events)) if person.admin else (),
        )
        if update == Update():
            return
        viewer.me, viewer.pool, viewer.events = me, pool, self._state.journal.latest
        viewer.seen = rows
        viewer.busy = asyncio.ensure_future(viewer.send(msgspec.json.encode(update)))
        viewer.busy.add_done_callback(lambda sent: self._sent_to(viewer, sent))

    def _sent_to(self, viewer: Viewer, sent: asyncio.Future[Any]) -> None:
        # A page that takes its messages slowly is sent fewer, each with all that has changed meanwhile.
        viewer.busy = None
        if not sent.cancelled() and sent.exception() is None and viewer in self._viewers:
            self.changed()

    def _row(self, record: ClusterRecord) -> bytes:
        state = self._state
        live = state.lives.get(record.id)
        waits = live is not None and (live.unmet is not None or bool(live.reclaiming))
        version = (state.version(record.id), live.fair if live else None, self._look if waits else None)
        known = self._rows.get(record.id)
        if known is None or known[0] != version:
            made = board.row(state.view(record), live, state.clock())
            known = self._rows[record.id] = version, msgspec.json.encode(made)
        return known[1]

    def _pool(self, me: board.Me, person: Person, made: dict[object, bytes]) -> bytes:
        state = self._state
        key = person.admin, me.instructs
        if key not in made:
            named = board.names_for(state.site, person)
            pool = board.pool(state.site, state.lives.values(), named, person.admin, state.config_error)
            made[key] = msgspec.json.encode(pool)
        return made[key]
