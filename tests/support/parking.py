"""A cluster that is parked, and the two drivers that it had before and has after."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import emberhub
import pytest

from tests.support.connect import FakeDriver
from tests.support.fake_service import FakeService, a_cluster

PARKED = "It was parked after 30 minutes without work."


@pytest.fixture
def drivers(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[FakeDriver, FakeDriver]]:
    """The driver that a session begins on, and the one that comes after it. Every call asks first."""
    monkeypatch.setattr("emberhub.channel.PAUSE", 0.0)
    both = FakeDriver(), FakeDriver()
    yield both
    for driver in both:
        driver.stop()


def a_session(service: FakeService, driver: FakeDriver) -> Any:
    service.will("POST", "clusters", a_cluster())
    service.will("GET", "clusters/c-1", a_cluster())
    service.will("GET", "clusters/c-1/connection", driver.connection)
    return emberhub.cluster().spark


def park(service: FakeService, before: FakeDriver, after: FakeDriver) -> None:
    """Nobody used the cluster for long: the service has stopped its driver, and starts the next when it is asked."""
    before.stop()
    asleep = a_cluster(state="stopped", ready=False, message=PARKED)
    starting = a_cluster(state="starting", ready=False, generation=2, restarted=PARKED, version=2)
    service.will("POST", "clusters", starting)
    service.will("GET", "clusters/c-1", asleep, a_cluster(generation=2, restarted=PARKED, version=3))
    service.will("GET", "clusters/c-1/connection", after.connection)


def starts(service: FakeService) -> int:
    """How often the service was asked to start the cluster."""
    return sum(asked.method == "POST" for asked in service.asked)
