"""Constraints on labels (L): `site = cam & gpu in [a100, h100] & kernel > 4.10 & !spot`.

    expression  = all { "|" all }
    all         = term { "&" term }
    term        = "!" term | "(" expression ")" | label [ comparison ]
    comparison  = ( "=" | "!=" | "<" | "<=" | ">" | ">=" ) value | "in" "[" value { "," value } "]"

A label alone asks whether the pool has it; the values `false`, `no` and `0` say that it has not. Values are compared
part by part, numbers as numbers, so that 4.10 is after 4.9. A label that a pool does not have fails every comparison
but `!=`. Words need quotes only if they hold spaces or signs. An expression is parsed once and then remembered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

from emberhub.errors import EmberhubError

__all__ = ["Constraint", "ConstraintError", "parse"]

Labels = Mapping[str, str]
Test = Callable[[Labels], bool]

_TOKEN = re.compile(r"""\s*(?:(?P<sign>!=|<=|>=|==|[=<>!&|()\[\],])|"(?P<quoted>[^"]*)"|(?P<word>[\w.+/:*@-]+))""")
_PART = re.compile(r"\d+|[^\d.\-_+]+")
_ABSENT = {"false", "no", "0"}


class ConstraintError(EmberhubError, ValueError):
    """An expression that cannot be read; the message has a caret under the fault."""

    def __init__(self, why: str, text: str, at: int) -> None:
        super().__init__(f"{why}\n  {text}\n  {' ' * at}^")
        self.why = why
        self.at = at
        """Position of the fault in the expression, from 0."""


class Constraint(NamedTuple):
    """A parsed expression: its terms, all of which must hold, each with its own text."""

    text: str
    terms: tuple[tuple[str, Test], ...]

    def holds(self, labels: Labels) -> bool:
        """Whether labels satisfy every term; an empty expression always holds."""
        return all(test(labels) for _, test in self.terms)

    def failing(self, labels: Labels) -> str:
        """The text of the first term that labels do not satisfy, or an empty string."""
        return next((text for text, test in self.terms if not test(labels)), "")


@lru_cache(maxsize=1024)
def parse(text: str) -> Constraint:
    """Read an expression. Raises ConstraintError, with a caret under the fault."""
    if not text.strip():
        return Constraint(text, ())
    return _Reader(text).read()


class _Token(NamedTuple):
    kind: str
    """`sign`, `value` or `end`."""
    text: str
    start: int
    end: int


class _Reader:
    """Reads by recursive descent, one method a line of the grammar."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(self._tokens())
        self.at = 0

    def _tokens(self) -> list[_Token]:
        found, at, text = [], 0, self.text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                at += len(text[at:]) - len(text[at:].lstrip())
                raise ConstraintError(f"{text[at]!r} means nothing here", self.text, at)
            kind = "sign" if match["sign"] else "value"
            word = match["sign"] or (match["quoted"] if match["quoted"] is not None else match["word"])
            found.append(_Token(kind, word, match.start() + len(match[0]) - len(match[0].lstrip()), match.end()))
            at = match.end()
        found.append(_Token("end", "the end", len(self.text.rstrip()), len(self.text.rstrip())))
        return found

    def read(self) -> Constraint:
        terms = [self._timed(self._term)]
        while self._take("&"):
            terms.append(self._timed(self._term))
        if not self._peek("|"):
            self._finish()
            return Constraint(self.text, tuple(terms))
        self.at = 0
        whole = self._timed(self._expression)
        self._finish()
        return Constraint(self.text, (whole,))

    def _timed(self, rule: Callable[[], Test]) -> tuple[str, Test]:
        first = self.tokens[self.at].start
        test = rule()
        return self.text[first : self.tokens[self.at - 1].end], test

    def _expression(self) -> Test:
        tests = [self._all()]
        while self._take("|"):
            tests.append(self._all())
        return tests[0] if len(tests) == 1 else lambda labels: any(test(labels) for test in tests)

    def _all(self) -> Test:
        tests = [self._term()]
        while self._take("&"):
            tests.append(self._term())
        return tests[0] if len(tests) == 1 else lambda labels: all(test(labels) for test in tests)

    def _term(self) -> Test:
        if self._take("!"):
            inner = self._term()
            return lambda labels: not inner(labels)
        if self._take("("):
            inside = self._expression()
            self._must(")")
            return inside
        return self._comparison(self._value("the name of a label"))

    def _comparison(self, label: str) -> Test:
        token = self.tokens[self.at]
        if token.kind == "value" and token.text == "in":
            self.at += 1
            self._must("[")
            values = [_key(self._value("a value"))]
            while self._take(","):
                values.append(_key(self._value("a value")))
            self._must("]")
            return lambda labels: label in labels and _key(labels[label]) in values
        if token.kind != "sign" or token.text not in _COMPARE:
            return lambda labels: label in labels and labels[label].lower() not in _ABSENT
        self.at += 1
        compare, value = _COMPARE[token.text], _key(self._value("a value"))
        if token.text == "!=":
            return lambda labels: label not in labels or compare(_key(labels[label]), value)
        return lambda labels: label in labels and compare(_key(labels[label]), value)

    def _value(self, what: str) -> str:
        token = self.tokens[self.at]
        if token.kind != "value":
            self._fault(f"{what} is missing: found {token.text}")
        self.at += 1
        return token.text

    def _peek(self, sign: str) -> bool:
        token = self.tokens[self.at]
        return token.kind == "sign" and token.text == sign

    def _take(self, sign: str) -> bool:
        found = self._peek(sign)
        self.at += found
        return found

    def _must(self, sign: str) -> None:
        if not self._take(sign):
            self._fault(f"{sign!r} is missing: found {self.tokens[self.at].text}")

    def _finish(self) -> None:
        if self.tokens[self.at].kind != "end":
            self._fault(f"'&' or '|' is missing before {self.tokens[self.at].text!r}")

    def _fault(self, why: str) -> None:
        raise ConstraintError(why, self.text, self.tokens[self.at].start)


Key = tuple[tuple[int, int, str], ...]


@lru_cache(maxsize=4096)
def _key(value: str) -> Key:
    """A value in parts that compare as people expect versions to: 4.9 < 4.10 < 4.10-rc2."""
    parts = _PART.findall(value)
    return tuple((1, int(part), "") if part.isdecimal() else (0, 0, part.lower()) for part in parts)


_COMPARE: dict[str, Callable[[Key, Key], bool]] = {
    "=": lambda has, asked: has == asked,
    "==": lambda has, asked: has == asked,
    "!=": lambda has, asked: has != asked,
    "<": lambda has, asked: has < asked,
    "<=": lambda has, asked: has <= asked,
    ">": lambda has, asked: has > asked,
    ">=": lambda has, asked: has >= asked,
}
