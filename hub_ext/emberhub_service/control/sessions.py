"""Livy sessions: whose they are, which cluster each belongs to, and what its driver says of it.

A session belongs to one start of its user's cluster, and ends with that. It is written down, so that a restart of the
service loses none; its statements and their results are kept by the driver.
"""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from emberhub.errors import RequestRefused
from emberhub.wire import livy, rest

from ..records import ENDED, ClusterRecord, Records, SessionRecord
from .people import Person
from .questions import Questions
from .requests import Requests
from .state import State

log = logging.getLogger(__name__)

MOST = 4
"""Sessions of one cluster at a time: each is a process beside its driver."""
_KINDS: dict[str, livy.Kind] = {"pyspark": "pyspark", "pyspark3": "pyspark", "sql": "sql"}
_NOT_OFFERED = (
    "There are no sessions of kind {kind} here: choose the kind pyspark (language Python), in which spark.sql() runs"
    " SQL as well, or the kind sql."
)
_KNOWN = frozenset({"kind", "name", "conf", "heartbeatTimeoutInSecond", "cluster", "profile"})
_NEVER = frozenset({"proxyUser", "jars", "pyFiles", "files", "archives"})
"""What would change what a statement does, or as whom."""


class Sessions:
    """Everything that the Livy endpoint can do. Each method raises RequestRefused as `Requests` does."""

    def __init__(self, state: State, records: Records, requests: Requests, questions: Questions, prefix: str) -> None:
        """`prefix` is the path that all of the service is under."""
        self._prefix = prefix
        self._state, self._records = state, records
        self._requests, self._questions = requests, questions

    # --- sessions ---

    def create(self, person: Person, sent: bytes) -> dict[str, Any]:
        """A new session, in the person's own cluster, which is started if need be."""
        body, note = _read(sent)
        kind = _KINDS.get(body.kind.lower())
        if kind is None:
            raise RequestRefused(_NOT_OFFERED.format(kind=body.kind[:20]), 400)
        mine = self._records.sessions(person.name)
        dead = [session.id for session in mine if self._dead(session)]
        if len(mine) - len(dead) >= MOST:
            running = ", ".join(str(session.id) for session in mine if session.id not in dead)
            raise RequestRefused(
                f"You have {MOST} sessions ({running}), which is the most; delete one, or stop its notebook.", 400
            )
        ask = _cluster(body)
        cluster, _ = self._requests.create(person, ask)
        record = self._state.record(cluster.id)
        assert record is not None
        runs = record.status in ("starting", "running")
        self._records.delete_sessions(dead)
        session = self._records.insert_session(
            SessionRecord(
                id=0,
                user=person.name,
                cluster=record.id,
                generation=record.generation + (not runs),
                kind=kind,
                name=body.name or "",
                heartbeat=body.heartbeat or 0.0,
                note=note,
            )
        )
        log.info("%s has Livy session %d in cluster %s", person.name, session.id, record.id)
        return self._document(session, "starting", ())

    async def sessions(self, person: Person, start: int, size: int) -> dict[str, Any]:
        """The person's own."""
        mine = self._records.sessions(person.name)
        documents = [await self._show(session) for session in mine[start : start + size]]
        return {"from": start, "total": len(mine), "sessions": documents}

    async def session(self, person: Person, number: int) -> dict[str, Any]:
        """One session. Its interpreter is started as soon as its cluster takes work."""
        return await self._show(self._find(person, number))

    async def delete(self, person: Person, number: int) -> dict[str, Any]:
        """End a session, and forget it; its cluster goes on."""
        session = self._find(person, number)
        if self._phase(session) == "running":
            await self._questions.ask(session.cluster, session.id, livy.Close())
        self._records.delete_sessions([session.id])
        return {"msg": "deleted"}

    async def log(self, person: Person, number: int, start: int, size: int) -> dict[str, Any]:
        """Its log: what its code wrote to its standard error, and what became of it."""
        session = self._find(person, number)
        lines = self._lines(session)
        if self._phase(session) == "running" and not lines:
            body = await self._questions.ask(session.cluster, session.id, livy.Log(start, size))
            document = msgspec.json.decode(body, type=livy.LogDocument)
            return {"id": number, "from": document.start, "total": document.total, "log": document.log}
        return {"id": number, "from": 0, "total": len(lines), "log": lines}

    # --- statements ---

    async def run(self, person: Person, number: int, body: livy.CreateStatement) -> bytes:
        """One more statement of a session."""
        session = self._find(person, number)
        kind = _KINDS.get((body.kind or session.kind).lower())
        if kind is None:
            raise RequestRefused(_NOT_OFFERED.format(kind=(body.kind or "")[:20]), 400)
        return await self._ask(session, livy.Run(body.code, kind))

    async def ask(self, person: Person, number: int, about: livy.AnyAsk) -> bytes:
        """Whatever the driver answers about a session."""
        return await self._ask(self._find(person, number), about)

    async def _ask(self, session: SessionRecord, about: livy.AnyAsk) -> bytes:
        phase = self._phase(session)
        if phase == "starting":
            raise RequestRefused("The session is still starting; wait until its state is idle.", 400)
        if phase == "ended":
            raise RequestRefused(" ".join(self._lines(session)), 400)
        return await self._questions.ask(session.cluster, session.id, about)

    # --- what is known of one ---

    def _find(self, person: Person, number: int) -> SessionRecord:
        found = next((each for each in self._records.sessions(person.name) if each.id == number), None)
        if found is None:
            raise RequestRefused(f"You have no session {number}; sessions end with their cluster. Start another.", 404)
        return found

    def _phase(self, session: SessionRecord) -> str:
        """`starting`, `running` or `ended`, as its cluster is."""
        record = self._state.record(session.cluster)
        if record is None or record.generation > session.generation or record.goal == "stopped":
            return "ended"
        if record.generation < session.generation or record.status == "starting":
            return "starting"
        return "ended" if record.status in ENDED or record.status == "stopping" else "running"

    def _dead(self, session: SessionRecord) -> bool:
        return self._phase(session) == "ended"

    async def _show(self, session: SessionRecord) -> dict[str, Any]:
        match self._phase(session):
            case "ended":
                return self._document(session, "dead", self._lines(session))
            case "starting":
                return self._document(session, "starting", self._lines(session))
        live = self._state.lives.get(session.cluster)
        if live is None or live.link is None or live.fresh:
            return self._document(session, "recovering", ("The driver is not heard from at the moment.",))
        body = await self._questions.ask(session.cluster, session.id, livy.Show(session.heartbeat))
        seen = msgspec.json.decode(body, type=livy.SessionDocument)
        return self._document(session, seen.state, seen.log)

    def _lines(self, session: SessionRecord) -> tuple[str, ...]:
        """What the service itself has to say of it: why it has no interpreter."""
        record = self._state.record(session.cluster)
        match self._phase(session):
            case "ended":
                return (_why(record, session.generation), "Start another session.")
            case "starting" if record is not None:
                return (self._state.view(record).message or "Its cluster is starting.",)
        return ()

    def _document(self, session: SessionRecord, state: str, lines: tuple[str, ...]) -> dict[str, Any]:
        record = self._state.record(session.cluster)
        live = self._state.lives.get(session.cluster)
        report = live.report if live is not None else None
        return {
            "id": session.id,
            "name": session.name or None,
            "owner": session.user,
            "proxyUser": session.user,
            "kind": session.kind,
            "state": state,
            "appId": report.application or None if report is not None else None,
            "appInfo": {"driverLogUrl": None, "sparkUiUrl": f"{self._prefix}clusters/{session.cluster}/ui/"},
            "cluster": record.name if record is not None else None,
            "log": [*([session.note] if session.note else []), *lines],
        }


def _read(sent: bytes) -> tuple[livy.CreateSession, str]:
    """What a client asks for, and what of it is passed over, as a sentence. Raises RequestRefused."""
    try:
        body = msgspec.json.decode(sent or b"{}", type=livy.CreateSession)
        more = {name for name, value in msgspec.json.decode(sent or b"{}").items() if value not in (None, [], {}, "")}
    except msgspec.DecodeError as wrong:
        raise RequestRefused(f"The session cannot be made: {wrong}.", 400) from None
    if never := sorted(more & _NEVER):
        raise RequestRefused(f"{', '.join(never)}: that cannot be chosen here; leave it out.", 400)
    others = sorted(more - _KNOWN)
    if not others:
        return body, ""
    return body, f"Not taken over, since the cluster's profile decides: {', '.join(others)[:500]}."


def _cluster(body: livy.CreateSession) -> rest.CreateCluster:
    """The cluster that a session wants. Raises RequestRefused."""
    conf = {name: value if isinstance(value, str) else _spark(value) for name, value in (body.conf or {}).items()}
    try:
        return msgspec.convert({"name": body.cluster, "profile": body.profile, "conf": conf}, rest.CreateCluster)
    except msgspec.ValidationError as wrong:
        raise RequestRefused(f"The session cannot be made: {wrong}.", 400) from None


def _spark(value: float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _why(record: ClusterRecord | None, generation: int) -> str:
    if record is None:
        return "Its cluster is gone."
    if record.generation > generation:
        what = f"The cluster {record.name} was started anew since then, and the session's variables are lost."
        return f"{what} {record.restarted}".rstrip()
    return f"The cluster {record.name} has ended. {record.message}".rstrip()
