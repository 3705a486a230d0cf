"""Real browsers for tests: Chromium, people who log in, and what must hold on every page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

PICTURES = Path(__file__).parents[2] / "docs" / "images"
KEEP = "EMBERHUB_KEEP_PICTURES"
"""With this variable set, pictures replace those that the documentation shows; else they go to the test's directory."""

PATIENCE = 30_000.0
"""Milliseconds that anything on a page may take before a test fails."""

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
]


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless Chromium. Skips where there is none.

    While it is open, asyncio believes that a loop runs in this thread: tests that use it are not asynchronous.
    """
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install -e '.[test]'"
    )
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=path, headless=True, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Windows:
    """The windows of one test, each with cookies of its own. What went wrong on their pages is in `errors`."""

    browser: Any
    pictures: Path
    errors: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    """Parts of errors that the test provokes on purpose."""
    _open: list[Any] = field(default_factory=list)

    def open(self, *, width: int = 1280, height: int = 800, dark: bool = False) -> Any:
        """A page in a new window."""
        context = self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            locale="en-GB",
            timezone_id="UTC",
        )
        context.set_default_timeout(PATIENCE)
        self._open.append(context)
        context.on("page", self._watch)
        return context.new_page()

    def _watch(self, page: Any) -> None:
        page.on("pageerror", lambda error: self.errors.append(f"{page.url}: {error}"))
        page.on("console", lambda said: self._hear(page, said))

    def _hear(self, page: Any, said: Any) -> None:
        if said.type == "error":
            self.errors.append(f"{page.url}: {said.text} ({said.location})")

    def picture(self, page: Any, name: str, **options: Any) -> Path:
        """Keep a picture of a page, or of a part of it, as `name`.png."""
        path = (PICTURES if os.environ.get(KEEP) else self.pictures) / f"{name}.png"
        page.screenshot(path=str(path), animations="disabled", **options)
        return path

    def close(self) -> None:
        """Close all, and fail if anything went wrong on a page that the test did not expect."""
        for context in self._open:
            context.close()
        unexpected = [error for error in self.errors if not any(part in error for part in self.expected)]
        assert unexpected == [], "errors in the browser's console"


def log_in(page: Any, url: str, name: str, password: str) -> None:
    """Log in on the hub's own page; ends where the hub sends the user, or at the page that was asked for."""
    if "/hub/login" not in page.url:
        page.goto(f"{url}/hub/login?next=/hub/token")
    page.fill("#username_input", name)
    page.fill("#password_input", password)
    page.click("#login_submit")
    page.wait_for_url(lambda where: "/hub/login" not in where and "oauth" not in where)


def check_accessible(page: Any, within: str | None = None) -> None:
    """Axe finds nothing serious on the page as it is, or in the part that a selector names."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    found = axe.Axe().run(page, within).response["violations"]
    serious = [
        (fault["impact"], fault["id"], fault["help"], [node["html"] for node in fault["nodes"]][:3])
        for fault in found
        if fault["impact"] in {"serious", "critical"}
    ]
    assert serious == []


def press(page: Any, name: str) -> None:
    """Press a button by keys alone, from where the focus is."""
    for _ in range(30):
        page.keyboard.press("Tab")
        focused = "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"
        if page.evaluate(focused) == name:
            page.keyboard.press("Enter")
            return
    raise AssertionError(f"no key leads to {name}")
