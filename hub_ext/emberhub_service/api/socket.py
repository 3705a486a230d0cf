"""The WebSocket that drivers' agents open."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any

import msgspec
from emberhub.errors import RequestRefused
from emberhub.wire import agent
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from ..control.agents import Agents, Superseded, WrongToken
from ..control.live import Live
from .handlers import ProblemHandler

log = logging.getLogger(__name__)

PATH = "agent"
_BEARER = re.compile(r"^bearer\s+(\S+)\s*$", re.IGNORECASE)
_GONE = "The cluster is gone, or a later start of it took over."


class AgentSocket(ProblemHandler, WebSocketHandler):
    """One connection. Implements `control.live.Link`."""

    def initialize(self, agents: Agents) -> None:
        self.agents = agents
        self.driver = ""
        self.generation = 0
        self.live: Live | None = None
        self._refusal: tuple[int, str] | None = None

    def check_origin(self, origin: str) -> bool:
        # Only browsers send an origin, and no browser is a driver.
        return False

    def prepare(self) -> None:
        """Who is it? A driver that is refused for good is let in to be told so by a code: it must stop."""
        headers = self.request.headers
        if "token" in self.request.query_arguments:
            raise RequestRefused("Send the token in the Authorization header, never in an address.", 400)
        if headers.get(agent.HEADER_PROTOCOL) != str(agent.PROTOCOL):
            self._refusal = agent.CLOSE_PROTOCOL, f"This service speaks version {agent.PROTOCOL} of the protocol."
            return
        self.driver = headers.get(agent.HEADER_CLUSTER, "")
        found = _BEARER.match(headers.get("Authorization", ""))
        generation = headers.get(agent.HEADER_GENERATION, "")
        if found is None or not generation.isascii() or not generation.isdigit() or len(generation) > 12:
            raise RequestRefused("An agent names its cluster, its generation and its token in headers.", 401)
        self.generation = int(generation)
        try:
            self.agents.check(self.driver, self.generation, found[1])
        except Superseded:
            self._refusal = agent.CLOSE_SUPERSEDED, _GONE
        except WrongToken:
            raise RequestRefused("This is not the agent token of this cluster.", 403) from None

    def open(self, *_: str, **__: str) -> None:
        self.set_nodelay(True)
        if self._refusal is None:
            try:
                self.live = self.agents.connect(self.driver, self.generation, self)
                return
            except Superseded:
                self._refusal = agent.CLOSE_SUPERSEDED, _GONE
        WebSocketHandler.close(self, *self._refusal)

    def on_message(self, message: str | bytes) -> None:
        if self.live is None:
            return
        try:
            told = agent.decode_from_driver(message)
        except (msgspec.DecodeError, RecursionError) as wrong:
            log.warning("cluster %s: its driver sent what cannot be read: %s", self.live.record.id, wrong)
            self.close(agent.CLOSE_PROTOCOL, "A message could not be read.")
            return
        self.agents.receive(self.live, self, told)

    def on_close(self) -> None:
        if self.live is not None:
            self.agents.disconnect(self.live, self)

    # --- Link ---

    def send(self, message: agent.FromService) -> None:
        try:
            sent = self.write_message(agent.encode(message))
        except WebSocketClosedError:
            return
        sent.add_done_callback(_consume)

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        super().close(code, reason)


def _consume(sent: asyncio.Future[Any]) -> None:
    # A connection that broke while it was written to is dealt with in on_close.
    if not sent.cancelled():
        sent.exception()
