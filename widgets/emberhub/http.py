"""Requests to the service's REST API, with nothing but the standard library."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, MutableMapping
from typing import Any, TypeVar

import msgspec

from .errors import NotInHub, RequestRefused, ServiceUnavailable
from .wire import rest

ENV_URL = "EMBERHUB_URL"
ENV_PROFILE = "EMBERHUB_PROFILE"
ENV_TOKEN = "JUPYTERHUB_API_TOKEN"  # noqa: S105 (the name of a variable)

PATIENCE = 30.0
"""Seconds for which a request that may be repeated is repeated while the service restarts."""
_TIMEOUT = 30.0
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 2.0
_AWAY = frozenset({502, 503, 504})
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

Document = TypeVar("Document")
Tell = Callable[[str], None]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """An API does not redirect, and following would hand the token to wherever it points."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class Service:
    """The service's API at one address, for one user."""

    def __init__(self, url: str, token: str) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise NotInHub(
                f"{ENV_URL} is {url!r}, which is no address: set it to the service's, such as "
                "http://127.0.0.1:8000/services/emberhub"
            )
        self.url = url.rstrip("/")
        self._authorization = {"Authorization": f"token {token}"}
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
        if parts.hostname in LOOPBACK:
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)

    def sign(self, headers: MutableMapping[str, str]) -> None:
        """Say whose request it is, in the headers of one that somebody else sends."""
        headers.update(self._authorization)

    def __repr__(self) -> str:
        return f"<Emberhub service at {self.url}>"

    def get(
        self,
        path: str,
        answer: type[Document],
        *,
        wait: float = 0,
        patience: float = PATIENCE,
        tell: Tell | None = None,
    ) -> Document:
        """Read a document; while the service is away, try again for `patience` seconds and `tell` so.

        `wait` is how long, in seconds, the service may hold the answer back. Raises RequestRefused, ServiceUnavailable.
        """
        return self._patiently("GET", path, answer, None, wait=wait, patience=patience, tell=tell)

    def send(
        self,
        method: str,
        path: str,
        answer: type[Document],
        body: msgspec.Struct | None = None,
        *,
        patience: float = 0,
        tell: Tell | None = None,
    ) -> Document:
        """Send a change. It is sent again for `patience` seconds, for changes that may be made twice.

        Raises RequestRefused, ServiceUnavailable.
        """
        return self._patiently(method, path, answer, body, wait=0, patience=patience, tell=tell)

    def _patiently(
        self,
        method: str,
        path: str,
        answer: type[Document],
        body: msgspec.Struct | None,
        *,
        wait: float,
        patience: float,
        tell: Tell | None,
    ) -> Document:
        until = time.monotonic() + patience
        pause = _FIRST_PAUSE
        while True:
            try:
                return _decode(self._once(method, path, body, wait), answer, self.url)
            except ServiceUnavailable as away:
                if time.monotonic() + pause > until:
                    raise
                if tell:
                    tell(f"{away.what}; trying again")
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _once(self, method: str, path: str, body: msgspec.Struct | None, wait: float) -> bytes:
        request = urllib.request.Request(  # noqa: S310 (the scheme was checked in __init__)
            f"{self.url}/api/{path}",
            method=method,
            data=None if body is None else msgspec.json.encode(body),
            headers={"Accept": "application/json", "Content-Type": "application/json"} | self._authorization,
        )
        try:
            with self._opener.open(request, timeout=_TIMEOUT + wait) as response:
                data: bytes = response.read()
                return data
        except urllib.error.HTTPError as error:
            with error:
                raise self._refusal(error.code, error.read(rest.MAX_BODY)) from None
        except OSError as error:
            # URLError, refused and reset connections and timeouts are all OSErrors.
            reason = getattr(error, "reason", error)
            raise ServiceUnavailable(f"The Emberhub service at {self.url} does not answer ({reason})") from None
        except Exception as error:
            # http.client.HTTPException: the connection broke in the middle of an answer.
            raise ServiceUnavailable(f"The Emberhub service at {self.url} broke off its answer ({error!r})") from None

    def _refusal(self, status: int, body: bytes) -> RequestRefused | ServiceUnavailable:
        problem = _problem(body)
        if status in _AWAY:
            return ServiceUnavailable(problem or f"The Emberhub service at {self.url} is away (status {status})")
        if problem:
            return RequestRefused(problem, status)
        if status in {401, 403}:
            return RequestRefused(
                f"The hub refused the token in {ENV_TOKEN} (status {status}): it must belong to a user who holds the "
                "scope access:services!service=emberhub. Stop and start your notebook server, or ask your hub's "
                "administrator",
                status,
            )
        if status == 404:
            return RequestRefused(f"There is no Emberhub service at {self.url}: check {ENV_URL}", status)
        return RequestRefused(
            f"The Emberhub service at {self.url} answered with status {status}: tell your administrator", status
        )


def from_environment() -> Service:
    """The service that this process's environment names. Raises NotInHub."""
    url, token = os.environ.get(ENV_URL, ""), os.environ.get(ENV_TOKEN, "")
    missing = [name for name, value in ((ENV_URL, url), (ENV_TOKEN, token)) if not value]
    if missing:
        raise NotInHub(
            f"This process does not run in a hub with Emberhub: {' and '.join(missing)} not set. Open the notebook "
            f"from JupyterHub; or, to reach a hub from elsewhere, set {ENV_URL} to its service "
            f"(https://HUB/services/emberhub) and {ENV_TOKEN} to a token made at https://HUB/hub/token"
        )
    return Service(url, token)


def _decode(data: bytes, answer: type[Document], url: str) -> Document:
    if answer is bytes:
        return data  # type: ignore[return-value]
    try:
        return msgspec.json.decode(data, type=answer)
    except msgspec.DecodeError as error:
        raise RequestRefused(
            f"{url} answered with something else than Emberhub's {answer.__name__} ({error}): check {ENV_URL}, and "
            "that notebook and hub have the same version of emberhub",
            200,
        ) from None


def _problem(body: bytes) -> str:
    """The service's own sentence, or an empty string where somebody else answered."""
    try:
        return msgspec.json.decode(body, type=rest.Problem).message
    except msgspec.DecodeError:
        pass
    try:
        # JupyterHub and its proxy answer with HTML or with a "message" of their own.
        message = json.loads(body).get("message")
    except (ValueError, AttributeError):
        return ""
    return message if isinstance(message, str) else ""
