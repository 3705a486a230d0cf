"""The examples in docs/allocator.md are true."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from emberhub_service.alloc import plan
from emberhub_service.alloc.model import Snapshot
from emberhub_service.commands.plan import describe

PAGE = Path(__file__).parents[2] / "docs" / "allocator.md"
EXAMPLES = re.findall(r"### ([A-N])\. .*?```json\n(.*?)```\n```text\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_there_is_an_example_for_each_rule() -> None:
    assert [letter for letter, _, _ in EXAMPLES] == list("ABCDEFGHIJKLMN")


@pytest.mark.parametrize(("letter", "text", "says"), EXAMPLES, ids=[letter for letter, _, _ in EXAMPLES])
def test_the_example_gives_what_the_page_says(letter: str, text: str, says: str) -> None:
    snapshot = msgspec.json.decode(text, type=Snapshot)
    lines = [line for line in describe(snapshot, plan(snapshot)) if line]
    expected = says.splitlines()
    assert lines[-len(expected) :] == expected, letter
