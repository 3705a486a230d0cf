"""JupyterLab in a real browser: a notebook whose cells a test writes, runs and looks at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from .browser import log_in
from .hub import eventually

START = 180_000.0
"""Milliseconds for a notebook server to start, and for a kernel."""


class Notebook:
    """One notebook of one person, open in JupyterLab."""

    def __init__(self, page: Any, url: str, home: Path, name: str, password: str, *cells: str) -> None:
        self.page = page
        home.mkdir(parents=True, exist_ok=True)
        (home / "story.ipynb").write_text(json.dumps(_document(cells)))
        _settle_lab(home / ".jupyter" / "lab" / "user-settings" / "@jupyterlab")
        log_in(page, url, name, password)
        lab = f"/user/{quote(name)}/lab/tree/story.ipynb?reset"
        page.goto(f"{url}/hub/spawn/{quote(name)}?next={quote(lab)}")
        if page.locator("#spawn_form").is_visible():
            page.get_by_role("button", name="Start").click()  # the site has several profiles
        page.wait_for_url(lambda where: urlsplit(where).path.startswith(f"/user/{quote(name)}/lab"), timeout=START)
        page.locator(".jp-Cell").nth(len(cells) - 1).wait_for(timeout=START)
        self.settle()

    def settle(self) -> None:
        """Until the kernel has nothing to do."""
        self.page.locator("#jp-main-statusbar :text('| Idle')").wait_for(timeout=START)

    def cell(self, number: int) -> Any:
        """A cell, with its output."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(number)

    def output(self, number: int) -> Any:
        """What a cell has shown."""
        return self.cell(number).locator(".jp-Cell-outputArea")

    def start(self, number: int) -> None:
        """Run a cell, and do not wait for its end."""
        self.choose(number)
        self.page.keyboard.press("Control+Enter")

    def choose(self, number: int) -> None:
        """Make a cell the active one, though the page may move while its outputs are drawn."""
        cell = self.cell(number)

        def chosen() -> bool:
            cell.locator(".cm-content").click()
            return "jp-mod-active" in cell.get_attribute("class")

        eventually(chosen, f"cell {number} is chosen", 30)

    def run(self, number: int) -> None:
        """Run a cell to its end."""
        self.settle()  # what is asked for while a cell fails is dropped
        before = self.prompt(number)
        self.start(number)
        self.page.wait_for_function(
            "([cell, before]) => { const now = document.querySelectorAll('.jp-Notebook .jp-Cell')[cell]"
            ".querySelector('.jp-InputPrompt').textContent; return /\\d/.test(now) && now !== before; }",
            arg=[number, before],
            timeout=START,
        )

    def go_up(self, count: int) -> None:
        """To the cell so many above the active one, by keys alone, after a cell was run."""
        for _ in range(count):
            self.page.keyboard.press("k")

    def prompt(self, number: int) -> str:
        """`[3]:` beside a cell that has run."""
        return str(self.cell(number).locator(".jp-InputPrompt").inner_text())

    def interrupt(self) -> None:
        """The stop button."""
        self.page.locator(
            "jp-button[data-command='notebook:interrupt-kernel'], [data-command='notebook:interrupt-kernel']"
        ).first.click()


def _settle_lab(settings: Path) -> None:
    """JupyterLab asks for nothing over what is to be clicked, and keeps every cell in the page."""
    for name, value in (
        ("apputils-extension/notification", {"fetchNews": "false", "checkForUpdates": False}),
        ("notebook-extension/tracker", {"windowingMode": "none"}),
    ):
        file = settings / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(value))


def _document(cells: tuple[str, ...]) -> dict[str, Any]:
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "cells": [
            {
                "cell_type": "code",
                "id": f"cell-{number}",
                "metadata": {},
                "source": cell,
                "outputs": [],
                "execution_count": None,
            }
            for number, cell in enumerate(cells)
        ],
    }
