"""Asking a driver something, and waiting for its answer."""

from __future__ import annotations

import asyncio
import itertools

import msgspec
from emberhub.errors import RequestRefused
from emberhub.wire import agent, livy

from .state import State

PATIENCE = 10.0
"""Seconds that a driver may take to connect, after a restart of the service, and to answer."""
_AWAY = "The driver is not heard from at the moment; try again soon."


class Questions:
    """Those that are not answered yet."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._numbers = itertools.count(1)
        self._open: dict[tuple[str, int], asyncio.Future[agent.Answer]] = {}
        """By cluster and number: what one driver says is nobody else's answer."""

    async def ask(self, cluster: str, session: int, about: livy.AnyAsk) -> bytes:
        """A driver's answer, as JSON. Raises RequestRefused: 503 if it was not asked, or may be asked again; 409 where
        it is not known whether it did what it was asked to; and whatever the driver refuses.
        """
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while True:
            version, live = self._state.version(cluster), self._state.lives.get(cluster)
            if live is not None and live.link is not None and not live.fresh:
                break
            left = deadline - asyncio.get_running_loop().time()
            if live is None or left <= 0:
                raise RequestRefused(_AWAY, 503)
            await self._state.wait(cluster, version, left)
        number = next(self._numbers)
        answer: asyncio.Future[agent.Answer] = asyncio.get_running_loop().create_future()
        self._open[cluster, number] = answer
        live.link.send(agent.Question(number, session, about))
        try:
            answered = await asyncio.wait_for(answer, PATIENCE)
        except TimeoutError:
            if isinstance(about, livy.Run):
                raise RequestRefused(
                    "The driver did not say whether it runs the statement; look at the session's statements.", 409
                ) from None
            raise RequestRefused(_AWAY, 503) from None
        finally:
            del self._open[cluster, number]
        body = bytes(answered.body)
        if answered.status >= 400:
            raise RequestRefused(msgspec.json.decode(body, type=str), answered.status)
        return body

    def take(self, cluster: str, answer: agent.Answer) -> None:
        """A cluster's driver has answered."""
        waiting = self._open.get((cluster, answer.number))
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)
