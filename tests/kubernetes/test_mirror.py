"""The copy of the namespace's pods, over answers that a real Kubernetes gives only on bad days."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from emberhub_spawner.kubernetes import mirror as mirror_module
from emberhub_spawner.kubernetes.mirror import Mirror

from tests.support.spark import eventually


def a_pod(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": name, "labels": {}}}


class Answers:
    """What stands where Kubernetes should."""

    def __init__(self) -> None:
        self.pods = [a_pod("one")]
        self.listed = 0
        self.answer = asyncio.Event()
        self.answer.set()
        self.faults: list[Exception] = []

    async def list_pods(self, _: str) -> dict[str, Any]:
        self.listed += 1
        found = list(self.pods)
        await self.answer.wait()
        return {"items": found, "metadata": {"resourceVersion": "1"}}

    async def follow_pods(self, *_: object) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        if self.faults:
            raise self.faults.pop()
        yield "ADDED", a_pod("two")
        await asyncio.Event().wait()


async def test_an_answer_that_is_none_is_not_the_end_of_following(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror_module, "_RETRY_FIRST", 0.01)
    answers = Answers()
    # As of a watch that was answered by a proxy, in plain text.
    answers.faults = [TypeError("string indices must be integers, not 'str'")]
    mirror = Mirror(answers, "", lambda *_: None)  # type: ignore[arg-type]
    following = asyncio.create_task(mirror.run(await mirror.list()))
    try:
        await asyncio.wait_for(mirror.until(lambda: "two" in mirror.pods), 30)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    assert answers.listed == 2


async def test_a_pod_that_was_made_while_all_were_listed_is_not_taken_for_gone() -> None:
    answers, gone = Answers(), list[str]()
    mirror = Mirror(answers, "", lambda pod, over: gone.append(pod["metadata"]["name"]) if over else None)  # type: ignore[arg-type]
    await mirror.list()
    answers.answer.clear()
    answers.pods = []
    listing = asyncio.create_task(mirror.list())
    await eventually(lambda: answers.listed == 2, "the list is on its way")
    mirror.pods.setdefault("new", a_pod("new"))
    answers.answer.set()
    await listing
    assert gone == ["one"]
    assert list(mirror.pods) == ["new"]
