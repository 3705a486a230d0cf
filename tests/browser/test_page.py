"""The hub's page, as people use it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.browser import Windows, check_accessible, log_in, press
from tests.support.stage import Stage

pytestmark = [pytest.mark.browser, pytest.mark.hub, pytest.mark.timeout(300)]

SECOND = 1500.0
"""Milliseconds: a change is on the page within about a second."""


def visit(stage: Stage, windows: Windows, name: str, **size: Any) -> Any:
    """This person's page, after a login that the page itself asks for."""
    page = windows.open(**size)
    page.goto(f"{stage.service}/")
    log_in(page, stage.url, name, stage.password(name))
    page.wait_for_selector("main[aria-busy=false]")
    assert page.url == f"{stage.service}/"
    return page


def row(page: Any, name: str) -> Any:
    return page.locator(".clusters tbody tr:visible", has_text=name)


def test_my_cluster_appears_grows_and_goes_as_the_api_says_and_obeys_the_keyboard_alone(
    stage: Stage, windows: Windows
) -> None:
    page = visit(stage, windows, "alice")
    assert page.locator("#mine .nothing").is_visible()
    assert page.locator("#others").is_hidden()
    cluster = stage.start("alice")
    row(page, "main").locator("text=running").wait_for(timeout=SECOND)
    stage.work(cluster, 3)
    row(page, "main").locator("text=3 run, 3 wanted").wait_for(timeout=SECOND)
    assert "3 executors: 3 cores" in page.locator("#pools").inner_text()

    windows.picture(page, "page-mine", full_page=True)
    check_accessible(page)

    press(page, "Scale main")
    page.locator("dialog h2", has_text="Executors of main").wait_for()
    page.keyboard.press("Control+A")
    page.keyboard.type("4")
    page.keyboard.press("Enter")
    page.locator("dialog[open]").wait_for(state="hidden")
    person = stage.person("alice")
    assert person.ask("GET", f"clusters/{cluster}")[1]["executors"] == {"min": 0, "max": 4}

    press(page, "Stop main")
    page.locator("dialog h2", has_text="Stop main?").wait_for()
    stage.work(cluster, 2)
    row(page, "main").locator("text=2 wanted").wait_for(timeout=SECOND)
    assert page.evaluate("document.activeElement.id") == "ask-yes", "an update leaves the focus where it is"
    page.keyboard.press("Enter")
    row(page, "main").locator("text=It was stopped by alice.").wait_for()
    assert "main: stop" in page.locator("#said").inner_text()

    press(page, "Start main")
    row(page, "main").locator("text=running").wait_for()


def test_bob_sees_none_of_alices_but_how_much_of_the_pool_is_taken(stage: Stage, windows: Windows) -> None:
    stage.start("alice", wanted=5, name="secret-plan")
    page = visit(stage, windows, "bob")
    page.locator("#holders tbody tr").first.wait_for()
    assert "5 executors: 5 cores" in page.locator("#pools").inner_text()
    assert page.locator("#holders tbody tr").all_inner_texts() == ["Somebody\t5\t5\t"]
    queue = page.locator("#queues tbody tr", has_text="class")
    assert [each.strip() for each in queue.locator("th, td").all_inner_texts()] == [
        "class",
        "4 cores, 4 GiB",
        "5 cores, 5 GiB",
        "1 core, 1 GiB",
        "",
    ]
    assert page.locator("#mine .nothing").is_visible()
    assert "alice" not in page.content()
    assert "secret-plan" not in page.content()


def test_the_class_as_its_instructor_sees_and_changes_it_and_the_pool_as_an_admin(
    stage: Stage, windows: Windows
) -> None:
    for name, wanted in (("alice", 3), ("bob", 3), ("chen", 4), ("dora", 0)):
        stage.start(name, wanted=wanted)
    broken = stage.start("emre")
    stage.kill(broken, "The Spark driver was killed by signal 9: it used more memory than it may.")
    stage.start("frank", wanted=2, name="survey")

    page = visit(stage, windows, "tess")
    page.locator("#others .summary", has_text="1 failed").wait_for()
    assert page.locator("#others-title").inner_text() == "The class"
    assert row(page, "frank").count() == 0
    assert "frank" not in page.content()
    row(page, "chen").locator("text=in line").wait_for()
    windows.picture(page, "page-class", full_page=True)
    check_accessible(page)

    page.get_by_label("Only those that wait").check()
    assert row(page, "emre").locator("text=killed by signal 9").is_visible()
    assert row(page, "dora").count() == 0
    page.get_by_label("Only those that wait").uncheck()

    page.get_by_role("button", name="Scale main of chen").click()
    check_accessible(page)
    page.get_by_label("At least").fill("5")
    page.get_by_label("At most").fill("1")
    page.get_by_role("button", name="Change").click()
    page.locator("dialog [role=alert]", has_text="minimum above its maximum").wait_for()
    page.get_by_label("At least").fill("0")
    windows.expected.append("status of 400")
    page.get_by_role("button", name="Change").click()
    row(page, "chen").locator(".wait:empty").wait_for(state="attached")
    page.get_by_role("button", name="Stop main of alice").click()
    page.get_by_role("button", name="Stop it").click()
    row(page, "alice").locator("text=It was stopped by tess.").wait_for()
    page.close()

    stage.work(stage.start("bob"), 8)
    page = visit(stage, windows, "admin", height=1100)
    row(page, "bob").locator(".wait p").first.wait_for()
    assert page.locator("#others-title").inner_text() == "All clusters"
    assert page.locator("#holders tbody").inner_text().count("frank") == 1
    assert "fair share" in row(page, "frank").inner_text()
    log = page.locator("#log tbody tr")
    log.filter(has_text="It was stopped by tess.").first.wait_for()
    assert log.filter(has_text="granted").count() > 3
    before = log.count()
    page.get_by_role("button", name="Show older ones").click()
    page.get_by_role("button", name="There are no older ones").wait_for()
    assert log.count() >= before
    windows.picture(page, "page-admin", full_page=True)
    check_accessible(page)


def test_an_admin_changes_a_queue_within_the_rules_and_takes_the_files_again(stage: Stage, windows: Windows) -> None:
    stage.start("alice", wanted=4)
    page = visit(stage, windows, "admin", height=1100)
    queue = page.locator("#queues tbody tr", has_text="class").first
    assert queue.locator(".note").inner_text() == "users share equally"
    press(page, "Change queue class")
    page.locator("dialog h2", has_text="Queue class").wait_for()
    check_accessible(page)
    page.get_by_label("Weight beside its siblings").fill("2")
    guaranteed = page.get_by_role("group", name="Guaranteed")
    assert guaranteed.get_by_label("Cores").input_value() == "4"
    assert guaranteed.get_by_label("GPUs").count() == 0
    guaranteed.get_by_label("Cores").fill("400%")
    windows.expected.append("status of 400")
    page.keyboard.press("Enter")
    page.locator("dialog [role=alert]", has_text="class.guaranteed.cores: must not be above 100%").wait_for()
    windows.picture(page, "page-queue")
    assert queue.locator(".note").inner_text() == "users share equally"
    guaranteed.get_by_label("Cores").fill("3")
    page.keyboard.press("Enter")
    page.locator("dialog[open]").wait_for(state="hidden")
    queue.locator("text=weight 2; changed here: weight, guaranteed").wait_for(timeout=SECOND)
    assert queue.locator("td").first.inner_text() == "3 cores, 4 GiB"
    told = "Queue class: weight 2 instead of 1; guaranteed 3 cores, 4 GiB memory instead of 4 cores, 4 GiB memory."
    page.locator("#log tbody tr", has_text=told).wait_for(timeout=SECOND)

    page.get_by_role("button", name="Change queue class").click()
    page.get_by_role("button", name="As in the file").click()
    queue.locator("text=/^users share equally$/").wait_for(timeout=SECOND)
    assert queue.locator("td").first.inner_text() == "4 cores, 4 GiB"


def test_on_a_phone_in_the_dark_everything_is_in_reach(stage: Stage, windows: Windows) -> None:
    stage.start("alice", wanted=4)
    stage.start("bob", wanted=9)
    page = visit(stage, windows, "bob", width=360, height=740, dark=True)
    row(page, "main").locator(".wait p").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for name in ("Stop main", "Scale main"):
        box = page.get_by_role("button", name=name).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360
        assert box["height"] >= 36
    windows.picture(page, "page-phone-dark")
    check_accessible(page)
    page.get_by_role("button", name="Scale main").click()
    assert page.evaluate("document.activeElement.id") == "ask-max"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.textContent") == "Scale", "the focus comes back"


def test_a_page_that_has_lost_the_service_says_so_and_goes_on_when_it_is_back(stage: Stage, windows: Windows) -> None:
    cluster = stage.start("alice", wanted=2)
    page = visit(stage, windows, "alice")
    row(page, "main").locator("text=2 run").wait_for()
    windows.expected += ["WebSocket connection to", "status of 503"]
    stage.restart(lambda: page.locator("#link", has_text="does not answer").wait_for())
    page.locator("#link").wait_for(state="hidden")
    stage.work(cluster, 3)
    row(page, "main").locator("text=3 run").wait_for()
    assert page.url == f"{stage.service}/", "nobody was asked to log in again"
