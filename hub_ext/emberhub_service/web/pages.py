"""The page, what it is made of, and its WebSocket."""

from __future__ import annotations

import asyncio
import logging
from hmac import compare_digest
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from emberhub.errors import RequestRefused
from jupyterhub.services.auth import HubOAuthCallbackHandler
from tornado.template import Loader
from tornado.web import RedirectHandler, StaticFileHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from ..api.handlers import ProblemHandler
from ..api.identity import Identity, WithIdentity
from ..api.server import pattern
from ..control.people import Person
from .feed import MOST_PAGES, Feed, Viewer

log = logging.getLogger(__name__)

HERE = Path(__file__).parent
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing but our own files, and never inside another's page."""
CLOSE_LOGIN = 4401
"""The WebSocket's page must log in again."""
CLOSE_MANY = 4429
"""The person has too many pages open."""
_HELLO = 10.0
"""Seconds that a page has to show its XSRF token."""
_RECHECK = 60.0
"""Seconds between questions to the hub about who has a page open."""
_SENTENCES = {
    400: "The hub's answer to the login could not be used. Go back to the page, and it will ask again.",
    403: "You may not use this page. Ask your administrator for access to the service Emberhub.",
    404: "There is no such page. See your clusters instead.",
    503: "The hub cannot be asked who you are at the moment. Try again soon.",
}
_templates = Loader(str(HERE / "templates"))


def pages(prefix: str, identity: Identity, feed: Feed) -> list[tuple[Any, ...]]:
    """The handlers for the page under `prefix`."""
    me = {"identity": identity}
    return [
        (pattern(prefix, ""), HomePage, me),
        (pattern(prefix[:-1], ""), RedirectHandler, {"url": prefix, "permanent": False}),
        (pattern(prefix, "oauth_callback"), LoggedIn, me),
        (pattern(prefix, "live"), LiveSocket, {**me, "feed": feed}),
        (prefix + r"static/([a-z0-9.-]+)$", Static, {"path": str(HERE / "static")}),
    ]


class Page(WithIdentity, ProblemHandler):
    """Whatever a person looks at. Errors are pages, too."""

    def initialize(self, identity: Identity) -> None:
        self.set_identity(identity)

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("Referrer-Policy", "same-origin")
        # No window that another page of this host has opened can look into ours: Spark's pages least of all.
        self.set_header("Cross-Origin-Opener-Policy", "same-origin")

    async def visitor(self) -> Person | None:
        """Who looks; None if they must log in first."""
        if "token" in self.request.query_arguments:
            raise RequestRefused("Send the token in the Authorization header, never in an address.", 400)
        person = await self.identity.visitor(self)
        self.current_user = person
        return person

    def show(self, template: str, **values: Any) -> None:
        """Answer with a template's page."""
        self.set_header("Content-Type", "text/html; charset=UTF-8")
        hub = self.hub_auth.hub_host + self.hub_auth.hub_prefix
        self.finish(_templates.load(template).generate(hub=hub, prefix=self.hub_auth.base_url, **values))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None, None))[1]
        message = _SENTENCES.get(status_code, "Something went wrong in the service. Try again soon.")
        if isinstance(error, RequestRefused):
            status_code = error.status
            message = _SENTENCES.get(status_code, str(error))
            self.set_status(status_code)
        self.show("error.html", status=status_code, message=message)


class HomePage(Page):
    """The page itself: empty until its WebSocket tells it what there is."""

    async def get(self) -> None:
        person = await self.visitor()
        if person is None:
            self.redirect(self.get_login_url())
            return
        token = self.xsrf_token
        xsrf = token.decode() if isinstance(token, bytes) else token
        self.show("home.html", person=person, xsrf=xsrf)


class LoggedIn(HubOAuthCallbackHandler, Page):  # type: ignore[misc]  # the hub's package has no types
    """Where the hub sends a browser back to after its login."""


class Static(StaticFileHandler):
    """Scripts and styles. They hold nothing that is anybody's."""

    def set_extra_headers(self, path: str) -> None:
        del path
        # Asked for each time, and sent only when it has changed: after an update no page mixes two versions.
        self.set_header("Cache-Control", "no-cache")
        self.set_header("X-Content-Type-Options", "nosniff")


class Hello(msgspec.Struct, forbid_unknown_fields=True):
    """The first message from a page; later ones only ask whether anybody is there."""

    xsrf: str


class LiveSocket(WithIdentity, ProblemHandler, WebSocketHandler):
    """Keeps one page up to date. It tells nothing before the page has shown its XSRF token."""

    def initialize(self, identity: Identity, feed: Feed) -> None:
        self.set_identity(identity)
        self._feed = feed
        self._viewer: Viewer | None = None
        self._watch: asyncio.Task[None] | None = None

    def check_origin(self, origin: str) -> bool:
        # A browser cannot be made to lie about either header, and a proxy that changes the one sends the other.
        told = (self.request.headers.get(name) for name in ("Host", "X-Forwarded-Host"))
        return urlsplit(origin).netloc.lower() in {host.lower() for host in told if host}

    async def prepare(self) -> None:
        if "token" in self.request.query_arguments:
            raise RequestRefused("Send the token in the Authorization header, never in an address.", 400)
        # The token comes with the first message: a browser's handshake has no place for it.
        person = await self.identity.visitor(self, xsrf=False)
        if person is None:
            raise RequestRefused("Log in at the hub first; the page asks for it when it is opened again.", 401)
        self.current_user = person
        token = self.xsrf_token
        self._xsrf = token.decode() if isinstance(token, bytes) else token

    def open(self, *_: str, **__: str) -> None:
        self.set_nodelay(True)
        self._watch = asyncio.create_task(self._look_after())

    async def _look_after(self) -> None:
        """End the connection of a page that never says hello, or whose user has logged out."""
        await asyncio.sleep(_HELLO)
        if self._viewer is None:
            self.close(CLOSE_LOGIN, "The page did not say hello.")
            return
        while True:
            await asyncio.sleep(_RECHECK)
            try:
                person = await self.identity.visitor(self, fresh=True)
            except RequestRefused as refused:
                if refused.status == 503:
                    continue  # The hub is away: nobody is logged out by that.
                person = None
            if person is None or person.name != self._viewer.person.name:
                self.close(CLOSE_LOGIN, "Log in again.")
                return
            self._viewer.person = person

    def on_message(self, message: str | bytes) -> None:
        if self._viewer is not None:
            self.write_message("{}")  # It asks whether anybody is there.
            return
        try:
            hello = msgspec.json.decode(message, type=Hello)
        except (msgspec.DecodeError, RecursionError):
            hello = Hello("")
        if not compare_digest(hello.xsrf.encode(), self._xsrf.encode()):
            self.close(CLOSE_LOGIN, "The page is of an earlier login.")
            return
        viewer = Viewer(self.current_user, self._send)
        if not self._feed.join(viewer):
            self.close(CLOSE_MANY, f"You have {MOST_PAGES} of these pages open; close one.")
            return
        self._viewer = viewer

    async def _send(self, message: bytes) -> None:
        try:
            await self.write_message(message)
        except WebSocketClosedError:
            return

    def on_close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        if self._viewer is not None:
            self._feed.leave(self._viewer)
