"""`emberhub demo`: the whole path through a real hub, and nothing left behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from emberhub_service.commands import leftovers

from tests.support.processes import line_of

pytestmark = [pytest.mark.hub, pytest.mark.spark, pytest.mark.timeout(600)]

LIMIT = 560


class Demo:
    """`emberhub demo` as a process, with what it says."""

    def __init__(self, directory: Path) -> None:
        self.state = directory / "state"
        self.facts = directory / "facts.json"
        self.output = directory / "demo.log"
        with self.output.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "emberhub", "demo", f"--json={self.facts}", f"--keep={self.state}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=directory,
                start_new_session=True,
            )

    def wait_until_it_says(self, text: str) -> None:
        until = time.monotonic() + LIMIT
        while text not in self.output.read_text():
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < until, self.output.read_text()
            time.sleep(0.1)

    def read_facts(self) -> dict[str, object]:
        return dict(json.loads(self.facts.read_text()))


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    started = Demo(tmp_path)
    yield started
    if started.process.poll() is None:
        started.process.send_signal(signal.SIGINT)
        started.process.wait(LIMIT)
    for process in leftovers.processes(started.state):
        process.kill()


def test_the_demo_runs_the_example_through_a_real_hub_and_leaves_nothing(demo: Demo) -> None:
    assert demo.process.wait(LIMIT) == 0, demo.output.read_text()
    facts = demo.read_facts()
    assert facts["ok"] is True
    assert facts["rows"] == 482176
    assert facts["executors_peak"] >= 1
    assert facts["executors_left"] == 0
    assert facts["processes_left"] == 0
    assert set(facts["seconds"]) == {"hub", "server", "cluster", "first_result", "total"}
    executed = nbformat.read(facts["notebook"], as_version=4)
    nbformat.validate(executed)
    pictures = [
        output for cell in executed.cells for output in cell.get("outputs", ()) if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 2
    said = json.dumps(executed)
    assert "Cluster main is ready" in said
    assert '"output_type": "error"' not in said
    assert leftovers.processes(demo.state) == []
    # No token and no password where others may look: what the demo, the hub and the drivers write.
    secrets = {(demo.state / name).read_text().strip() for name in ("password", "admin-password")}
    for log in (demo.output, *demo.state.rglob("*.log")):
        text = log.read_text(errors="replace")
        assert not any(secret in text for secret in secrets), log


def test_ctrl_c_in_the_middle_leaves_no_process_even_if_it_comes_twice(demo: Demo) -> None:
    demo.wait_until_it_says("cell 3 of")
    programs = [line_of(process)[:1] for process in leftovers.processes(demo.state)]
    assert any("java" in "".join(program) for program in programs), "Spark runs, and is marked"
    demo.process.send_signal(signal.SIGINT)
    demo.wait_until_it_says("Stopping the hub")
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(LIMIT) == 130, demo.output.read_text()
    assert "Still stopping" in demo.output.read_text()
    assert leftovers.processes(demo.state) == []
    facts = demo.read_facts()
    assert (facts["ok"], facts["error"], facts["processes_left"]) == (False, "interrupted", 0)


def test_a_failure_in_the_middle_is_told_and_leaves_no_process(demo: Demo) -> None:
    demo.wait_until_it_says("cell 1 of")
    hub = next(process for process in leftovers.processes(demo.state) if "jupyterhub" in line_of(process))
    hub.kill()
    assert demo.process.wait(LIMIT) == 1, demo.output.read_text()
    assert leftovers.processes(demo.state) == []
    facts = demo.read_facts()
    assert facts["ok"] is False
    assert "the hub ended by itself" in str(facts["error"])
