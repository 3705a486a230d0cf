"""The configuration in force: the site's file, with what was changed of the queues on the page laid over it.

Either may change while the service runs. A change that is wrong leaves what was before in force, and says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from emberhub.errors import ConfigError

from ..config import Changes, Site, load_site
from ..records import Records
from .state import State

log = logging.getLogger(__name__)

POLL = 1.0
"""Seconds between looks: files in a ConfigMap or on a network share tell nobody when they change."""


class Watch:
    """See the module. `accept` puts a configuration in force, or raises ValueError."""

    def __init__(self, path: Path, state: State, records: Records, accept: Callable[[Site], Awaitable[None]]) -> None:
        self.path = path
        self.state = state
        self.accept = accept
        self._records = records
        self._changes: Changes = records.queue_changes()
        self._one_at_a_time = asyncio.Lock()
        self._seen = self._mark()
        self._had_file = self._seen is not None

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(POLL)
            try:
                await self.look()
            except Exception:
                log.exception("the changed configuration in %s could not be put in force", self.path.name)

    async def look(self) -> None:
        """Take over the file if it has changed."""
        async with self._one_at_a_time:
            mark = self._mark()
            if mark == self._seen:
                return
            self._seen = mark
            try:
                site = self._read(self._changes)
                if site == self.state.site:
                    self.state.config_error = ""
                    return
                await self.accept(site)
            except (ConfigError, ValueError, OSError) as wrong:
                if isinstance(wrong, OSError):
                    self._seen = None  # Nothing is wrong with the file: it is to be tried again.
                error = f"{wrong}. The configuration from before stays in force."
                if error != self.state.config_error:
                    log.error("%s", error)
                self.state.config_error = error
                return
            self.state.journal.note("site", "A changed configuration is in force.")
            log.info("the changed configuration in %s is in force", self.path.name)

    async def change(self, queue: str, settings: Mapping[str, Any]) -> None:
        """Lay settings of a queue over the file's, and keep them; None takes back what was laid over one.

        Raises ConfigError or ValueError where the whole would be wrong, and RecordsUnavailable; all is as before then.
        """
        async with self._one_at_a_time:
            before = self._changes.get(queue, {})
            now = {key: value for key, value in {**before, **settings}.items() if value is not None}
            changes = {**self._changes, queue: now}
            site = self._read(changes)
            self._records.change_queue(queue, now)
            try:
                await self.accept(site)
            except BaseException:
                self._records.change_queue(queue, before)
                raise
            self._changes = changes

    def _read(self, changes: Changes) -> Site:
        there = self.path.exists()
        if self._had_file and not there:
            raise ConfigError(f"{self.path.name} is gone")
        self._had_file = there
        return load_site(self.path, changes)

    def _mark(self) -> tuple[int, int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
