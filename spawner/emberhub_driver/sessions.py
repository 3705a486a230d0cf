"""The Livy sessions of one driver: their statements and results, in order, each session over its own interpreter.

They live as long as the driver, whatever becomes of the service meanwhile. A session that was never asked for costs
nothing. Everything here happens in the event loop.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
from emberhub.errors import RequestRefused
from emberhub.wire import agent, livy
from msgspec.structs import replace

from .interpreter import Done, Event, Execute, Interrupt, Order, Progress, Ready

_SHOWN = 20
"""Lines of the log that are shown with a session."""
_LINES = 1000
_KEPT = 32 << 20
"""Bytes of results that a session keeps: older ones go."""
_WAITING = 100
"""Statements that may wait."""
_PAGE = 100
_SILENT = "Nobody asked about it any more, so the session was ended."
_CANCELLED = livy.Output("error", ename="Cancelled", evalue="The statement was cancelled.", traceback=())
_CLOSED = "It was ended as its user wished."


class Process(Protocol):
    """An interpreter's process."""

    def send(self, order: Order) -> None:
        """Say something to it; one that has ended takes it silently."""
        ...

    def end(self) -> None:
        """Have it cancel what it runs, and exit."""
        ...


class Listener(Protocol):
    """Who hears of a process."""

    def hear(self, event: Event) -> None:
        """It said something."""
        ...

    def note(self, line: str) -> None:
        """It logged something."""
        ...

    def ended(self, reason: str) -> None:
        """It has ended."""
        ...


Start = Callable[[int, Listener], Process]
"""Starts the process of the session with this number."""


class Session:
    """One session; a `Listener` to its own process."""

    def __init__(self, number: int, timeout: float, start: Start, clock: Callable[[], float]) -> None:
        self.state: livy.SessionState = "starting"
        self.timeout = timeout
        self.heard = clock()
        """When somebody last asked about it."""
        self._log: deque[str] = deque(maxlen=_LINES)
        self._logged = 0
        self._statements: list[livy.Statement] = []
        self._kinds: dict[int, livy.Kind] = {}
        self._forgotten = 0
        """Statements whose results are no longer kept; they are the first."""
        self._sizes: dict[int, int] = {}
        self._running: int | None = None
        self._deleted = False
        self._process = start(number, self)

    # --- what is asked -----------------------------------------------------------------------------------------------

    def show(self) -> livy.SessionDocument:
        """How it is."""
        return livy.SessionDocument(self.state, tuple(self._log)[-_SHOWN:])

    def log(self, start: int, size: int) -> livy.LogDocument:
        """Lines of its log."""
        first = self._logged - len(self._log)
        lines = list(self._log)[max(0, start - first) :][: max(0, size)]
        return livy.LogDocument(max(start, first), self._logged, tuple(lines))

    def run(self, code: str, kind: livy.Kind) -> livy.Statement:
        """One more statement. Raises RequestRefused."""
        if self.state not in ("starting", "idle", "busy"):
            raise RequestRefused("The session has ended; start another one.", 400)
        if len(self._kinds) >= _WAITING:
            raise RequestRefused(f"{_WAITING} statements wait already; wait until some of them are done.", 400)
        statement = livy.Statement(len(self._statements), code, "waiting")
        self._statements.append(statement)
        self._kinds[statement.id] = kind
        self._next()
        return self._statements[statement.id]

    def read(self, number: int) -> livy.Statement:
        """One statement. Raises RequestRefused."""
        if not 0 <= number < len(self._statements):
            raise RequestRefused(f"The session has no statement {number}.", 404)
        if number < self._forgotten:
            raise RequestRefused(f"The result of statement {number} is no longer kept; run it again.", 404)
        return self._statements[number]

    def list(self, start: int, size: int) -> livy.Statements:
        """Statements in order, as many as one answer holds."""
        first, room = max(start, self._forgotten, 0), livy.MAX_OUTPUT
        chosen: list[livy.Statement] = []
        for statement in self._statements[first : first + min(size, _PAGE)]:
            room -= self._sizes.get(statement.id, 0) + len(statement.code)
            if room < 0 and chosen:
                break
            chosen.append(statement)
        return livy.Statements(len(self._statements), tuple(chosen))

    def cancel(self, number: int) -> dict[str, str]:
        """Cancel a statement; one that is over stays so. Raises RequestRefused."""
        statement = self.read(number)
        if statement.state == "waiting":
            del self._kinds[number]
            self._settle(number, "cancelled", _CANCELLED)
        elif statement.state == "running":
            self._statements[number] = replace(statement, state="cancelling")
            self._process.send(Interrupt(number))
        return {"msg": "canceled"}

    def close(self, reason: str) -> None:
        """End it."""
        if self.state not in ("dead", "error", "killed", "shutting_down"):
            self.state = "shutting_down"
            self.note(reason)
            self._process.end()

    def delete(self) -> None:
        """End it, as its user wished, and then keep nothing of it but that it was there."""
        self._deleted = True
        self.close(_CLOSED)
        if self.state in ("dead", "error"):
            self._drop()

    def _drop(self) -> None:
        self._log.clear()
        self._statements.clear()
        self._sizes.clear()

    @property
    def busy(self) -> bool:
        """Whether a statement runs."""
        return self._running is not None

    # --- what the process says ---------------------------------------------------------------------------------------

    def hear(self, event: Event) -> None:
        match event:
            case Ready() if self.state == "starting":
                self.state = "idle"
                self._next()
            case Progress(number=number, value=value) if number == self._running:
                self._statements[number] = replace(self._statements[number], progress=value)
            case Done(number=number, output=output) if number == self._running:
                cancelled = self._statements[number].state == "cancelling" and output.status == "error"
                self._running = None
                self._settle(number, *(("cancelled", _CANCELLED) if cancelled else ("available", output)))
                if self.state == "busy":
                    self.state = "idle"
                self._next()

    def note(self, line: str) -> None:
        self._log.append(line)
        self._logged += 1

    def ended(self, reason: str) -> None:
        if self.state != "shutting_down":
            self.note(reason)
        self.state = "error" if self.state == "starting" else "dead"
        lost = livy.Output("error", ename="SessionEnded", evalue=self._log[-1] if self._log else reason, traceback=())
        for statement in self._statements:
            if statement.state not in livy.ENDED:
                self._settle(statement.id, "error", lost)
        self._running, self._kinds = None, {}
        if self._deleted:
            self._drop()

    # --- order -------------------------------------------------------------------------------------------------------

    def _next(self) -> None:
        """Run the first statement that waits, if nothing else runs."""
        if self._running is not None or not self._kinds or self.state not in ("idle", "busy"):
            return
        number = next(iter(self._kinds))
        self._running, self.state = number, "busy"
        statement = replace(self._statements[number], state="running", started=_milliseconds())
        self._statements[number] = statement
        self._process.send(Execute(number, statement.code, self._kinds.pop(number)))

    def _settle(self, number: int, state: livy.StatementState, output: livy.Output) -> None:
        done = replace(self._statements[number], state=state, output=output, completed=_milliseconds(), progress=1.0)
        self._statements[number] = done
        self._sizes[number] = len(msgspec.json.encode(done))
        while sum(self._sizes.values()) > _KEPT and self._forgotten < number:
            self._sizes.pop(self._forgotten, None)
            self._statements[self._forgotten] = replace(self._statements[self._forgotten], code="", output=None)
            self._forgotten += 1


class Sessions:
    """All sessions of a driver."""

    def __init__(self, start: Start, clock: Callable[[], float] = time.monotonic) -> None:
        self._start, self._clock = start, clock
        self._sessions: dict[int, Session] = {}

    @property
    def busy(self) -> bool:
        """Whether any statement runs."""
        return any(session.busy for session in self._sessions.values())

    def answer(self, question: agent.Question) -> agent.Answer:
        """Answer the service."""
        try:
            document, status = self._answer(question.session, question.about)
        except RequestRefused as refused:
            document, status = str(refused), refused.status
        return agent.Answer(question.number, msgspec.Raw(msgspec.json.encode(document)), status)

    def _answer(self, number: int, about: livy.AnyAsk) -> tuple[object, int]:
        session = self._sessions.get(number)
        if session is None and isinstance(about, livy.Show):
            session = self._sessions[number] = Session(number, about.timeout, self._start, self._clock)
        if session is None:
            if isinstance(about, livy.Close):
                return None, 200
            raise RequestRefused("The session does not take statements yet; wait until it is idle.", 400)
        session.heard = self._clock()
        return _DOES[type(about)](session, about), 201 if isinstance(about, livy.Run) else 200

    def resume(self) -> None:
        """The service is heard again: those who ask could not do so meanwhile."""
        for session in self._sessions.values():
            session.heard = self._clock()

    def tend(self) -> None:
        """End those that nobody asks about any more, as when a notebook is gone. To be called now and then."""
        now = self._clock()
        for session in self._sessions.values():
            if session.timeout and not session.busy and now - session.heard > session.timeout:
                session.close(_SILENT)

    def close(self) -> None:
        """The driver stops."""
        for session in self._sessions.values():
            session.close("Its cluster stops.")


_DOES: dict[type[livy.Ask], Callable[[Session, Any], object]] = {
    livy.Show: lambda session, _: session.show(),
    livy.Log: lambda session, about: session.log(about.start, about.size),
    livy.Run: lambda session, about: session.run(about.code, about.kind),
    livy.Read: lambda session, about: session.read(about.statement),
    livy.List: lambda session, about: session.list(about.start, about.size),
    livy.Cancel: lambda session, about: session.cancel(about.statement),
    livy.Close: lambda session, _: session.delete(),
}
"""What each question does."""


def _milliseconds() -> int:
    return int(time.time() * 1000)
