"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

_TOGETHER = ("browser", "kubernetes")
"""Folders whose tests share what is dear: a browser and a hub, a cluster and its images."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With `-n`, the tests of one file run in one process, one after the other; so do those of these folders."""
    for item in items:
        path = item.path.relative_to(Path(__file__).parent)
        item.add_marker(pytest.mark.xdist_group(path.parts[0] if path.parts[0] in _TOGETHER else str(path)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With EMBERHUB_REQUIRE_ALL set, as in continuous integration, a test that cannot run has failed."""
    report = yield
    if report.skipped and os.environ.get("EMBERHUB_REQUIRE_ALL"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and EMBERHUB_REQUIRE_ALL allows no skipping: {report.longrepr}"
    return report
