"""The Livy-compatible endpoint: `livy/` under the service's prefix, for sparkmagic and other clients of Livy's."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import msgspec
from emberhub.errors import RequestRefused
from emberhub.wire import livy

from ..control.requests import Requests
from ..control.sessions import Sessions
from .handlers import ApiHandler, decode
from .identity import Identity
from .routes import Answer, Call, Operation, Route, number
from .server import pattern

PATH = "livy"
_MANY = 10_000


class LivyHandler(ApiHandler):
    """As the API, with room for data that is sent to Spark as code."""

    largest = livy.MAX_CODE


def livy_handlers(prefix: str, requests: Requests, identity: Identity, sessions: Sessions) -> list[tuple[Any, ...]]:
    """Handlers for all of it."""
    return [
        (pattern(prefix, route.path), LivyHandler, {"route": route, "requests": requests, "identity": identity})
        for route in _routes(sessions)
    ]


def _routes(sessions: Sessions) -> tuple[Route, ...]:
    def create(call: Call) -> Answer:
        return _json(sessions.create(call.person, call.body), 201)

    async def index(call: Call) -> Answer:
        return _json(await sessions.sessions(call.person, _page(call, "from", 0), _page(call, "size", 100)))

    async def show(call: Call) -> Answer:
        return _json(await sessions.session(call.person, _id(call)))

    async def state(call: Call) -> Answer:
        document = await sessions.session(call.person, _id(call))
        return _json({"id": document["id"], "state": document["state"]})

    async def delete(call: Call) -> Answer:
        return _json(await sessions.delete(call.person, _id(call)))

    async def log(call: Call) -> Answer:
        start, size = _page(call, "from", 0), _page(call, "size", 1000)
        return _json(await sessions.log(call.person, _id(call), start, size))

    async def run(call: Call) -> Answer:
        return Answer(await sessions.run(call.person, _id(call), decode(call.body, livy.CreateStatement)), 201)

    async def statements(call: Call) -> Answer:
        about = livy.List(_page(call, "from", 0), _page(call, "size", 100))
        return Answer(await sessions.ask(call.person, _id(call), about))

    async def read(call: Call) -> Answer:
        return Answer(await sessions.ask(call.person, _id(call), livy.Read(_id(call, "statement"))))

    async def cancel(call: Call) -> Answer:
        return Answer(await sessions.ask(call.person, _id(call), livy.Cancel(_id(call, "statement"))))

    one = f"{PATH}/sessions/{{id}}"
    return (
        Route(f"{PATH}/version", (Operation("GET", "What this is.", _version),)),
        Route(
            f"{PATH}/sessions",
            (Operation("GET", "My sessions.", index), Operation("POST", "Start one.", create, body=bytes)),
        ),
        Route(one, (Operation("GET", "A session.", show), Operation("DELETE", "End it.", delete))),
        Route(f"{one}/state", (Operation("GET", "Its state.", state),)),
        Route(f"{one}/log", (Operation("GET", "Its log.", log),)),
        Route(
            f"{one}/statements",
            (Operation("GET", "Its statements.", statements), Operation("POST", "Run one.", run, body=bytes)),
        ),
        Route(f"{one}/statements/{{statement}}", (Operation("GET", "A statement.", read),)),
        Route(f"{one}/statements/{{statement}}/cancel", (Operation("POST", "Cancel it.", cancel),)),
    )


def _version(_: Call) -> Answer:
    return _json({"url": "", "revision": "", "branch": "emberhub", "user": "", "version": metadata.version("emberhub")})


def _json(document: dict[str, Any], status: int = 200) -> Answer:
    return Answer(msgspec.json.encode(document), status)


def _id(call: Call, name: str = "id") -> int:
    text = call.path[name]
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise RequestRefused(f"There is no {text!r}: sessions and statements have numbers.", 404)
    return int(text)


def _page(call: Call, name: str, usual: int) -> int:
    return int(number(call, name, 0, _MANY)) if name in call.query else usual
