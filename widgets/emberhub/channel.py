"""A gRPC channel that leads to a cluster's present driver.

A cluster that nobody uses is parked: its driver is stopped. PySpark's session holds one channel for ever, so this one
asks, before a call that comes after a pause or after a driver that did not answer, whether the driver is still there.
If the cluster had been parked it is started again, and the session goes on with the new driver.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import grpc
from pyspark.sql.connect.proto import base_pb2

from . import calls
from .errors import ClusterFailed
from .interrupts import Operations
from .memory import Memory
from .wire import rest

PAUSE = 10.0
"""Seconds without a call after which the next one asks first. Parking takes longer than that on any sensible site."""
GOODBYE = 5.0
"""Seconds in which a driver answers a session that ends. One that has gone does not hold up the end of a notebook."""
_LOST = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.CANCELLED)
"""What a driver that has gone answers, or another user's that got its port, or one that ends in the middle."""


class Move(NamedTuple):
    """Where a session goes on."""

    to: rest.Connection
    generation: int
    tell: Callable[[str], None]
    """Called with what is being done on the way."""
    done: Callable[[str], None]
    """Called when it is there, with what it kept, or why it is not."""


class Watcher(Protocol):
    """Somebody who is told of each query: work that Spark reports the progress of."""

    def began(self, operation: str) -> None:
        """The query is about to be sent."""
        ...

    def heard(self, operation: str, response: Any) -> None:
        """A message of its answer has come."""
        ...

    def ended(self, operation: str, error: BaseException | None) -> None:
        """Nobody reads its answer any more, because of this error."""
        ...


Resume = Callable[[int], Move | None]
"""Given the start (generation) that a session belongs to: where it goes on, or None if it may stay.

Raises ClusterFailed if it cannot go on.
"""


class Following(grpc.Channel):  # type: ignore[misc]
    """See the module. `open_channel` makes a plain channel to a driver."""

    def __init__(
        self,
        open_channel: Callable[[rest.Connection], grpc.Channel],
        to: rest.Connection,
        generation: int,
        resume: Resume,
    ) -> None:
        self.generation = generation
        """The start that the present driver is of."""
        self.client: weakref.ref[Any] | None = None
        """PySpark's client, once it is made."""
        self.watcher: Watcher | None = None
        self.operations: Operations | None = None
        self.models = False
        """Whether the session has made models, which its driver keeps."""
        self.present = open_channel(to)
        self._memory = Memory()
        self._open_channel, self._resume = open_channel, resume
        self._lock = threading.RLock()
        self._calls, self._quiet_since, self._doubt = 0, time.monotonic(), False
        self._executing: dict[str, Any] = {}
        """What was asked for, by operation, and has neither been answered to its end nor been given up."""

    # --- around each call ----------------------------------------------------------------------------------------

    def lead(self, name: str, request: Any) -> grpc.Channel:
        """The channel for a call that begins now. Raises ClusterFailed."""
        with self._lock:
            if (self._doubt or self._paused()) and not calls.only_clears(name, request):
                self._look()
            self._calls += 1
            self.models |= calls.makes_a_model(name, request)
            if name == "ExecutePlan":
                self._executing[request.operation_id] = request
            present = self.present
        client = self.client() if self.client is not None else None
        observed = getattr(request, "client_observed_server_side_session_id", "")
        if observed and client is not None and observed != client._server_session_id:
            # The request was made for the driver before.
            request.ClearField("client_observed_server_side_session_id")
        return present

    def ended(self, name: str, request: Any, code: grpc.StatusCode | None) -> None:
        """A call that was led has ended with this status."""
        with self._lock:
            self._calls -= 1
            self._quiet_since = time.monotonic()
            # Whoever has the whole answer lets go of it, and gRPC may call that cancelled.
            self._doubt = code in _LOST and (name not in calls.ANSWERS or request.operation_id in self._executing)
            if name not in calls.ANSWERS and code in (None, grpc.StatusCode.OK):
                self._memory.note(name, request)
            once = name == "ExecutePlan" and not calls.tells_its_end(request)
            if once and code is grpc.StatusCode.OK:
                self.complete(request.operation_id)
            if once or calls.forgets(name, request):
                self._executing.pop(request.operation_id, None)
        if self.operations is not None and code is None and calls.forgets(name, request):
            self.operations.over(request.operation_id)

    def executes(self, operation: str) -> bool:
        """Whether a driver was asked for this operation, and may still be at it."""
        with self._lock:
            return operation in self._executing

    def complete(self, operation: str) -> None:
        """The whole answer of this operation is here, by whichever call it came."""
        with self._lock:
            if request := self._executing.pop(operation, None):
                self._memory.note("ExecutePlan", request)
        if self.operations is not None:
            self.operations.over(operation)

    def cancel(self, operation: str, over: bool) -> None:
        """The cell that began this operation was interrupted; `over` if the driver need not be told."""
        if self.watcher is not None:
            self.watcher.ended(operation, KeyboardInterrupt())
        client = self.client() if self.client is not None else None
        if client is not None and not over:
            client.interrupt_operation(operation)

    def _paused(self) -> bool:
        return self._calls == 0 and time.monotonic() - self._quiet_since > PAUSE

    def _look(self) -> None:
        self._doubt = True  # until this has come to its end
        move = self._resume(self.generation)
        if move is not None:
            self._go_on(move)
        self._doubt, self._quiet_since = False, time.monotonic()

    def _go_on(self, move: Move) -> None:
        """Whatever happens on the way, the session is either there with all that could be kept, or where it was."""
        present = self._open_channel(move.to)
        try:
            kept = self._memory.restore(present, move.tell)
        except BaseException as error:
            # Elsewhere: an interrupt in the middle of gRPC can leave its channel locked for ever.
            leaving = threading.Thread(target=self._leave, args=(present,), name="emberhub-close", daemon=True)
            leaving.start()
            leaving.join(GOODBYE)
            move.done("Its settings and views are not set again yet: the next query begins with that.")
            if isinstance(error, grpc.RpcError):
                raise ClusterFailed(
                    "The driver stopped answering while settings and views were set again on it"
                    f" ({error.code().name.lower()}): run this again"
                ) from error
            raise
        old, self.present, self.generation = self.present, present, move.generation
        # Elsewhere: it ends calls that nobody reads any more, waits until they are told, and to be told takes our lock.
        threading.Thread(target=old.close, name="emberhub-close", daemon=True).start()
        client = self.client() if self.client is not None else None
        if client is not None:
            client._server_session_id = None
        move.done(kept)

    def _leave(self, present: grpc.Channel) -> None:
        self._memory.leave(present)
        present.close()

    # --- what a channel does -------------------------------------------------------------------------------------

    def unary_unary(self, method: str, *coders: Any, **options: Any) -> Any:
        return _Call(self, "unary_unary", method, coders, options)

    def unary_stream(self, method: str, *coders: Any, **options: Any) -> Any:
        return _Call(self, "unary_stream", method, coders, options)

    def stream_unary(self, method: str, *coders: Any, **options: Any) -> Any:
        return _Call(self, "stream_unary", method, coders, options)

    def stream_stream(self, method: str, *coders: Any, **options: Any) -> Any:
        return _Call(self, "stream_stream", method, coders, options)

    def subscribe(self, callback: Any, try_to_connect: bool = False) -> None:
        self.present.subscribe(callback, try_to_connect)

    def unsubscribe(self, callback: Any) -> None:
        self.present.unsubscribe(callback)

    def close(self) -> None:
        self.present.close()

    def __enter__(self) -> Following:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Call:
    """One remote method, on whichever channel is the present one."""

    def __init__(
        self, following: Following, kind: str, method: str, coders: tuple[Any, ...], options: dict[str, Any]
    ) -> None:
        self._following, self._kind, self._method = following, kind, method
        self._coders, self._options = coders, options
        self._name = method.rpartition("/")[2]
        self._made: tuple[grpc.Channel, Any] | None = None

    def __call__(self, request: Any, **options: Any) -> Any:
        following, name = self._following, self._name
        if name == "Interrupt" and request.operation_id and not following.executes(request.operation_id):
            # As of one that waited for its driver to come back. PySpark would try for long to reach the one before.
            return base_pb2.InterruptResponse(session_id=request.session_id)
        watcher = following.watcher if name in calls.ANSWERS else None
        if name == "ExecutePlan" and following.operations is not None:
            following.operations.begins(request.operation_id)
        if watcher is not None and calls.is_query(name, request):
            watcher.began(request.operation_id)
        ends = calls.ends(name, request)
        if ends:
            options["timeout"] = GOODBYE
        channel = following.lead(name, request)
        made = self._made
        if made is None or made[0] is not channel:
            made = self._made = channel, getattr(channel, self._kind)(self._method, *self._coders, **self._options)
        try:
            answer = made[1](request, **options)
        except BaseException as error:
            following.ended(
                name, request, error.code() if isinstance(error, grpc.RpcError) else grpc.StatusCode.UNKNOWN
            )
            if ends and isinstance(error, grpc.RpcError):
                raise _unanswered(error) from error
            raise
        if self._kind.endswith("unary"):
            following.ended(name, request, None)
        elif not answer.add_callback(lambda: following.ended(name, request, answer.code())):
            following.ended(name, request, answer.code())
        return _Heard(answer, following, request.operation_id, ends) if name in calls.ANSWERS else answer


class _Heard:
    """An answer that is passed on as it comes, and told."""

    def __init__(self, answer: Any, following: Following, operation: str, ends: bool) -> None:
        self._answer, self._following, self._operation, self._ends = answer, following, operation, ends
        self._watcher = following.watcher

    def __iter__(self) -> _Heard:
        return self

    def __next__(self) -> Any:
        try:
            response = next(self._answer)
        except grpc.RpcError as error:
            if self._ends:
                raise _unanswered(error) from error
            raise
        if self._watcher is not None:
            self._watcher.heard(self._operation, response)
        if response.HasField("result_complete"):
            self._following.complete(self._operation)
        return response

    def __getattr__(self, name: str) -> Any:
        return getattr(self._answer, name)

    def __del__(self) -> None:
        # Half read, and forgotten. gRPC's own would do the same, if no callback held it.
        self._answer.cancel()


def _unanswered(error: grpc.RpcError) -> ClusterFailed:
    """In place of an error after which Spark's client would try again, for long."""
    return ClusterFailed(f"The driver did not take leave of this session: {error.code().name.lower()}")
