"""A user at a hub, over HTTP as a browser would: real log-in, real cookies, real XSRF tokens."""

from __future__ import annotations

import http.cookiejar
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

from emberhub.errors import EmberhubError

_TIMEOUT = 30.0


class Visitor:
    """One user in one browser. All methods raise EmberhubError where the hub answers with an error."""

    def __init__(self, hub: str, name: str) -> None:
        self.hub = hub
        self.name = name
        self._cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self._cookies)
        )

    @property
    def server(self) -> str:
        """Path of this user's notebook server."""
        return f"/user/{urllib.parse.quote(self.name)}"

    def log_in(self, password: str) -> None:
        """Fill in the log-in page."""
        form = "/hub/login?next=%2Fhub%2Fhome"
        self.page(form)
        self._send_form(form, username=self.name, password=password)

    def page(self, path: str) -> str:
        """The HTML of a page, wherever the hub sends the browser for it."""
        return self._open("GET", path).decode()

    def start_server(self, tell: Callable[[str], None]) -> None:
        """Press the button that starts the notebook server, and follow its progress until it is ready."""
        self._send_form("/hub/spawn")
        progress = f"/hub/api/users/{urllib.parse.quote(self.name)}/server/progress"
        with self._ask("GET", progress, {"X-XSRFToken": self._xsrf("/hub/")}, None, timeout=200) as events:
            for line in events:
                if not line.startswith(b"data:"):
                    continue
                event = json.loads(line[5:])
                tell(str(event.get("message", "")))
                if event.get("failed"):
                    raise EmberhubError(f"the notebook server did not start: {event.get('message')}")
                if event.get("ready"):
                    break
        # The first page of the server sends the browser to the hub and back, which sets the server's own cookies.
        self.page(f"{self.server}/lab")

    def new_token(self, *scopes: str) -> str:
        """A token of this user's with these scopes, for an hour."""
        path = f"/hub/api/users/{urllib.parse.quote(self.name)}/tokens"
        body = {"note": "emberhub demo", "expires_in": 3600, "scopes": list(scopes)}
        return str(self._json("POST", path, body, xsrf="/hub/")["token"])

    def put_notebook(self, path: str, notebook: dict[str, Any]) -> None:
        """Write a notebook into the user's home directory."""
        self.server_json("PUT", f"/api/contents/{urllib.parse.quote(path)}", {"type": "notebook", "content": notebook})

    def open_kernel(self, path: str) -> str:
        """Open a notebook with a Python kernel; returns the kernel's id."""
        body = {"path": path, "name": path, "type": "notebook", "kernel": {"name": "python3"}}
        return str(self.server_json("POST", "/api/sessions", body)["kernel"]["id"])

    def server_json(self, method: str, path: str, body: Any = None) -> Any:
        """One request to the user's own server."""
        return self._json(method, self.server + path, body, xsrf=f"{self.server}/")

    def headers(self, path: str) -> dict[str, str]:
        """What a WebSocket to the user's own server must bring along."""
        request = urllib.request.Request(self.hub + path)  # noqa: S310 (the hub's address is our own)
        self._cookies.add_cookie_header(request)
        return {"Cookie": request.get_header("Cookie", ""), "X-XSRFToken": self._xsrf(f"{self.server}/")}

    def _send_form(self, path: str, **fields: str) -> None:
        form = urllib.parse.urlencode({**fields, "_xsrf": self._xsrf("/hub/")})
        self._open("POST", path, {"Content-Type": "application/x-www-form-urlencoded"}, form.encode())

    def _json(self, method: str, path: str, body: Any, xsrf: str) -> Any:
        headers = {"Content-Type": "application/json", "X-XSRFToken": self._xsrf(xsrf)}
        answer = self._open(method, path, headers, None if body is None else json.dumps(body).encode())
        return json.loads(answer) if answer else None

    def _open(self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None) -> bytes:
        with self._ask(method, path, headers or {}, body) as answer:
            data: bytes = answer.read()
            return data

    def _ask(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None, timeout: float = _TIMEOUT
    ) -> Any:
        request = urllib.request.Request(  # noqa: S310 (the hub's address is our own)
            self.hub + path, method=method, data=body, headers={"Referer": self.hub + path, **headers}
        )
        where = f"{method} {path.partition('?')[0]}"
        try:
            return self._opener.open(request, timeout=timeout)
        except urllib.error.HTTPError as error:
            with error:
                raise EmberhubError(f"the hub answered {where} with {error.code} {error.reason}") from None
        except OSError as error:
            raise EmberhubError(f"the hub did not answer {where} ({getattr(error, 'reason', error)})") from None

    def _xsrf(self, path: str) -> str:
        """The hub and each server set a cookie of their own with this name, told apart by their paths."""
        found = [cookie for cookie in self._cookies if cookie.name == "_xsrf" and path.startswith(cookie.path)]
        best = max(found, key=lambda cookie: len(cookie.path), default=None)
        return (best.value or "").strip('"') if best else ""
