"""Every message that a user can meet in the widgets and the magics is a sentence, and a problem has a next step."""

from __future__ import annotations

import ast
import re
import string
from collections import defaultdict
from pathlib import Path

import emberhub
import pytest
from emberhub.notebook import messages
from emberhub.notebook.messages import Message, Problem

ALL = {name: each for name, each in vars(messages).items() if isinstance(each, Message | Problem)}
FACTS: defaultdict[str, object] = defaultdict(
    lambda: "3 things", why="It waits.", facts=": 3 tasks", done="; 3 tasks done", reason=" Bob waits."
)
LABELS = {"CHANGE_PROFILE"}
"""What stands on a button is no sentence."""


def said(message: Message | Problem) -> str:
    names = {field for _, field, _, _ in string.Formatter().parse(" ".join(vars(message).values())) if field}
    return message.say(**{name: FACTS[name] for name in names})


@pytest.mark.parametrize("name", sorted(ALL.keys() - LABELS))
def test_a_message_is_made_of_sentences(name: str) -> None:
    text = said(ALL[name])
    assert re.match(r"[A-Z%\d]", text), text
    assert text.endswith((".", "!", "?")), text
    assert "{" not in text and "  " not in text and ".." not in text, text
    for sentence in re.split(r"(?<=[.!?]) ", text):
        assert re.match(r"[A-Z%\d*-]", sentence), f"{sentence!r} in {text!r}"


@pytest.mark.parametrize("name", [name for name, each in ALL.items() if isinstance(each, Problem)])
def test_a_problem_says_what_to_do_next(name: str) -> None:
    problem = ALL[name]
    assert isinstance(problem, Problem)
    verb = problem.next.split()[0]
    assert verb in {"See", "Run", "Clear", "Make", "Allow", "Ask", "Use", "Write", "Start", "Select"}, problem.next


def test_no_sentence_stands_anywhere_else() -> None:
    strays = []
    for path in sorted((Path(emberhub.__file__).parent / "notebook").glob("*.py")):
        if path.name == "messages.py":
            continue
        tree = ast.parse(path.read_text())
        documentation = {
            node.value.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        }
        texts = [
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        strays += [
            (path.name, text)
            for text in texts
            if text not in documentation and re.match(r"[A-Z][a-z]+ .*[.!?]$", text.strip(), re.DOTALL)
        ]
    assert strays == []
