"""The result of a query as a table: pure. Whatever is in it, it is text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from typing import Any

from . import messages
from .query import count

WIDTH = 120
"""Characters of a value that are shown."""


@dataclass(frozen=True)
class Table:
    """Rows with their columns' names and types; `more` where the result has more rows than these."""

    columns: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[Any]]
    more: bool = False

    @property
    def caption(self) -> str:
        """How much of the result this is."""
        rows = count(len(self.rows), "row")
        return messages.TABLE_FIRST.say(rows=rows) if self.more else messages.TABLE_ALL.say(rows=rows)

    def html(self) -> str:
        """For a notebook."""
        heads = "".join(
            f'<th scope="col" style="{_align(kind)}">{escape(name)}<br><small>{escape(kind)}</small></th>'
            for name, kind in self.columns
        )
        body = "".join(f"<tr>{''.join(map(self._cell, row, self.columns))}</tr>" for row in self.rows)
        caption = f'<caption style="caption-side:bottom;text-align:left">{escape(self.caption)}</caption>'
        return f'<table class="emberhub-table">{caption}<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>'

    @staticmethod
    def _cell(value: Any, column: tuple[str, str]) -> str:
        inner = "<i>null</i>" if value is None else escape(shorten(value))
        return f'<td style="{_align(column[1])}">{inner}</td>'

    def text(self) -> str:
        """For a terminal."""
        lines = [[name for name, _ in self.columns]]
        lines += [["null" if value is None else shorten(value) for value in row] for row in self.rows]
        widths = [max(len(line[number]) for line in lines) for number in range(len(self.columns))]
        drawn = (
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        )
        return "\n".join([*drawn, self.caption])


def is_number(kind: str) -> bool:
    """Whether values of this Spark type are numbers."""
    return kind.startswith("decimal") or kind in {"tinyint", "smallint", "int", "bigint", "float", "double"}


def shorten(value: Any) -> str:
    """A value in one line of bounded length."""
    if isinstance(value, float):
        text = f"{value:.6g}"
    elif isinstance(value, bytes | bytearray):
        text = bytes(value[:WIDTH]).hex(" ")
    else:
        text = " ".join(str(value).split())
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def number(value: Any) -> float | None:
    """A value as a number to draw; None where it is none."""
    return float(value) if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else None


def _align(kind: str) -> str:
    return f"text-align:{'right' if is_number(kind) else 'left'};vertical-align:top"
