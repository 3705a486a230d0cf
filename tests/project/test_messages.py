"""Every error that a user can meet, as it stands in the source: a sentence, and what to do next.

What the widgets and the magics say by themselves is read in tests/client/test_messages.py; what is made of the words of
Kubernetes, in tests/kubernetes/test_reasons.py.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.support.messages import NEXT, check_message

ROOT = Path(__file__).parents[2]
PLACES = (
    "widgets/emberhub",
    "hub_ext/emberhub_service/api",
    "hub_ext/emberhub_service/control",
    "hub_ext/emberhub_service/web",
    "spawner/emberhub_spawner/kubernetes/backend.py",
    "spawner/emberhub_spawner/local",
    "spawner/emberhub_spawner/notebook.py",
)
ERRORS = {
    "ClusterFailed",
    "EmberhubError",
    "HTTPError",
    "JavaMissing",
    "NotInHub",
    "RequestRefused",
    "ServiceUnavailable",
    "StartFailed",
}
FOR_PROGRAMS = {"socket.py"}
"""What only an agent or a script can meet."""


def _text(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
    return None


def _made() -> dict[str, str]:
    found = {}
    for place in PLACES:
        start = ROOT / place
        for path in [start] if start.is_file() else sorted(start.rglob("*.py")):
            if path.name in FOR_PROGRAMS:
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_SENTENCES":
                    texts = [text for text in map(_text, ast.walk(node.value)) if text]
                    found |= {f"{path.name}: {text}": text for text in texts}
                if not isinstance(node, ast.Call):
                    continue
                name = ast.unparse(node.func).rpartition(".")[2]
                texts = [text for text in map(_text, node.args) if text]
                if name in ERRORS and texts:
                    more = ". Try again soon, and tell your administrator" if name == "ServiceUnavailable" else ""
                    found[f"{path.name}: {texts[0]}"] = texts[0] + more
    return found


MADE = _made()
PAGE = ROOT / "hub_ext/emberhub_service/web/static"


def test_they_are_found() -> None:
    assert len(MADE) > 50


@pytest.mark.parametrize("text", MADE.values(), ids=MADE.keys())
def test_an_error_is_a_sentence_with_a_next_step(text: str) -> None:
    check_message(text)


def test_what_the_page_itself_says_has_a_next_step_where_something_is_wrong() -> None:
    scripts = "".join(path.read_text() for path in sorted(PAGE.glob("*.js")))
    wrong = [
        text for text in re.findall(r'"([A-Z][^"\n]* [^"\n]*[.])"', scripts) if re.search(r" (not|too|lost)\b", text)
    ]
    assert wrong
    assert [text for text in wrong if not NEXT.search(text) and "he page " not in text] == []
