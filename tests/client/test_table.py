"""Results as tables and quick charts, without a notebook."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from emberhub.notebook.chart import MOST_BARS, chart
from emberhub.notebook.table import WIDTH, Table, shorten

TABLE = Table([("name", "string"), ("n", "bigint")], [("alpha", 3), (None, 1)], more=True)


def test_a_table_says_names_types_and_how_much_of_the_result_it_is() -> None:
    shown = TABLE.html()
    assert re.findall(r"<th[^>]*>([^<]*)<br><small>([^<]*)", shown) == [("name", "string"), ("n", "bigint")]
    assert "The first 2 rows of more" in shown
    assert "<i>null</i>" in shown
    assert '<td style="text-align:right;vertical-align:top">3</td>' in shown
    assert TABLE.text() == "name   n\nalpha  3\nnull   1\nThe first 2 rows of more: -n shows as many as you say."
    assert Table([("n", "int")], [(1,)]).caption == "1 row."


def test_nothing_in_a_table_is_markup() -> None:
    nasty = "<script>alert('x')</script>"
    shown = Table([(nasty, nasty)], [(nasty,), ({"a": nasty},), ([nasty],)]).html()
    assert "<script" not in shown
    assert shown.count("&lt;script&gt;") == 5
    assert "<script" not in chart(Table([(nasty, "string"), (nasty, "int")], [(nasty, 1)]))


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (1.23456789, "1.23457"),
        (Decimal("1.50"), "1.50"),
        ("two\nlines", "two lines"),
        (b"\x01\xff", "01 ff"),
        ("x" * 500, "x" * (WIDTH - 1) + "…"),
        (True, "True"),
    ],
)
def test_a_value_is_one_line_of_bounded_length(value: Any, told: str) -> None:
    assert shorten(value) == told


def test_words_and_numbers_give_bars() -> None:
    shown = chart(Table([("kind", "string"), ("x", "string"), ("n", "double")], [("a", "", 4.0), ("b", "", -2.0)]))
    assert 'aria-label="n by kind, 2 bars"' in shown
    widths = [float(width) for width in re.findall(r'<rect [^>]*width="([\d.]+)"', shown)]
    assert widths[0] == pytest.approx(2 * widths[1], abs=0.2)
    many = chart(Table([("kind", "string"), ("n", "int")], [(str(number), number) for number in range(100)]))
    assert many.count("<rect") == MOST_BARS


def test_numbers_give_a_line_in_their_order() -> None:
    rows = [(2, 1.0), (1, 3.0), (3, None), (4, float("nan"))]
    shown = chart(Table([("x", "int"), ("y", "double")], rows))
    assert 'aria-label="y by x, 2 points"' in shown
    (points,) = re.findall(r'points="([^"]*)"', shown)
    assert [point.split(",")[0] for point in points.split()] == ["160.0", "550.0"]


@pytest.mark.parametrize("columns", [[("a", "string")], [("n", "int"), ("a", "string")]])
def test_what_cannot_be_drawn_says_what_to_select(columns: list[tuple[str, str]]) -> None:
    with pytest.raises(ValueError, match="Select a first column"):
        chart(Table(columns, [tuple(0 for _ in columns)]))
    with pytest.raises(ValueError, match="nothing to draw"):
        chart(Table([("n", "int"), ("m", "int")], []))
