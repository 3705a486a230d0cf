"""The service is killed in the middle of a query; and the time of day is moved by an hour, under it and its drivers."""

from __future__ import annotations

import os
from pathlib import Path

import emberhub
import pytest

from tests.support.hub import Person, Work, a_site, doze
from tests.support.site import Site

from .conftest import same, soon

pytestmark = [pytest.mark.spark, pytest.mark.chaos, pytest.mark.timeout(600), pytest.mark.usefixtures("whole")]

SITE = a_site(2, "rules: {min_hold: 1s, idle_after: 2s, reclaim_notice: 1s}\nlease: 60s\nheartbeat: 1s\n")

# What setting the clock does to a process: the time of day moves, and with it the kernel's word for when the machine
# was started. The monotonic clock goes on. Python runs this at its start, in the service and in each driver.
STEP = """
import os, time
_file, _time = os.environ["STEP_FILE"], time.time
def _step():
    with open(_file) as file:
        return float(file.read() or 0)
time.time = lambda: _time() + _step()
time.time_ns = lambda: int(time.time() * 1e9)
try:
    import psutil._pslinux as _linux
except ImportError:
    pass
else:
    _boot = _linux.boot_time
    _linux.boot_time = lambda: _boot() + _step()
"""


class Clock:
    """The wall clock of a site's Python processes."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "step"
        (directory / "sitecustomize.py").write_text(STEP)
        self.set(0)
        paths = [str(directory), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        self.environment = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "STEP_FILE": str(self._file)}

    def set(self, seconds: float) -> None:
        aside = self._file.with_suffix(".new")
        aside.write_text(str(seconds))
        aside.replace(self._file)


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Clock:
    return Clock(tmp_path_factory.mktemp("clock"))


@pytest.fixture(scope="module")
def environment(clock: Clock) -> dict[str, str]:
    return clock.environment


def at_work(person: Person, cluster: emberhub.Cluster) -> set[str]:
    """The executors of a cluster whose query runs."""
    soon(lambda: len(person.see(cluster).running) == 2, "both executors run")
    return {each.id for each in person.see(cluster).running}


def found_again(person: Person, cluster: emberhub.Cluster, before: set[str], work: Work) -> None:
    """A service that has just started knows the driver, and has lost no executor."""
    soon(lambda: person.see(cluster).state == "running", "the driver is heard again")
    seen = person.see(cluster)
    assert ({each.id for each in seen.running}, seen.generation) == (before, 1)
    assert work.running()


def test_a_killed_service_is_found_again_by_its_drivers_and_nothing_is_lost(site: Site) -> None:
    alice = site.person("alice")
    hers = alice.cluster()
    work = Work(hers, 24, 0.25, again=True, query=doze)
    before = at_work(alice, hers)
    site.process.kill()
    site.process.wait(60)
    with pytest.raises(emberhub.ServiceUnavailable, match="does not answer"):
        hers.scale(0, 2)
    assert work.running()
    site.restart()
    found_again(alice, hers, before, work)
    work.finish()
    soon(lambda: same(site, hers), "the service counts what runs")


def test_a_clock_that_is_set_changes_nothing_nor_does_a_service_start_after_that(site: Site, clock: Clock) -> None:
    alice = site.person("alice")
    hers = alice.cluster()
    work = Work(hers, 24, 0.25, again=True, query=doze)
    before = at_work(alice, hers)
    for step in (3600, -3600):
        clock.set(step)
        asked = site.snapshot().now
        soon(lambda asked=asked: site.snapshot().now > asked + 2, "time goes on as it did")
        seen = alice.see(hers)
        assert (seen.state, {each.id for each in seen.running}) == ("running", before)
        assert all(each.age < 600 for each in seen.running)
        # What knew the processes before the step is gone; the next one looks for them after it.
        site.process.kill()
        site.restart()
        found_again(alice, hers, before, work)
    clock.set(0)
    work.finish()
    soon(lambda: same(site, hers), "the service counts what runs")
