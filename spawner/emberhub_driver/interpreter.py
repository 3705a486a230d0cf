"""`python -m emberhub_driver.interpreter`: runs the statements of one Livy session, in a process of its own.

It is started when somebody first asks for a session, and uses classic PySpark in the driver's JVM: there, and only
there, `sc` and RDDs exist. It reads orders from its standard input, one JSON document a line, and writes events to its
standard output; what a statement's code prints to either goes elsewhere. When its input ends, so does it.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

import msgspec
from emberhub.wire.livy import MAX_OUTPUT, Kind, Output

if TYPE_CHECKING:
    from types import FrameType

    from .cells import Cells

_PROGRESS = 1.0
"""Seconds between looks at how far a statement is."""
_PRESS = 0.2
"""Seconds between attempts to cancel: code may be about to start its next job."""


class Order(msgspec.Struct, frozen=True, tag=True):
    """What the driver says."""


class Begin(Order, frozen=True):
    """First: how to reach the JVM."""

    session: int
    port: int
    secret: str


class Execute(Order, frozen=True):
    """Run this; there is never a second one under way."""

    number: int
    code: str
    kind: Kind


class Interrupt(Order, frozen=True):
    """Stop running this, if it still runs."""

    number: int


class End(Order, frozen=True):
    """Cancel what runs, and exit."""


class Event(msgspec.Struct, frozen=True, tag=True):
    """What the driver hears."""


class Ready(Event, frozen=True):
    """It takes statements."""


class Progress(Event, frozen=True):
    """How far the running statement is, from 0 to 1."""

    number: int
    value: float


class Done(Event, frozen=True):
    """A statement has ended."""

    number: int
    output: Output


decode_order = msgspec.json.Decoder(Begin | Execute | Interrupt | End).decode
decode_event = msgspec.json.Decoder(Ready | Progress | Done).decode
_encode = msgspec.json.Encoder(enc_hook=str).encode


class Interpreter:
    """The main thread runs statements; another one hears orders, cancels and reports progress."""

    def __init__(self, orders: int, events: BinaryIO) -> None:
        self._orders, self._events = orders, events
        self._work: queue.SimpleQueue[Execute] = queue.SimpleQueue()
        self._saying = threading.Lock()
        self._running: int | None = None
        self._cancelled: int | None = None
        self._armed = False
        """Whether an interrupt is for a statement's code."""
        self._spark: Any = None
        self._session = 0
        self._told = 0.0
        self._unread = b""

    def run(self) -> None:
        """Serve until the input ends, which ends the process."""
        begin = decode_order(self._read_line())
        assert isinstance(begin, Begin)
        self._session = begin.session
        from .classic import attach  # noqa: PLC0415 (Spark's Python side takes a second to load)

        self._spark = attach(begin.port, begin.secret)
        from .cells import Cells  # noqa: PLC0415

        context = self._spark.sparkContext
        cells = Cells({"spark": self._spark, "sc": context, "sqlContext": self._spark, "__name__": "__main__"})
        # After Spark, which installs a handler that would cancel everybody's jobs.
        signal.signal(signal.SIGINT, self._interrupted)
        threading.Thread(target=self._listen, daemon=True).start()
        self._say(Ready())
        while True:
            order = self._work.get()
            self._say(Done(order.number, self._execute(cells, order)))

    def _execute(self, cells: Cells, order: Execute) -> Output:
        from .cells import failed  # noqa: PLC0415

        output = failed(KeyboardInterrupt("The statement was cancelled."))
        self._running = order.number
        try:
            self._armed = True
            # No description: Spark's pages would show the code's first line instead of what runs.
            self._spark.sparkContext.setJobGroup(self._group(order.number), f"Livy statement {order.number}", True)
            output = self._query(order.code) if order.kind == "sql" else cells.run(order.code)
        except KeyboardInterrupt:
            pass  # It came at the very beginning or end.
        finally:
            self._armed = False
            self._running = None
        if len(_encode(output)) > MAX_OUTPUT:
            return failed(ValueError(f"The result is larger than {MAX_OUTPUT >> 20} MiB: show less, or fewer rows."))
        return output

    def _query(self, code: str) -> Output:
        from .classic import query  # noqa: PLC0415

        return query(self._spark, code)

    def _group(self, number: int) -> str:
        return f"livy-{self._session}-{number}"

    # --- orders ------------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        with contextlib.suppress(EOFError):
            while True:
                pause = None if self._running is None else _PROGRESS
                if self._cancelled is not None:
                    pause = _PRESS
                if not self._unread and not select.select([self._orders], [], [], pause)[0]:
                    self._look_after()
                    continue
                match decode_order(self._read_line()):
                    case Execute() as order:
                        self._work.put(order)
                    case Interrupt(number=number):
                        self._cancelled = number
                        self._look_after()
                    case End():
                        break
        running = self._running
        if running is not None:
            with contextlib.suppress(Exception):
                self._cancel(running)
        os._exit(0)  # Whatever the main thread is in.

    def _look_after(self) -> None:
        """Press on with cancelling, or tell how far the running statement is."""
        running, cancelled = self._running, self._cancelled
        try:
            if cancelled is not None and cancelled == running:
                self._cancel(cancelled)
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            elif cancelled is not None:
                self._cancelled = None
            elif running is not None and time.monotonic() - self._told >= _PROGRESS:
                self._told = time.monotonic()
                from .classic import progress  # noqa: PLC0415

                self._say(Progress(running, progress(self._spark.sparkContext, self._group(running))))
        except Exception as error:
            print(f"Spark does not say how it goes: {error}", file=sys.stderr)

    def _cancel(self, number: int) -> None:
        self._spark.sparkContext._jsc.sc().cancelJobGroup(self._group(number))

    def _interrupted(self, _number: int, frame: FrameType | None) -> None:
        """In the main thread. A call into the JVM must not be broken off, or the next one would get its answer: the
        call ends by itself, since its jobs are cancelled.
        """
        while frame is not None:
            if str(frame.f_globals.get("__name__", "")).startswith("py4j."):
                return
            frame = frame.f_back
        if self._armed:
            raise KeyboardInterrupt

    def _say(self, event: Event) -> None:
        with self._saying:
            self._events.write(_encode(event) + b"\n")
            self._events.flush()

    def _read_line(self) -> bytes:
        """The next line of the input. Raises EOFError at its end."""
        while b"\n" not in self._unread:
            data = os.read(self._orders, 1 << 16)
            if not data:
                raise EOFError
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line


def _private_streams() -> tuple[int, BinaryIO]:
    """Orders and events, on descriptors that a statement's code does not have: it gets an empty input, and what it
    writes to descriptor 1 goes into the session's log.
    """
    orders, events = os.dup(0), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    log: TextIO = sys.stderr
    sys.stdout = log
    return orders, events


def main() -> None:
    """Run the interpreter."""
    os.umask(0o077)
    orders, events = _private_streams()
    Interpreter(orders, events).run()


if __name__ == "__main__":
    main()
