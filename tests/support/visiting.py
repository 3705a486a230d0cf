"""A browser that visits the service's pages, as far as cookies, tokens and the WebSocket go."""

import asyncio
import json
import re
from contextlib import asynccontextmanager

from tornado.httpclient import HTTPRequest
from tornado.web import create_signed_value
from tornado.websocket import websocket_connect


class Browser:
    """What a browser would send for somebody who has logged in: a signed cookie, and the page's XSRF token."""

    def __init__(self, running, who):
        self.running = running
        secret = (running.service.state_dir / "page-cookie-secret").read_bytes()
        signed = create_signed_value(secret, "service-emberhub", f"{who}-token").decode()
        self.cookies = {"service-emberhub": signed}
        self.xsrf = ""

    def headers(self, **more):
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {"Cookie": cookie, "User-Agent": "test", **more}

    async def get(self, path="", streaming_callback=None, **more):
        headers = self.headers(**{"Sec-Fetch-Mode": "navigate", **more})
        request = HTTPRequest(
            self.running.base + path, headers=headers, follow_redirects=False, streaming_callback=streaming_callback
        )
        return await self.running.http.fetch(request, raise_error=False)

    async def open(self):
        """Load the page, and take over its token."""
        answer = await self.get()
        assert answer.code == 200, answer.body
        for cookie in answer.headers.get_list("Set-Cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        text = answer.body.decode()
        self.xsrf = re.search(r'data-xsrf="([^"]+)"', text)[1]
        return text

    async def act(self, method, path, body=None, **more):
        """A request of the page's script."""
        headers = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin", "X-XSRFToken": self.xsrf, **more}
        return await self.running.call(method, path, body, who=None, headers=self.headers(**headers))

    @asynccontextmanager
    async def live(self, hello=None, origin=None, query=""):
        """The page's WebSocket, as what it was sent so far put together."""
        base = self.running.base.replace("http:", "ws:")
        headers = self.headers(Origin=origin or self.running.base.rpartition("/services")[0])
        socket = await websocket_connect(HTTPRequest(f"{base}live{query}", headers=headers))
        try:
            await socket.write_message(json.dumps({"xsrf": self.xsrf} if hello is None else hello))
            yield Seen(socket)
        finally:
            socket.close()


class Seen:
    def __init__(self, socket):
        self.socket = socket
        self.rows, self.pool, self.me, self.events = {}, None, None, []
        self.text = ""
        self.messages = 0

    async def hear(self, seconds=10):
        """Take in one message; False if the socket was closed, or none came."""
        try:
            text = await asyncio.wait_for(self.socket.read_message(), seconds)
        except TimeoutError:
            return False
        if text is None:
            return False
        self.text += text
        self.messages += 1
        update = json.loads(text)
        self.me = update.get("me", self.me)
        self.pool = update.get("pool", self.pool)
        self.events += update.get("events", [])
        self.rows |= {row["id"]: row for row in update.get("rows", ())}
        for gone in update.get("gone", ()):
            del self.rows[gone]
        return True

    async def until(self, true, seconds=10):
        async with asyncio.timeout(seconds):
            while not true(self):
                assert await self.hear(), "the socket was closed"

    def users(self):
        return sorted({row["user"] for row in self.rows.values()})

    def names(self):
        return sorted(holder["user"] for holder in self.pool["holders"])
