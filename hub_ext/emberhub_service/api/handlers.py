"""From HTTP to the table of routes and back. Every answer of 400 and above is a `Problem`."""

from __future__ import annotations

import inspect
import logging
from typing import Any

import msgspec
from emberhub.errors import RequestRefused
from emberhub.wire import rest
from tornado.httputil import HTTPServerRequest
from tornado.web import HTTPError, RequestHandler, stream_request_body

from ..control.people import Person
from ..control.requests import Requests
from ..records import RecordsUnavailable
from .identity import Identity, WithIdentity
from .routes import Answer, Call, Operation, Route

log = logging.getLogger(__name__)

_SENTENCES = {
    400: "The request cannot be understood; correct it.",
    404: "There is nothing at this address; see api/openapi.json for what there is.",
    500: "Something went wrong in the service; try again, and tell your administrator if it stays so.",
}


class ProblemHandler(RequestHandler):
    """Answers errors as `Problem`, and nothing that a cache may keep."""

    def set_default_headers(self) -> None:
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None, None))[1]
        message = _SENTENCES.get(status_code, _SENTENCES[400 if status_code < 500 else 500])
        if isinstance(error, RequestRefused):
            message = str(error)
            status_code = error.status
            self.set_status(status_code)
            if status_code == 401:
                self.set_header("WWW-Authenticate", "token")
            elif status_code == 405 and isinstance(self, ApiHandler):
                self.set_header("Allow", ", ".join(operation.method for operation in self.route.operations))
        elif isinstance(error, RecordsUnavailable):
            message, status_code = str(error), 503
            self.set_status(status_code)
        elif isinstance(error, HTTPError) and error.log_message and status_code < 500:
            message = error.log_message
        self.set_header("Content-Type", "application/json")
        self.finish(msgspec.json.encode(rest.Problem(status=status_code, message=message)))

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        if isinstance(value, RecordsUnavailable):
            log.error("%s", value)
        elif not isinstance(value, RequestRefused):
            super().log_exception(typ, value, tb)


class UnknownRoute(ProblemHandler):
    """Whatever is not in the table."""

    def prepare(self) -> None:
        raise RequestRefused(_SENTENCES[404], 404)


@stream_request_body
class ApiHandler(WithIdentity, ProblemHandler):
    """One route of the table."""

    SUPPORTED_METHODS = ("GET", "HEAD", "POST", "DELETE", "PATCH", "PUT", "OPTIONS")
    route: Route
    requests: Requests
    largest = rest.MAX_BODY

    def initialize(self, route: Route, requests: Requests, identity: Identity) -> None:
        self.route = route
        self.requests = requests
        self.set_identity(identity)
        self._chunks: list[bytes] = []
        self._length = 0

    async def prepare(self) -> None:
        if "token" in self.request.query_arguments:
            raise RequestRefused("Send the token in the Authorization header, never in an address.", 400)
        self._operation = self._find_operation()
        self.current_user = Person("") if self._operation.public else await self._who()

    async def _who(self) -> Person:
        """By the token that was sent; without one, by the cookie of a page of ours."""
        authorization = self.request.headers.get("Authorization")
        visitor = None if authorization else await self.identity.visitor(self)
        return visitor or await self.identity.person(authorization)

    def _find_operation(self) -> Operation:
        operations = self.route.operations
        found = next((o for o in operations if o.method == self.request.method), None)
        if found is None:
            methods = ", ".join(o.method for o in operations)
            raise RequestRefused(f"{self.request.method} is not possible here; use {methods}.", 405)
        return found

    def data_received(self, chunk: bytes) -> None:
        # A body that is too large is read to its end, or the sender would see a broken connection and no answer; the
        # server's own limit bounds that. It is not kept.
        self._length += len(chunk)
        if self._length <= self.largest:
            self._chunks.append(chunk)
        else:
            self._chunks.clear()

    async def _run(self, **path: str) -> None:
        if self._length > self.largest:
            raise RequestRefused(f"The body is larger than {self.largest >> 10} KiB; send less.", 413)
        body = decode(b"".join(self._chunks), self._operation.body) if self._operation.body else None
        query = {name: values[-1].decode("utf-8", "replace") for name, values in self.request.query_arguments.items()}
        answer = self._operation.call(Call(self.requests, self.current_user, path, query, body))
        answered: Answer = await answer if inspect.isawaitable(answer) else answer
        self.set_status(answered.status)
        self.set_header("Content-Type", answered.content_type)
        self.finish(answered.body if isinstance(answered.body, bytes) else msgspec.json.encode(answered.body))

    get = head = post = delete = patch = put = options = _run


def decode(body: bytes, wanted: type) -> Any:
    """The body as the struct that its route takes, or as it is. Raises RequestRefused."""
    if wanted is bytes:
        return body
    try:
        return msgspec.json.decode(body, type=wanted)
    except msgspec.ValidationError as wrong:
        known = ", ".join(wanted.__struct_fields__)  # type: ignore[attr-defined]
        raise RequestRefused(f"The body is not as it should be: {wrong}. Its fields are: {known}.", 400) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise RequestRefused("The body is not JSON; send one JSON object.", 400) from None


class OpenApiHandler(ProblemHandler):
    """The document, made once."""

    def initialize(self, document: bytes) -> None:
        self._document = document

    def get(self) -> None:
        self.set_header("Content-Type", "application/json")
        self.finish(self._document)


def log_request(handler: RequestHandler) -> None:
    """The access log: the path without its query, which may hold anything, and no header."""
    request: HTTPServerRequest = handler.request
    person = getattr(handler, "_current_user", None)
    status = handler.get_status()
    log.log(
        logging.INFO if status < 500 else logging.ERROR,
        "%d %s %s (%s) %.1f ms",
        status,
        request.method,
        request.path,
        person.name if isinstance(person, Person) and person.name else "-",
        1000 * request.request_time(),
    )
