"""The service's side of the agent socket, for tests: it says what the test says, and keeps what it hears."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import tornado.httpserver
import tornado.netutil
import tornado.web
import tornado.websocket
from emberhub.wire import agent as wire

M = TypeVar("M", bound=wire.FromDriver)


class ServiceInTest:
    """Listens on 127.0.0.1 for any number of drivers; each is known by its cluster."""

    def __init__(self, *, lease: float = 60.0, heartbeat: float = 1.0, floor: int = 0) -> None:
        self.welcome: wire.Welcome | None = wire.Welcome(lease=lease, heartbeat=heartbeat, floor=floor)
        self.heard: dict[str, list[wire.FromDriver]] = {}
        self.headers: list[dict[str, str]] = []
        self.sockets: dict[str, tornado.websocket.WebSocketHandler] = {}
        self.silent = False
        """Accept nobody, and say nothing."""
        self._news = asyncio.Condition()
        self._server: tornado.httpserver.HTTPServer | None = None
        self._pinging: asyncio.Task[None] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/agent"

    async def open(self) -> None:
        sockets = tornado.netutil.bind_sockets(self.port, "127.0.0.1")
        self.port = sockets[0].getsockname()[1]
        application = tornado.web.Application([("/agent", _Handler, {"service": self})])
        self._server = tornado.httpserver.HTTPServer(application)
        self._server.add_sockets(sockets)
        self._pinging = asyncio.create_task(self._ping())

    async def close(self) -> None:
        if self._pinging is not None:
            self._pinging.cancel()
        for socket in list(self.sockets.values()):
            socket.close()
        if self._server is not None:
            self._server.stop()
            await self._server.close_all_connections()

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(0.3)
            if not self.silent:
                for cluster in list(self.sockets):
                    await self.say(cluster, wire.Ping())

    async def say(self, cluster: str, message: wire.FromService) -> None:
        try:
            await self.sockets[cluster].write_message(wire.encode(message))
        except (KeyError, tornado.websocket.WebSocketClosedError):
            return

    async def took(self, cluster: str, message: wire.FromDriver) -> None:
        async with self._news:
            self.heard.setdefault(cluster, []).append(message)
            self._news.notify_all()

    async def until(
        self,
        cluster: str,
        kind: type[M],
        holds: Callable[[M], bool] = lambda _message: True,
        *,
        within: float = 120.0,
        after: int = 0,
    ) -> M:
        """The first message of this kind for which `holds`, among those from the `after`-th on."""

        def found() -> M | None:
            heard = self.heard.get(cluster, [])[after:]
            return next((each for each in heard if isinstance(each, kind) and holds(each)), None)

        async with self._news:
            try:
                async with asyncio.timeout(within):
                    await self._news.wait_for(lambda: found() is not None)
            except TimeoutError:
                last = self.heard.get(cluster, [])[-3:]
                raise AssertionError(f"{cluster} sent no such {kind.__name__} in {within:g} s; last: {last}") from None
        message = found()
        assert message is not None
        return message

    def count(self, cluster: str) -> int:
        return len(self.heard.get(cluster, []))

    def report(self, cluster: str) -> wire.Report:
        """The last report."""
        return next(each for each in reversed(self.heard[cluster]) if isinstance(each, wire.Report))


class _Handler(tornado.websocket.WebSocketHandler):
    def initialize(self, service: ServiceInTest) -> None:
        self.service = service
        self.cluster = ""

    async def prepare(self) -> None:
        if self.service.silent:
            raise tornado.web.HTTPError(503)

    async def open(self, *_args: str, **_kwargs: str) -> None:
        self.cluster = self.request.headers[wire.HEADER_CLUSTER]
        self.service.headers.append(dict(self.request.headers))
        self.service.sockets[self.cluster] = self
        if self.service.welcome is not None:
            await self.write_message(wire.encode(self.service.welcome))

    async def on_message(self, message: str | bytes) -> None:
        await self.service.took(self.cluster, wire.decode_from_driver(message))

    def on_close(self) -> None:
        if self.service.sockets.get(self.cluster) is self:
            del self.service.sockets[self.cluster]


@asynccontextmanager
async def service_in_test(
    *, lease: float = 60.0, heartbeat: float = 1.0, floor: int = 0
) -> AsyncIterator[ServiceInTest]:
    service = ServiceInTest(lease=lease, heartbeat=heartbeat, floor=floor)
    await service.open()
    try:
        yield service
    finally:
        await service.close()
