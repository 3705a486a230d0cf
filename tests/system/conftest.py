"""A real hub for each module of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.hub import Hub


@pytest.fixture(scope="module")
def hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub with the site file that the test module gives as `SITE`."""
    directory = tmp_path_factory.mktemp(request.module.__name__.rpartition(".")[2])
    running = Hub(directory, request.module.SITE)
    try:
        yield running
    finally:
        running.end()


@pytest.fixture
def clean(hub: Hub) -> Iterator[None]:
    """Whatever clusters a test leaves are stopped after it."""
    yield
    for name in ("alice", "bob", "carol", "dan", "erin", "frank"):
        person = hub.person(name)
        _, body = person.ask("GET", "clusters")
        for each in body["clusters"]:
            if each["state"] != "stopped":
                person.ask("DELETE", f"clusters/{each['id']}")
