"""One engine and one service's end for each module of tests with real Spark."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from emberhub.wire.resources import Resources
from emberhub_spawner.local import LocalBackend

from tests.support.agents import ServiceInTest, service_in_test
from tests.support.spark import Place


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def service() -> AsyncIterator[ServiceInTest]:
    async with service_in_test() as service:
        yield service


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def place(service: ServiceInTest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """A local backend with a pool of 4 cores, on which tests start drivers."""
    directory: Path = tmp_path_factory.mktemp("local") / "backend"
    place = Place(LocalBackend(directory, {"main": Resources.of(cores=4, memory="8G")}), directory, service)
    await place.open()
    try:
        yield place
    finally:
        await place.backend.shutdown()
