"""A service for each module of tests, and what must hold again after every fault."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import emberhub
import emberhub.session
import pytest
from emberhub.wire.resources import Resources

from tests.support.hub import eventually
from tests.support.processes import environment_of
from tests.support.site import Site

T = TypeVar("T")


def soon(look: Callable[[], T], what: str) -> T:
    """Wait until `look` returns something true: as long as anything may take on a busy machine."""
    return eventually(look, what, 120)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drivers are killed here: whoever asks one that is dead, at the end of the test run too, soon gives it up."""
    monkeypatch.setattr(emberhub.session, "RETRIES", 2)


@pytest.fixture(scope="module")
def directory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the service has its files; a module may give another."""
    return tmp_path_factory.mktemp(request.module.__name__.rpartition(".")[2])


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """What the service's processes find in their environment besides; a module may give more."""
    return {}


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest, directory: Path, environment: dict[str, str]) -> Iterator[Site]:
    """A service with the site file that the test module gives as `SITE`."""
    running = Site(directory, request.module.SITE, environment)
    try:
        yield running
        stop_all(running)
    finally:
        running.end()


@pytest.fixture
def whole(site: Site) -> Iterator[None]:
    """Never is more given than there is; and once the work is done, all is free, and nothing runs that is not counted.

    Clusters that still run are left to the next test: starting one costs more than most faults.
    """
    with Audit(site):
        yield
    soon(lambda: free(site), "every executor is given back, by the service's count and in truth")
    kept = {f"{record['id']}-{record['generation']}" for record in clusters(site) if record["ready"]}
    found = [environment_of(process) for process in (*site.running("driver"), *site.running("jvm"))]
    assert {each["EMBERHUB_DRIVER"] for each in found if each} == kept


def clusters(site: Site) -> list[dict[str, Any]]:
    """Everybody's clusters."""
    found: list[dict[str, Any]] = site.admin.ask("GET", "clusters?all=true")[1]["clusters"]
    return found


def free(site: Site) -> bool:
    """Whether nobody has or is promised an executor, and none runs."""
    return site.executors() == [] and not any(each.executors or each.promises for each in site.snapshot().clusters)


def stop_all(site: Site) -> None:
    """Stop every cluster: neither a process nor a file of any may be left."""
    for each in clusters(site):
        site.admin.ask("DELETE", f"clusters/{each['id']}")
    soon(lambda: not site.snapshot().clusters, "no cluster is left")
    for kind in ("driver", "jvm", "executor"):
        assert site.running(kind) == []
    soon(lambda: site.files() == [], "the files of drivers and executors are gone")


def same(site: Site, cluster: emberhub.Cluster) -> bool:
    """Whether a cluster has, by the service's count, exactly the executors that are processes of this machine."""
    return sorted(each.id for each in site.counted(cluster).executors) == site.executors(cluster)


class Audit:
    """Reads the service's count all the time: what is held and promised never exceeds the pool."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._over: list[str] = []
        self._looks = 0
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join(60)
        assert self._over == []

    def _look(self) -> None:
        while not self._enough.wait(0.3):
            try:
                now = self._site.snapshot()
            except (OSError, AssertionError):
                continue  # The service is away.
            given = Resources()
            for each in now.clusters:
                given += each.executor * (len(each.executors) + sum(promise.executors for promise in each.promises))
                if len({executor.id for executor in each.executors}) != len(each.executors):
                    self._over.append(f"{each.id} has an executor twice: {each.executors}")
            if not given.fits_in(now.pools[0].capacity):
                self._over.append(f"{given} of {now.pools[0].capacity} are given: {now.clusters}")
            self._looks += 1
