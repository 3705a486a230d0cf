"""A quick chart of a table, as SVG: its first column against its first column of numbers. Pure."""

from __future__ import annotations

from html import escape
from math import isfinite

from . import messages
from .table import Table, is_number, number, shorten

WIDTH, ROW, LEFT, RIGHT = 640, 20, 160, 90
HEIGHT = 220
MOST_BARS = 25


def chart(table: Table) -> str:
    """A line where the first column is one of numbers, else bars. Raises ValueError where there is nothing to draw."""
    kinds = [kind for _, kind in table.columns]
    column = next((place for place in range(1, len(kinds)) if is_number(kinds[place])), None)
    if column is None or not any(number(row[column]) is not None for row in table.rows):
        raise ValueError(messages.NOTHING_TO_DRAW.say())
    names = table.columns[0][0], table.columns[column][0]
    pairs = [(row[0], y) for row in table.rows if (y := number(row[column])) is not None and isfinite(y)]
    if is_number(kinds[0]):
        points = sorted((x, y) for first, y in pairs if (x := number(first)) is not None and isfinite(x))
        return _line(points, names)
    return _bars([(shorten(first), y) for first, y in pairs[:MOST_BARS]], names)


def _bars(bars: list[tuple[str, float]], names: tuple[str, str]) -> str:
    low, high = min(0.0, *(y for _, y in bars)), max(0.0, *(y for _, y in bars))
    scale = (WIDTH - LEFT - RIGHT) / ((high - low) or 1.0)
    zero = LEFT - low * scale
    parts = []
    for place, (name, y) in enumerate(bars):
        top, left = place * ROW, min(zero, zero + y * scale)
        label = name if len(name) <= 24 else name[:23] + "…"
        parts.append(
            f'<text x="{LEFT - 6}" y="{top + 14}" text-anchor="end">{escape(label)}</text>'
            f'<rect x="{left:.1f}" y="{top + 3}" width="{abs(y) * scale:.1f}" height="{ROW - 6}"/>'
            f'<text x="{max(zero, zero + y * scale) + 5:.1f}" y="{top + 14}">{y:.6g}</text>'
        )
    return _svg("".join(parts), len(bars) * ROW + 4, names, f"{len(bars)} bars")


def _line(points: list[tuple[float, float]], names: tuple[str, str]) -> str:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    wide, tall = (max(xs) - min(xs)) or 1.0, (max(ys) - min(ys)) or 1.0
    drawn = " ".join(
        f"{LEFT + (x - min(xs)) / wide * (WIDTH - LEFT - RIGHT):.1f},{10 + (max(ys) - y) / tall * (HEIGHT - 40):.1f}"
        for x, y in points
    )
    parts = (
        f'<polyline fill="none" stroke="currentColor" stroke-width="1.5" points="{drawn}"/>'
        f'<text x="{LEFT - 6}" y="14" text-anchor="end">{max(ys):.6g}</text>'
        f'<text x="{LEFT - 6}" y="{HEIGHT - 26}" text-anchor="end">{min(ys):.6g}</text>'
        f'<text x="{LEFT}" y="{HEIGHT - 8}">{min(xs):.6g}</text>'
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end">{max(xs):.6g}</text>'
    )
    return _svg(parts, HEIGHT, names, f"{len(points)} points")


def _svg(parts: str, height: int, names: tuple[str, str], what: str) -> str:
    title = escape(f"{names[1]} by {names[0]}, {what}")
    return (
        f'<figure style="margin:0"><figcaption>{title}</figcaption><svg role="img" aria-label="{title}" '
        f'viewBox="0 0 {WIDTH} {height}" style="width:{WIDTH}px;max-width:100%;font:12px sans-serif" '
        f'fill="var(--jp-ui-font-color1, #333)" color="#b45309">{parts}</svg></figure>'
    )
