"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

LONGEST = ("system", "hub", "chaos", "browser", "local", "driver", "bench")
"""Directories whose files take longest."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first: two processes that share the files then end at about the same time."""

    def place(item: pytest.Item) -> int:
        directory = item.path.parent.name
        return LONGEST.index(directory) if directory in LONGEST else len(LONGEST)

    items.sort(key=place)


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
