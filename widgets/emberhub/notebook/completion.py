"""What the Tab key offers in `%ember` and `%%sql`."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Any

from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher

from .. import client
from ..errors import EmberhubError
from ..http import from_environment
from ..wire import rest

COMMANDS = ("start", "status", "why", "scale", "stop", "panel", "launcher")
_OPTIONS = {"start": ("--profile", "--executors", "--name")}
_SQL_OPTIONS = ("-n", "-o", "--chart")
_FRESH = 10.0
"""Seconds for which a list of names is used again."""
_TABLE = re.compile(r"\b(?:from|join|into|table|describe|update)\s+[\w.`]*$", re.IGNORECASE)
_KEYWORDS = ("SELECT", "FROM", "WHERE", "GROUP BY", "HAVING", "ORDER BY", "LIMIT", "JOIN", "SHOW TABLES", "DESCRIBE")


class Names:
    """Names that cost a question, kept for a while. Nothing is asked of a cluster that does not run."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._kept: dict[str, tuple[float, tuple[str, ...]]] = {}

    def _keep(self, what: str, ask: Callable[[], Sequence[str]]) -> tuple[str, ...]:
        at, names = self._kept.get(what, (float("-inf"), ()))
        if time.monotonic() - at > _FRESH:
            try:
                names = tuple(ask())
            except Exception:
                # Whatever it is, a query will say it; the Tab key is no place for it.
                names = ()
            self._kept[what] = (time.monotonic(), names)
        return names

    def profiles(self) -> tuple[str, ...]:
        """The profiles that this user may have."""
        return self._keep("profiles", _profiles)

    def tables(self) -> tuple[str, ...]:
        """Tables and temporary views of the session."""
        return self._keep("tables", self._tables)

    def _tables(self) -> list[str]:
        cluster = self._shell.user_ns.get("cluster")
        if not isinstance(cluster, client.Cluster) or not cluster.status().ready:
            raise EmberhubError
        return [str(table.name) for table in cluster.spark.catalog.listTables()]


def _profiles() -> list[str]:
    return [each.name for each in from_environment().get("profiles", rest.Profiles, patience=0).profiles]


def offers(before: str, names: Names) -> tuple[str, ...]:
    """What may come next after this text, up to the cursor; empty where it is none of ours."""
    line = before.rpartition("\n")[2]
    if before.lstrip().startswith("%%sql"):
        if line.lstrip().startswith("%%sql"):
            return _SQL_OPTIONS
        return names.tables() if _TABLE.search(line) else (*names.tables(), *_KEYWORDS)
    if not line.lstrip().startswith("%ember "):
        return ()
    words = line.split()[1:]
    done = words if line.endswith(" ") else words[:-1]
    if not done:
        return COMMANDS
    return names.profiles() if done[-1] == "--profile" else _OPTIONS.get(done[0], ("--name",))


def matcher(shell: Any) -> Any:
    """A matcher for IPython's completer."""
    names = Names(shell)

    @context_matcher()  # type: ignore[untyped-decorator]
    def ember_matcher(context: CompletionContext) -> dict[str, Any]:
        before = _before(context)
        token = re.search(r"[\w.-]*$", before)
        begun = token[0] if token else ""
        found = [each for each in offers(before, names) if each.lower().startswith(begun.lower()) and each != begun]
        return {
            "completions": [SimpleCompletion(each) for each in found],
            "matched_fragment": begun,
            "suppress": bool(found),
        }

    ember_matcher.matcher_identifier = "emberhub"
    return ember_matcher


def _before(context: CompletionContext) -> str:
    lines = context.full_text.split("\n")
    return "\n".join([*lines[: context.cursor_line], lines[context.cursor_line][: context.cursor_position]])
