"""The panel in JupyterLab, in a real hub; what drivers do is scripted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.browser import Windows, check_accessible
from tests.support.lab import Notebook
from tests.support.stage import Stage

pytestmark = [pytest.mark.browser, pytest.mark.hub, pytest.mark.timeout(300)]

PANEL = "import emberhub\ncluster = emberhub.cluster()\ncluster.panel()"
LONG = "import time\nfor _ in range(600): time.sleep(0.1)"


@pytest.fixture
def patient(stage: Stage) -> Iterator[Stage]:
    """The hub, with time enough to answer when executors are asked back."""
    before = stage.yaml.read_text()
    stage.yaml.write_text(before.replace("reclaim_notice: 2s", "reclaim_notice: 30s"))
    stage.do(stage.running.watch.look())
    yield stage
    stage.yaml.write_text(before)
    stage.do(stage.running.watch.look())


def executors(panel: Any) -> list[str]:
    """The executors that count down."""
    return [
        label.split()[2]
        for label in panel.get_by_role("button", name="Keep executor").evaluate_all(
            "buttons => buttons.map(button => button.getAttribute('aria-label'))"
        )
    ]


def test_the_panel_shows_executors_as_they_come_and_lets_a_user_answer_when_they_are_asked_back(
    patient: Stage, windows: Windows
) -> None:
    windows.expected.append("Sec-WebSocket-Protocol")  # JupyterLab's own, and it goes on without
    page = windows.open()
    notebook = Notebook(
        page, patient.url, patient.hub.state / "homes" / "alice", "alice", patient.password("alice"), PANEL, LONG
    )
    notebook.run(0)
    panel = page.locator(".emberhub-panel")
    panel.get_by_text("Executors granted").wait_for()
    (mine,) = patient.person("alice").ask("GET", "clusters")[1]["clusters"]
    patient.work(mine["id"], 8)
    panel.locator("dd:text-is('8 (8 running)')").wait_for()
    # A cell that runs keeps nobody from answering.
    notebook.start(1)
    patient.start("bob", wanted=1)
    panel.locator(".countdown").first.wait_for()
    assert len(executors(panel)) == 1
    (asked,) = executors(panel)
    windows.picture(page, "notebook-panel", clip=panel.bounding_box())
    check_accessible(page, ".emberhub-panel")
    panel.get_by_role("button", name=f"Give another executor instead of {asked}").click()
    panel.get_by_text(f"Another executor is given instead of executor {asked}.").wait_for()
    panel.locator(f"li:not(:has-text('Executor {asked} ')) .countdown").wait_for()
    (other,) = executors(panel)
    panel.get_by_role("button", name=f"Keep executor {other}").focus()
    page.keyboard.press("Enter")
    panel.get_by_text(f"Executor {other} stays a little longer.").wait_for()
    panel.get_by_role("button", name=f"Keep executor {other}").wait_for(state="hidden")
    notebook.interrupt()
    panel.get_by_role("button", name="Stop").click()
    panel.get_by_text("stopped", exact=True).wait_for()
    panel.get_by_role("button", name="Start").wait_for()
