"""The tornado application."""

from __future__ import annotations

import re

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


def make_server(prefix: str, requests: Requests, agents: Agents, identity: Identity, heartbeat: float) -> HTTPServer:
    """Everything under `prefix`, which ends in a slash."""
    handlers: list[tuple[object, ...]] = [
        (pattern(prefix, route.path), ApiHandler, {"route": route, "requests": requests, "identity": identity})
        for route in ROUTES
    ]
    document = msgspec.json.encode(openapi.document(ROUTES, prefix.rstrip("/") or "/"))
    handlers.append((pattern(prefix, openapi.PATH), OpenApiHandler, {"document": document}))
    handlers.append((pattern(prefix, socket.PATH), socket.AgentSocket, {"agents": agents}))
    application = Application(
        handlers,  # type: ignore[arg-type]
        default_handler_class=UnknownRoute,
        log_function=log_request,
        websocket_max_message_size=agent.MAX_MESSAGE,
        websocket_ping_interval=max(5.0, heartbeat),
    )
    return HTTPServer(application, max_body_size=DRAIN, xheaders=False)


def pattern(prefix: str, path: str) -> str:
    """The regular expression for a path of the table."""
    escaped = re.escape(prefix + path)
    return re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[A-Za-z0-9-]{1,80})", escaped) + "$"
