"""The tornado application."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from emberhub.wire import agent
from tornado.httpserver import HTTPServer
from tornado.web import Application

from ..control.agents import Agents
from ..control.requests import Requests
from . import openapi, socket
from .handlers import ApiHandler, OpenApiHandler, UnknownRoute, log_request
from .identity import Identity
from .routes import ROUTES

DRAIN = 64 << 20
"""Bytes of a body that is too large which are read and thrown away, so that the refusal reaches its sender."""


def make_server(
    prefix: str,
    requests: Requests,
    agents: Agents,
    identity: Identity,
    heartbeat: float,
    *,
    cookie_secret: bytes,
    pages: Sequence[tuple[Any, ...]] = (),
) -> HTTPServer:
    """Everything under `prefix`, which ends in a slash. `pages` are handlers besides the API's."""
    handlers: list[tuple[Any, ...]] = [
        (pattern(prefix, route.path), ApiHandler, {"route": route, "requests": requests, "identity": identity})
        for route in ROUTES
    ]
    document = msgspec.json.encode(openapi.document(ROUTES, prefix.rstrip("/") or "/"))
    handlers.append((pattern(prefix, openapi.PATH), OpenApiHandler, {"document": document}))
    handlers.append((pattern(prefix, socket.PATH), socket.AgentSocket, {"agents": agents}))
    application = Application(
        [*handlers, *pages],
        default_handler_class=UnknownRoute,
        log_function=log_request,
        websocket_max_message_size=agent.MAX_MESSAGE,
        websocket_ping_interval=max(5.0, heartbeat),
        cookie_secret=cookie_secret,
        # A page is given its token by the service. Spark's pages lie below ours, and their scripts see our cookies.
        xsrf_cookie_kwargs={"httponly": True, "samesite": "Lax"},
    )
    return HTTPServer(application, max_body_size=DRAIN, xheaders=False)


def pattern(prefix: str, path: str) -> str:
    """The regular expression for a path of the table."""
    escaped = re.escape(prefix + path)
    return re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[A-Za-z0-9-]{1,80})", escaped) + "$"
