"""What a session has set on its driver, so that it can be set again on another.

It is kept here, and not by the driver or the service: it belongs to one session, a cluster can have several, and a
session is told apart only by its own client.
"""

from __future__ import annotations

import collections
import contextlib
import copy
import re
from collections.abc import Callable
from typing import Any

import grpc
from pyspark.sql.connect.proto import base_pb2, base_pb2_grpc

_NAME = r"((?:`[^`]+`|[\w.])+)"
_SQL = {
    "view": re.compile(
        rf"\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?:GLOBAL\s+)?TEMP(?:ORARY)?\s+VIEW\s+(?:IF\s+NOT\s+EXISTS\s+)?{_NAME}", re.I
    ),
    "function": re.compile(
        rf"\s*CREATE\s+(?:OR\s+REPLACE\s+)?TEMP(?:ORARY)?\s+FUNCTION\s+(?:IF\s+NOT\s+EXISTS\s+)?{_NAME}", re.I
    ),
    "setting": re.compile(rf"\s*SET\s+(?!TIME|CATALOG|VAR){_NAME}\s*=", re.I),
    "database": re.compile(rf"\s*USE\s+(?:(?:SCHEMA|DATABASE|NAMESPACE)\s+)?{_NAME}", re.I),
}
_ZONE, _ZONE_SETTING = re.compile(r"\s*SET\s+TIME\s+ZONE\b", re.I), "spark.sql.session.timeZone"
_MAKES = re.compile(rf"\s*CREATE\s+(?:OR\s+REPLACE\s+)?TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?{_NAME}", re.I)
_DROPS = re.compile(rf"\s*DROP\s+(VIEW|TABLE)\s+(?:IF\s+EXISTS\s+)?{_NAME}", re.I)
_RESETS = re.compile(r"\s*RESET(?:\s+`?([^\s`;]+))?", re.I)
_CACHES = re.compile(r"\s*CACHE\s", re.I)
_COMMENTS = re.compile(r"(?:\s|--[^\n]*|/\*.*?\*/)*", re.S)
"""What may stand before a statement."""
_GONE = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
)
"""What a driver answers that ends, or none: no word on whether it would have done what it was asked."""
_REGISTERS = {
    "register_function": ("function", "function_name"),
    "register_table_function": ("function", "function_name"),
    "register_data_source": ("data source", "name"),
}


class Memory:
    """See the module."""

    def __init__(self) -> None:
        self._settings: dict[str, str] = {}
        self._commands: dict[tuple[str, str], Any] = {}
        """What made each view, function and setting, in the order in which they were made."""
        self._cached = False
        self._sent = False
        self._tables: set[str] = set()
        """Those that were written: a driver without a catalogue of its own takes them with it."""
        self._template: Any = None
        """A request about settings, which says whose session this is."""

    def note(self, name: str, request: Any) -> None:
        """A call has succeeded."""
        if name == "Config":
            self._note_config(request)
        elif name == "AddArtifacts":
            self._sent = True
        elif name == "AnalyzePlan" and request.HasField("persist"):
            self._cached = True
        elif name == "ExecutePlan" and request.plan.HasField("command"):
            self._note_command(request)
        elif name == "ExecutePlan" and request.plan.root.catalog.HasField("set_current_database"):
            self._keep("database", request.plan.root.catalog.set_current_database.db_name, request)
        elif name == "ExecutePlan" and request.plan.root.catalog.HasField("drop_temp_view"):
            self._commands.pop(("view", request.plan.root.catalog.drop_temp_view.view_name), None)

    def _note_config(self, request: Any) -> None:
        self._template = request
        for pair in request.operation.set.pairs:
            self._settings[pair.key] = pair.value
            self._commands.pop(("setting", pair.key), None)
        for key in request.operation.unset.keys:
            self._settings.pop(key, None)
            self._commands.pop(("setting", key), None)

    def _note_command(self, request: Any) -> None:
        command = request.plan.command
        which = command.WhichOneof("command_type")
        if which == "create_dataframe_view":
            self._keep("view", command.create_dataframe_view.name, request)
        elif which == "write_operation":
            self._tables |= {command.write_operation.table.table_name} - {""}
        elif which == "write_operation_v2":
            self._tables.add(command.write_operation_v2.table_name)
        elif which in _REGISTERS:
            kind, field = _REGISTERS[which]
            self._keep(kind, getattr(getattr(command, which), field), request)
        elif which == "sql_command":
            self._note_sql(command.sql_command.input.sql.query or command.sql_command.sql, request)

    def _note_sql(self, text: str, request: Any) -> None:
        sql = _COMMENTS.sub("", text, count=1)
        for kind, pattern in _SQL.items():
            if found := pattern.match(sql):
                self._keep(kind, found[1].replace("`", ""), request)
        if _ZONE.match(sql):
            self._keep("setting", _ZONE_SETTING, request)
        if dropped := _DROPS.match(sql):
            self._commands.pop((dropped[1].lower(), dropped[2].replace("`", "")), None)
            self._tables.discard(dropped[2])
        if made := _MAKES.match(sql):
            self._tables.add(made[1])
        if reset := _RESETS.match(sql):
            self._reset(reset[1])
        self._cached = self._cached or _CACHES.match(sql) is not None

    def _reset(self, setting: str | None) -> None:
        """One setting is as it was at the beginning, or all are."""
        self._settings = {key: value for key, value in self._settings.items() if setting not in (None, key)}
        reset = [key for key in self._commands if key[0] == "setting" and setting in (None, key[1])]
        for key in reset:
            del self._commands[key]

    def _keep(self, kind: str, name: str, request: Any) -> None:
        for known in [*self._commands]:
            if known == (kind, name) or known[0] == kind == "database":  # there is one that is current
                del self._commands[known]
        self._commands[kind, name] = request

    def restore(self, channel: grpc.Channel, tell: Callable[[str], None]) -> str:
        """Set everything again on the driver behind this channel; returns what was kept and what was not.

        `tell` is called with what is being done: a view may need a job, and the job an executor. Where this is broken
        off, by whatever exception, nothing is forgotten: `leave` the driver then. Raises RpcError if the driver ends.
        """
        stub = base_pb2_grpc.SparkConnectServiceStub(channel)
        lost = [f"the setting {key}" for key, value in self._settings.items() if not self._set(stub, key, value)]
        made = self._repeat_all(stub, tell)
        gone = sorted(table for table in self._tables if not self._has(stub, table))
        lost += [f"the {_SINGULAR.get(kind, kind)} {name}" for kind, name in self._commands if (kind, name) not in made]
        lost += [f"the table {table}" for table in gone]
        self._commands = {key: command for key, command in self._commands.items() if key in made}
        self._tables.difference_update(gone)
        kept = {kind: [name for each, name in self._commands if each == kind] for kind in _PLURAL}
        said = ["settings", *(f"{_PLURAL[kind]} {', '.join(names)}" for kind, names in kept.items() if names)]
        if self._cached:
            lost.append("cached data")
            self._cached = False
        if self._sent:
            lost.append("data and files sent to the driver")
            self._sent = False
        return f"Kept: {'; '.join(said)}." + (f" Not kept: {'; '.join(lost)}." if lost else "")

    def _repeat_all(self, stub: Any, tell: Callable[[str], None]) -> set[tuple[str, str]]:
        """Make everything again, and return what could be: a view may need one that was made anew after it."""
        made: set[tuple[str, str]] = set()
        while True:
            before = len(made)
            for (kind, name), command in self._commands.items():
                if (kind, name) not in made:
                    tell(f"making the {_SINGULAR.get(kind, kind)} {name} again")
                    if _repeat(stub, command):
                        made.add((kind, name))
            if len(made) == before:
                return made

    def _has(self, stub: Any, table: str) -> bool:
        """Whether the new driver knows this table."""
        request = base_pb2.AnalyzePlanRequest(**self._who())
        request.schema.plan.root.read.named_table.unparsed_identifier = table
        return _does(lambda: stub.AnalyzePlan(request, wait_for_ready=True, timeout=_TIMEOUT))

    def _set(self, stub: Any, key: str, value: str) -> bool:
        request = copy.deepcopy(self._template)
        request.ClearField("client_observed_server_side_session_id")
        request.ClearField("operation")
        request.operation.set.pairs.add(key=key, value=value)
        return _does(lambda: stub.Config(request, wait_for_ready=True, timeout=_TIMEOUT))

    def leave(self, channel: grpc.Channel) -> None:
        """Have the driver end what it still does for the session, and forget it: it is to come anew."""
        stub = base_pb2_grpc.SparkConnectServiceStub(channel)
        request = base_pb2.ReleaseSessionRequest(**self._who(), allow_reconnect=True)
        with contextlib.suppress(grpc.RpcError):
            stub.ReleaseSession(request, timeout=_GOODBYE)

    def _who(self) -> dict[str, Any]:
        return {"session_id": self._template.session_id, "user_context": self._template.user_context}


_SINGULAR = {"view": "temporary view"}
_PLURAL = {"view": "temporary views", "function": "functions", "data source": "data sources"}
_TIMEOUT = 60.0
"""Seconds for what a driver does by itself, which has just started."""
_GOODBYE = 5.0


def _repeat(stub: Any, made: Any) -> bool:
    request = base_pb2.ExecutePlanRequest()
    request.CopyFrom(made)
    for field in ("client_observed_server_side_session_id", "operation_id", "request_options"):
        request.ClearField(field)
    # For as long as it takes: to learn the columns of a file may need a job, which waits for its turn.
    return _does(lambda: collections.deque(stub.ExecutePlan(request), maxlen=0))


def _does(call: Callable[[], object]) -> bool:
    """Whether the driver did it, or refused to. Raises RpcError where it ends."""
    try:
        call()
    except grpc.RpcError as error:
        if error.code() in _GONE:
            raise
        return False
    return True
