"""The hub itself is killed: one that an operator's process manager starts again, and the one of `emberhub up`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from emberhub_service.commands.leftovers import ENV_STATE
from emberhub_service.commands.localhub import prepare

from tests.support.hub import Hub, Work, a_site, doze
from tests.support.processes import line_of

from .conftest import soon

pytestmark = [pytest.mark.spark, pytest.mark.hub, pytest.mark.chaos, pytest.mark.long, pytest.mark.timeout(600)]

SITE = a_site(2, "rules: {min_hold: 1s, idle_after: 2s, reclaim_notice: 1s}\nlease: 60s\nheartbeat: 2s\n")


class ManagedHub(Hub):
    """A hub as a process manager runs it: started again, over the same state directory, after it died."""

    def __init__(self, directory: Path) -> None:
        self.site = directory / "emberhub.yaml"
        self.site.write_text(SITE)
        self.hub = prepare(directory / "state", 0, 2, self.site)
        self.state, self.output = self.hub.state, self.hub.log
        self.url, self.service = self.hub.url, f"{self.hub.url}/services/emberhub"
        self.start()

    def _run(self, *command: str) -> subprocess.Popen[bytes]:
        with self.output.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.state,
                env={**os.environ, ENV_STATE: str(self.state)},
                start_new_session=True,
            )

    def start(self) -> None:
        self.process = self._run("jupyterhub", "--config", str(self.state / "jupyterhub_config.py"))
        soon(lambda: self.service_process() is not None, "the hub starts the service")

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(60)
        service = f"--EmberhubService.state_dir={self.state}", f"--EmberhubService.site={self.site}"
        assert self._run("emberhub_service", "--shutdown", *service).wait(60) == 0
        left = self.processes()
        for process in left:
            process.kill()
        assert left == [], f"left behind: {left}"


@pytest.fixture
def managed(tmp_path: Path) -> Iterator[ManagedHub]:
    hub = ManagedHub(tmp_path)
    try:
        yield hub
    finally:
        hub.end()


def test_a_hub_that_is_started_again_finds_its_clusters_at_work(managed: ManagedHub) -> None:
    alice = soon(lambda: person(managed), "alice can log in")
    hers = alice.cluster()
    work = Work(hers, 24, 0.25, again=True, query=doze)
    soon(lambda: len(alice.see(hers).running) == 2, "both executors run")
    before = {each.id for each in alice.see(hers).running}
    service = managed.service_process()
    assert service is not None

    managed.process.kill()
    managed.process.wait(60)
    soon(lambda: not service.is_running(), "the service ends with the hub that started it")
    assert work.running()
    managed.start()
    path = f"clusters/{hers.id}"
    soon(lambda: alice.ask("GET", path)[0] == 200, "the service answers again")
    soon(lambda: alice.see(hers).state == "running", "the driver is heard again")
    assert alice.see(hers).generation == 1
    assert {each.id for each in alice.see(hers).running} == before
    work.finish()


def person(hub: Hub) -> object:
    try:
        return hub.person("alice")
    except OSError:
        return None


def test_where_the_hub_of_emberhub_up_is_killed_all_ends_and_the_terminal_says_why(tmp_path: Path) -> None:
    hub = Hub(tmp_path, SITE)
    try:
        alice = hub.person("alice")
        hers = alice.cluster()
        assert doze(hers, 4, 0.1) == 6
        daemon = next(each for each in hub.processes() if "jupyterhub" in line_of(each))
        daemon.send_signal(signal.SIGKILL)
        assert hub.process.wait(120) == 1
        said = hub.output.read_text()
        assert "the hub ended by itself with status -9; see the end of" in said
        assert psutil.pid_exists(daemon.pid) is False
        assert not (hub.state / "backend").exists()
    finally:
        hub.end()
