"""What was decided and done, by whom and why: for administrators to look up.

Events are written in batches, so that a decision never waits for the database: what happened in the last seconds
before the service is killed may be missing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from ..alloc.model import CallOff, Grant, Reclaim, Refuse, Revoke
from ..records import ClusterRecord, Event, Records, RecordsUnavailable

log = logging.getLogger(__name__)

KEPT = 20_000
"""Events that are kept; the oldest go."""
RECENT = 100
"""Events that a page is sent when it is opened."""
BATCH = 2.0
"""Seconds for which events are collected before they are written."""

Decision = Grant | Reclaim | CallOff | Revoke | Refuse


class Journal:
    """See the module."""

    def __init__(self, records: Records, clock: Callable[[], float]) -> None:
        self._records = records
        self._clock = clock
        self._recent = deque(reversed(records.events(None, RECENT)), maxlen=RECENT)
        self.latest = self._recent[-1].id if self._recent else 0
        """The id of the latest event."""
        # While the database is away, no more are kept than it would hold.
        self._unwritten: deque[Event] = deque(maxlen=KEPT)
        self._more = asyncio.Event()

    def note(
        self, kind: str, text: str, *, actor: str = "", record: ClusterRecord | None = None, rule: str = ""
    ) -> None:
        """Something has happened."""
        self.latest += 1
        about = (record.user, record.id, record.name, record.queue) if record is not None else ("", "", "", "")
        event = Event(self.latest, self._clock(), kind, actor, *about, rule, text)
        self._recent.append(event)
        self._unwritten.append(event)
        self._more.set()

    def decided(self, decision: Decision, record: ClusterRecord) -> None:
        """The allocator has decided about a cluster. Refusals are no events: they stand until something changes."""
        match decision:
            case Grant(executors=count):
                what = f"{_executors(count)} granted."
            case Reclaim(executors=names):
                what = f"{_executors(len(names))} asked back."
            case CallOff(executors=names):
                what = f"{_executors(len(names))} not asked back any more."
            case Revoke(executors=names):
                what = f"{_executors(len(names))} taken."
            case Refuse():
                return
        rule = "" if isinstance(decision, CallOff) else decision.rule
        self.note(type(decision).__name__.lower(), f"{what} {decision.reason}".strip(), record=record, rule=rule)

    def since(self, id_: int) -> list[Event]:
        """Recent events after this one, the oldest first."""
        return [event for event in self._recent if event.id > id_]

    def before(self, id_: int, most: int) -> list[Event]:
        """Events before this one, the latest first. Raises RecordsUnavailable."""
        self.write()
        return self._records.events(id_, most)

    async def run(self) -> None:
        """Write what happens, until cancelled."""
        while True:
            await self._more.wait()
            await asyncio.sleep(BATCH)
            self._more.clear()
            try:
                self.write()
            except RecordsUnavailable as away:
                log.warning("decisions are not written down yet: %s", away)
                self._more.set()
            except Exception:
                log.exception("decisions are not written down yet")
                self._more.set()

    def write(self) -> None:
        """Write what was not yet. Raises RecordsUnavailable; then it is still to be written."""
        waiting = list(self._unwritten)
        self._records.write_events(waiting, KEPT)
        self._unwritten.clear()


def _executors(count: int) -> str:
    return "1 executor" if count == 1 else f"{count} executors"
