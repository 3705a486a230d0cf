"""What browser tests share: one Chromium, and windows whose every page must be without errors.

A test asks for `windows`, opens pages with `windows.open()`, logs in with `log_in`, and keeps pictures with
`windows.picture(page, name)`. `stage` is a real hub over a fake backend; a module with `SITE` gets `hub`, with Spark.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import Windows, chromium
from tests.support.hub import Hub
from tests.support.stage import Stage

STAGE = """
pools: [{name: main, cores: 8, memory: 16G}]
queues:
  name: everyone
  children:
    - {name: class, guaranteed: {cores: 4, memory: 4G}, groups: [students], instructors: [teachers]}
    - {name: research}
profiles:
  - {name: small, title: Small, executor: {cores: 1, memory: 1G}, executors: {min: 0, max: 8}, default: true}
rules: {min_hold: 0s, idle_after: 2s, reclaim_notice: 2s}
heartbeat: 1s
lease: 10s
clusters_per_user: 3
"""

GROUPS = {"students": ["alice", "bob", "chen", "dora", "emre"], "teachers": ["tess"]}


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """One Chromium for all tests here."""
    with chromium() as running:
        yield running


@pytest.fixture
def windows(browser: Any, tmp_path: Path) -> Iterator[Windows]:
    """Windows of this test; it fails where any of their pages has an error."""
    opened = Windows(browser, tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def page(windows: Windows) -> Any:
    """A page in a window of its own."""
    return windows.open()


@pytest.fixture(scope="package")
def whole_stage(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One real hub over a fake backend; without a browser it is not started."""
    running = Stage(tmp_path_factory.mktemp("stage"), STAGE, GROUPS)
    yield running
    running.end()


@pytest.fixture
def stage(whole_stage: Stage) -> Iterator[Stage]:
    """The hub, without any cluster at the start of a test."""
    whole_stage.clear()
    yield whole_stage


@pytest.fixture(scope="module")
def hub(browser: Any, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A whole hub with Spark, and the site file that the test module gives as `SITE`."""
    running = Hub(tmp_path_factory.mktemp(request.module.__name__.rpartition(".")[2]), request.module.SITE)
    try:
        yield running
    finally:
        running.end()
