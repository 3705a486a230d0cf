"""A real HTTP server that plays the service with the wire types, and says what it was asked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from emberhub.wire import rest
from emberhub.wire.resources import Resources
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

TOKEN = "alice-token"
PREFIX = "/services/emberhub"

Answer = tuple[int, Any]


def a_cluster(**changes: Any) -> rest.Cluster:
    """A cluster that runs, with two executors."""
    executor = rest.ExecutorView("1", age=3.0, active_tasks=1, cached_bytes=0, shuffle_bytes=0, decommissioning=False)
    usual = rest.Cluster(
        id="c-1",
        name="main",
        user="alice",
        profile="small",
        queue="root",
        state="running",
        message="",
        executors=rest.ExecutorRange(0, 4),
        executor=Resources.of(cores=1, memory="1G"),
        wanted=2,
        granted=2,
        running=(executor, msgspec.structs.replace(executor, id="2")),
        reclaims=(),
        unmet=None,
        ready=True,
        generation=1,
        restarted="",
        created=0.0,
        version=1,
    )
    return msgspec.structs.replace(usual, **changes)


class Asked(msgspec.Struct):
    """One request as it arrived."""

    method: str
    path: str
    body: Any


class FakeService:
    """Answers what a test has put down, in order; the last answer stays."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.url = ""
        self._answers: dict[tuple[str, str], list[Answer | Callable[[], Answer]]] = {}

    def will(self, method: str, path: str, *answers: Any, status: int = 200) -> None:
        """Answer requests to `path` (under api/, without its query) with these documents in turn."""
        self._answers[method, path] = [each if isinstance(each, tuple) else (status, each) for each in answers]

    def refuse(self, method: str, path: str, status: int, message: str) -> None:
        """Answer with the service's own kind of error."""
        self.will(method, path, rest.Problem(status, message), status=status)

    def answer(self, asked: Asked) -> Answer:
        """What to say to this request."""
        self.asked.append(asked)
        waiting = self._answers.get((asked.method, asked.path.partition("?")[0]))
        assert waiting, f"nobody expected {asked}"
        answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        return answer() if callable(answer) else answer


class Handler(RequestHandler):
    service: FakeService

    def initialize(self, service: FakeService) -> None:
        self.service = service

    def _answer(self) -> None:
        if self.request.headers.get("Authorization") != f"token {TOKEN}":
            status, document = 403, rest.Problem(403, "Whose token is this?")
        else:
            path = self.request.uri.removeprefix(f"{PREFIX}/api/")
            body = msgspec.json.decode(self.request.body) if self.request.body else None
            status, document = self.service.answer(Asked(self.request.method, path, body))
        self.set_status(status)
        if status in {301, 302}:
            self.set_header("Location", document)
            return
        self.finish(document if isinstance(document, bytes) else msgspec.json.encode(document))

    get = post = patch = delete = _answer


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeService]:
    """The fake service, running, with the environment of alice's notebook."""
    fake = FakeService()
    started = threading.Event()
    stop: list[Callable[[], None]] = []

    async def serve() -> None:
        server = HTTPServer(Application([(r".*", Handler, {"service": fake})]))
        sockets = bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        fake.url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}{PREFIX}"
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        stop.append(lambda: loop.call_soon_threadsafe(over.set))
        started.set()
        await over.wait()
        server.stop()
        await server.close_all_connections()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert started.wait(10)
    monkeypatch.setenv("EMBERHUB_URL", fake.url)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", TOKEN)
    monkeypatch.delenv("EMBERHUB_PROFILE", raising=False)
    yield fake
    stop[0]()
    thread.join(10)
