"""The hub's page, as people use it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.browser import Windows, log_in
from tests.support.stage import Stage

pytestmark = [pytest.mark.browser, pytest.mark.hub, pytest.mark.timeout(300)]

SECOND = 1500.0
"""Milliseconds: a change is on the page within about a second."""


def visit(stage: Stage, windows: Windows, name: str, **size: Any) -> Any:
    """This person's page, after a login that the page itself asks for."""
    page = windows.open(**size)
    page.goto(f"{stage.service}/")
    log_in(page, stage.url, name, stage.password(name))
    page.wait_for_selector("main[aria-busy=false]")
    assert page.url == f"{stage.service}/"
    return page


def row(page: Any, name: str) -> Any:
    return page.locator(".clusters tbody tr:visible", has_text=name)


def test_my_cluster_appears_grows_and_goes_as_the_api_says_and_is_stopped_by_keyboard_alone(
    stage: Stage, windows: Windows
) -> None:
    page = visit(stage, windows, "alice")
    assert page.locator("#mine .nothing").is_visible()
    assert page.locator("#others").is_hidden()
    cluster = stage.start("alice")
    row(page, "main").locator("text=running").wait_for(timeout=SECOND)
    stage.work(cluster, 3)
    row(page, "main").locator("text=3 run, 3 wanted").wait_for(timeout=SECOND)
    assert "3 executors: 3 cores" in page.locator("#pools").inner_text()

    page.keyboard.press("Tab")
    for _ in range(20):
        if page.evaluate("document.activeElement.textContent") == "Stop":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator("dialog h2", has_text="Stop main?").wait_for()
    stage.work(cluster, 2)
    row(page, "main").locator("text=2 wanted").wait_for(timeout=SECOND)
    assert page.evaluate("document.activeElement.id") == "ask-yes", "an update leaves the focus where it is"
    page.keyboard.press("Enter")
    row(page, "main").locator("text=It was stopped by alice.").wait_for()
    assert "main: stop" in page.locator("#said").inner_text()
