"""Spark's own pages, behind the hub's login: `clusters/<id or name>/ui/`.

Only looking is possible. What Spark shows is made of what users have named, so that its pages are kept away from ours:
they may ask for nothing but themselves, and no window of ours is within their reach.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any
from urllib.parse import urlsplit

from emberhub.errors import RequestRefused
from emberhub.wire.agent import Endpoint
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.httputil import HTTPHeaders
from tornado.iostream import StreamClosedError
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from ..api.identity import Identity
from ..control.people import Person
from ..control.sparkui import SparkUi, signed
from .pages import Page

_PATH = r"clusters/([A-Za-z0-9-]{1,80})/ui(/.*)?$"
_TIMEOUT = 120.0
_LARGEST = 1 << 30
"""Bytes of one answer: an application's event log may be large."""
_ASKED = ("Accept", "Accept-Language", "If-Modified-Since", "If-None-Match", "User-Agent")
_ANSWERED = ("Content-Type", "Content-Disposition", "ETag", "Last-Modified", "Cache-Control")
_HOST = re.compile(r"^[A-Za-z0-9.-]+(:\d+)?$|^\[[0-9A-Fa-f:]+\](:\d+)?$")


def spark_pages(prefix: str, identity: Identity, uis: SparkUi) -> tuple[Any, ...]:
    """The handler for Spark's pages under `prefix`."""
    return re.escape(prefix) + _PATH, SparkPages, {"identity": identity, "uis": uis}


class SparkPages(Page):
    """A proxy for reading."""

    SUPPORTED_METHODS = ("GET", "HEAD")

    def initialize(self, identity: Identity, uis: SparkUi) -> None:  # type: ignore[override]  # as its route has it
        super().initialize(identity)
        self._uis = uis
        self._left: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when whoever asked has gone away: what is being sent to them then is never said to be sent."""

    async def get(self, cluster: str, path: str | None) -> None:
        person = await self._who(cluster)
        if person is None:
            return
        record = self._uis.find(person, cluster)
        base = f"{self.hub_auth.base_url}clusters/{cluster}/ui"
        if path is None:
            self.redirect(f"{base}/")
            return
        endpoint = await self._uis.endpoint(record)
        # As it was sent: it is Spark's to decode.
        rest = self.request.uri.removeprefix(base) if self.request.uri else "/"
        headers = {name: self.request.headers[name] for name in _ASKED if name in self.request.headers}
        headers |= {"Authorization": f"Bearer {signed(record)}", "X-Forwarded-Context": base}
        await self._fetch(endpoint, rest, headers, base)

    head = get

    async def _who(self, cluster: str) -> Person | None:
        """Whoever may look; else they are sent to log in. What a page of this cluster loads needs no XSRF token."""
        if "token" in self.request.query_arguments:
            raise RequestRefused("Send the token in the Authorization header, never in an address.", 400)
        person = await self.identity.visitor(self)
        if person is None and self._from_these_pages(cluster):
            person = await self.identity.visitor(self, xsrf=False)
        self.current_user = person
        if person is None:
            if self.request.headers.get("Sec-Fetch-Mode", "navigate") != "navigate":
                raise RequestRefused("Log in at the hub first, and load this page again.", 401)
            self.redirect(self.get_login_url())
        return person

    def _from_these_pages(self, cluster: str) -> bool:
        referrer = urlsplit(self.request.headers.get("Referer", ""))
        return (
            self.request.headers.get("Sec-Fetch-Site") == "same-origin"
            and referrer.netloc.lower() == self._host().lower()
            and referrer.path.startswith(f"{self.hub_auth.base_url}clusters/{cluster}/ui/")
        )

    def on_connection_close(self) -> None:
        if not self._left.done():
            self._left.set_result(None)

    def _host(self) -> str:
        """What the browser calls this server."""
        host = self.request.headers.get("X-Forwarded-Host") or self.request.host
        return host if _HOST.match(host) else ""

    async def _fetch(self, endpoint: Endpoint, rest: str, headers: dict[str, str], base: str) -> None:
        where = f"http://{endpoint.host}:{endpoint.port}"
        client = AsyncHTTPClient(force_instance=True, max_body_size=_LARGEST)
        assert isinstance(client, SimpleAsyncHTTPClient)
        received = HTTPHeaders()

        def hear(line: str) -> None:
            if line.startswith("HTTP/"):
                self.set_status(int(line.split()[1]))
            elif line.strip():
                received.parse_line(line)
            else:
                self._pass_on(received, where, base)

        async def take(chunk: bytes) -> None:
            # No faster than it is read. For somebody who has left, nothing is kept of it.
            if not self._left.done():
                self.write(chunk)
                sent = asyncio.ensure_future(self.flush())
                await asyncio.wait([sent, self._left], return_when=asyncio.FIRST_COMPLETED)
                if not sent.cancel():
                    sent.exception()

        request = HTTPRequest(
            where + rest,
            method="GET",
            headers=headers,
            header_callback=hear,
            streaming_callback=take,
            follow_redirects=False,
            decompress_response=False,
            connect_timeout=10,
            request_timeout=_TIMEOUT,
        )
        try:
            await client.fetch(request, raise_error=False)
        except (OSError, HTTPClientError, StreamClosedError):
            if self._left.done():
                return
            raise RequestRefused("Spark's pages do not answer; see whether the cluster still runs.", 502) from None
        finally:
            client.close()
        if not self._left.done():
            self.finish()

    def _pass_on(self, received: HTTPHeaders, where: str, base: str) -> None:
        for name in _ANSWERED:
            if name in received:
                self.set_header(name, received[name])
        target = received.get("Location")
        if target is not None:
            # Spark knows itself by the address that it was asked at.
            inner = target.removeprefix(where)
            self.set_header("Location", inner if inner.startswith(base) else base + inner)
        # Spark's own policy holds as well, where it sends one.
        self.set_header("Content-Security-Policy", self._policy(base))
        if own := received.get("Content-Security-Policy"):
            self.add_header("Content-Security-Policy", own)

    def _policy(self, base: str) -> str:
        """Spark's pages ask for nothing but themselves, and are in nobody's frame."""
        host = self._host()
        here = f"http://{host}{base}/ https://{host}{base}/" if host else "'self'"
        return f"connect-src {here}; form-action {here}; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
