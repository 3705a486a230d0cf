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
    "zone": re.compile(r"\s*SET\s+(TIME\s+ZONE)\b", re.I),
}
_DROPS = re.compile(rf"\s*DROP\s+VIEW\s+(?:IF\s+EXISTS\s+)?{_NAME}", re.I)
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
        self._template: Any = None
        """A request about settings, which says whose session this is."""

    def note(self, name: str, request: Any) -> None:
        """A call has succeeded."""
        if name == "Config":
            self._note_config(request)
        elif name == "AnalyzePlan" and request.HasField("persist"):
            self._cached = True
        elif name == "ExecutePlan" and request.plan.HasField("command"):
            self._note_command(request)
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
            self._commands.pop(("view", dropped[1].replace("`", "")), None)
        if _RESETS.match(sql):
            self._settings.clear()
            self._commands = {key: made for key, made in self._commands.items() if key[0] != "setting"}
        self._cached = self._cached or _CACHES.match(sql) is not None

    def _keep(self, kind: str, name: str, request: Any) -> None:
        self._commands.pop((kind, name), None)
        self._commands[kind, name] = request

    def restore(self, channel: grpc.Channel) -> str:
        """Set everything again on the driver behind this channel; returns what was kept and what was not."""
        stub = base_pb2_grpc.SparkConnectServiceStub(channel)
        lost = [f"the setting {key}" for key, value in self._settings.items() if not self._set(stub, key, value)]
        kept: dict[str, list[str]] = {}
        for (kind, name), made in list(self._commands.items()):
            if _repeat(stub, made):
                kept.setdefault(kind, []).append(name)
            else:
                lost.append(f"the {'temporary view' if kind == 'view' else kind} {name}")
                del self._commands[kind, name]
        said = ["settings", *(f"{_PLURAL[kind]} {', '.join(kept[kind])}" for kind in _PLURAL if kind in kept)]
        if self._cached:
            lost.append("cached data")
            self._cached = False
        return f"Kept: {'; '.join(said)}." + (f" Not kept: {'; '.join(lost)}." if lost else "")

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
