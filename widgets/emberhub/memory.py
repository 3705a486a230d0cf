"""What a session has set on its driver, so that it can be set again on another.

It is kept here, and not by the driver or the service: it belongs to one session, a cluster can have several, and a
session is told apart only by its own client.
"""

from __future__ import annotations

import copy
import re
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
    "zone": re.compile(r"\s*SET\s+(TIME\s+ZONE)\b", re.I),
}
_MAKES = re.compile(rf"\s*CREATE\s+(?:OR\s+REPLACE\s+)?TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?{_NAME}", re.I)
_DROPS = re.compile(rf"\s*DROP\s+(VIEW|TABLE)\s+(?:IF\s+EXISTS\s+)?{_NAME}", re.I)
_RESETS = re.compile(r"\s*RESET\b", re.I)
_CACHES = re.compile(r"\s*CACHE\s", re.I)
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

    def _note_sql(self, sql: str, request: Any) -> None:
        for kind, pattern in _SQL.items():
            if found := pattern.match(sql):
                self._keep("setting" if kind == "zone" else kind, found[1].replace("`", ""), request)
        if dropped := _DROPS.match(sql):
            self._commands.pop((dropped[1].lower(), dropped[2].replace("`", "")), None)
            self._tables.discard(dropped[2])
        if made := _MAKES.match(sql):
            self._tables.add(made[1])
        if _RESETS.match(sql):
            self._settings.clear()
            self._commands = {key: made for key, made in self._commands.items() if key[0] != "setting"}
        self._cached = self._cached or _CACHES.match(sql) is not None

    def _keep(self, kind: str, name: str, request: Any) -> None:
        for known in [*self._commands]:
            if known == (kind, name) or known[0] == kind == "database":  # there is one that is current
                del self._commands[known]
        self._commands[kind, name] = request

    def restore(self, channel: grpc.Channel) -> str:
        """Set everything again on the driver behind this channel; returns what was kept and what was not."""
        stub = base_pb2_grpc.SparkConnectServiceStub(channel)
        lost = [f"the setting {key}" for key, value in self._settings.items() if not self._set(stub, key, value)]
        kept: dict[str, list[str]] = {}
        made = self._repeat_all(stub)
        for kind, name in [*self._commands]:
            if (kind, name) in made:
                kept.setdefault(kind, []).append(name)
            else:
                lost.append(f"the {'temporary view' if kind == 'view' else kind} {name}")
                del self._commands[kind, name]
        gone = sorted(table for table in self._tables if not self._has(stub, table))
        self._tables.difference_update(gone)
        lost += [f"the table {table}" for table in gone]
        said = ["settings", *(f"{_PLURAL[kind]} {', '.join(kept[kind])}" for kind in _PLURAL if kind in kept)]
        if self._cached:
            lost.append("cached data")
            self._cached = False
        if self._sent:
            lost.append("data and files sent to the driver")
            self._sent = False
        return f"Kept: {'; '.join(said)}." + (f" Not kept: {'; '.join(lost)}." if lost else "")

    def _repeat_all(self, stub: Any) -> set[tuple[str, str]]:
        """Make everything again, and return what could be: a view may need one that was made anew after it."""
        made: set[tuple[str, str]] = set()
        while more := {key for key, command in self._commands.items() if key not in made and _repeat(stub, command)}:
            made |= more
        return made

    def _has(self, stub: Any, table: str) -> bool:
        """Whether the new driver knows this table."""
        request = base_pb2.AnalyzePlanRequest(
            session_id=self._template.session_id, user_context=self._template.user_context
        )
        request.schema.plan.root.read.named_table.unparsed_identifier = table
        try:
            stub.AnalyzePlan(request, wait_for_ready=True, timeout=_TIMEOUT)
        except grpc.RpcError:
            return False
        return True

    def _set(self, stub: Any, key: str, value: str) -> bool:
        request = copy.deepcopy(self._template)
        request.ClearField("client_observed_server_side_session_id")
        request.ClearField("operation")
        request.operation.set.pairs.add(key=key, value=value)
        try:
            stub.Config(request, wait_for_ready=True, timeout=_TIMEOUT)
        except grpc.RpcError:
            return False
        return True


_PLURAL = {"view": "temporary views", "function": "functions", "data source": "data sources"}
_TIMEOUT = 60.0
"""Seconds for one thing to be set again, on a driver that has just started."""


def _repeat(stub: Any, made: Any) -> bool:
    request = base_pb2.ExecutePlanRequest()
    request.CopyFrom(made)
    for field in ("client_observed_server_side_session_id", "operation_id", "request_options"):
        request.ClearField(field)
    try:
        for _ in stub.ExecutePlan(request, wait_for_ready=True, timeout=_TIMEOUT):
            pass
    except grpc.RpcError:
        return False
    return True
