"""Asks the backend what keeps drivers and executors that are late, so that their user reads the cause."""

from __future__ import annotations

import asyncio
import logging

from emberhub_spawner.backend import Backend

from .live import Live
from .state import State

log = logging.getLogger(__name__)

LATE = 3.0
"""Seconds that a driver or an executor may take without a question."""
_LOOK = 1.0


class Troubles:
    """See the module. What is found stands in `Live.trouble`."""

    def __init__(self, state: State, backend: Backend) -> None:
        self._state = state
        self._backend = backend

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(_LOOK)
            for live in list(self._state.lives.values()):
                await self.look(live)

    async def look(self, live: Live) -> None:
        """Ask about one cluster, if it waits for something that is late."""
        now, trouble = self._state.clock(), ""
        if live.exited or live.record.goal == "stopped":
            return
        if self._late(live, now):
            try:
                trouble = await self._backend.trouble(live.record.driver)
            except Exception:
                # A backend that cannot say why is no reason to stop asking.
                log.exception("cluster %s: the backend cannot say what keeps it", live.record.id)
        elif now < live.paused_until:
            trouble = live.trouble
        if trouble != live.trouble:
            log.info("cluster %s waits: %s", live.record.id, trouble or "no longer")
            live.trouble = trouble
            self._state.touch(live.record.id)

    def _late(self, live: Live, now: float) -> bool:
        if live.record.status == "starting":
            return now > live.born + LATE
        return live.granted() > len(live.kept()) and now > live.promised_since + LATE
