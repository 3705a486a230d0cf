"""The site's file is read again when it changes. A change that is wrong leaves the old configuration in force."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from emberhub.errors import ConfigError

from ..config import Site, load_site
from .state import State

log = logging.getLogger(__name__)

POLL = 1.0
"""Seconds between looks: files in a ConfigMap or on a network share tell nobody when they change."""


class Watch:
    """See the module. `accept` puts a configuration in force, or raises ValueError."""

    def __init__(self, path: Path, state: State, accept: Callable[[Site], Awaitable[None]]) -> None:
        self.path = path
        self.state = state
        self.accept = accept
        self._seen = self._mark()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(POLL)
            await self.look()

    async def look(self) -> None:
        """Take over the file if it has changed."""
        mark = self._mark()
        if mark == self._seen:
            return
        self._seen = mark
        try:
            if mark is None:
                raise ConfigError(f"{self.path.name} is gone")
            site = load_site(self.path)
            if site == self.state.site:
                self.state.config_error = ""
                return
            await self.accept(site)
        except (ConfigError, ValueError) as wrong:
            self.state.config_error = f"{wrong}. The configuration from before stays in force."
            log.error("%s", self.state.config_error)
            return
        log.info("the changed configuration in %s is in force", self.path.name)

    def _mark(self) -> tuple[int, int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
