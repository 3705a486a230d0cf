"""What a call of Spark Connect is for, by the name of its method and by its request."""

from __future__ import annotations

from typing import Any

_NO_WORK = {"ReleaseSession", "ReleaseExecute", "Interrupt", "FetchErrorDetails", "GetStatus"}
"""Calls about what a driver still has: not worth a new one."""
_CLEARING = ("remove_cached_remote_relation_command", "delete")
_MODELS = ("fit", "read", "create_summary")
ANSWERS = {"ExecutePlan", "ReattachExecute"}
"""Methods by which the results of a query come."""
_WORKS = {
    "sql_command",
    "write_operation",
    "write_operation_v2",
    "merge_into_table_command",
    "checkpoint_command",
    "ml_command",
}


def forgets(name: str, request: Any) -> bool:
    """Whether a driver that has obeyed this call runs the operation no more."""
    return name == "Interrupt" or (name == "ReleaseExecute" and bool(request.HasField("release_all")))


def tells_its_end(request: Any) -> bool:
    """Whether the last message of this plan's answer says so: of one that can be asked for again, after a break."""
    return any(option.reattach_options.reattachable for option in request.request_options)


def is_query(name: str, request: Any) -> bool:
    """Whether PySpark reports its progress: registering a function and listening to streams are not queries."""
    return name == "ExecutePlan" and (
        request.plan.HasField("root") or request.plan.command.WhichOneof("command_type") in _WORKS
    )


def only_clears(name: str, request: Any) -> bool:
    """Whether the call only lets go of something, as when Python forgets a model."""
    return name in _NO_WORK or ends(name, request) or _command(name, request) in _CLEARING


def ends(name: str, request: Any) -> bool:
    """Whether it is the last that a session says: as it is closed, or as Python ends."""
    return name == "ReleaseSession" or _command(name, request) == "clean_cache"


def makes_a_model(name: str, request: Any) -> bool:
    """Whether the driver then keeps a model, for as long as the session lives or until it is told to forget it."""
    return _command(name, request) in _MODELS


def _command(name: str, request: Any) -> str | None:
    """Which command the call is, if it is one; of those about models, which."""
    if name != "ExecutePlan" or not request.plan.HasField("command"):
        return None
    which = request.plan.command.WhichOneof("command_type")
    return str(request.plan.command.ml_command.WhichOneof("command") if which == "ml_command" else which)
