"""A student's notebook and the hub's page, with real Spark: start, query, share with a neighbour, interrupt, stop."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.browser import Windows, check_accessible, log_in, press
from tests.support.hub import Hub, eventually
from tests.support.lab import Notebook

pytestmark = [pytest.mark.browser, pytest.mark.hub, pytest.mark.spark, pytest.mark.timeout(600)]

FAST = 'conf: {spark.executor.extraJavaOptions: "-XX:TieredStopAtLevel=1"}'
SITE = f"""
pools: [{{name: main, cores: 2, memory: 4G}}]
profiles:
  - name: small
    title: Small
    description: For most work
    executor: {{cores: 1, memory: 1G}}
    executors: {{min: 0, max: 2}}
    {FAST}
  - name: large
    title: Large memory
    description: For joins of large tables
    executor: {{cores: 1, memory: 3G}}
    executors: {{min: 0, max: 1}}
rules: {{min_hold: 0s, idle_after: 20s, reclaim_notice: 5s}}
"""

LAUNCHER = "import emberhub\n\nemberhub.launcher()"
PANEL = "cluster.panel()"
QUERY = """slow = "reflect('java.lang.Thread', 'sleep', bigint({}))"
tasks = spark.range(0, 12, 1, 12)
tasks.selectExpr("id", slow.format(500)).toPandas().shape"""
LONG = 'spark.range(0, 400, 1, 400).selectExpr("id", slow.format(500)).collect()'
EXTENSION = (
    "%load_ext emberhub\ntasks.selectExpr(\"concat('<b>', id % 3) AS kind\", \"id\").createOrReplaceTempView('parts')"
)
SQL = "%%sql --chart\nSELECT kind, sum(id) AS total FROM parts GROUP BY kind ORDER BY kind"


def wait_for(page: Any, where: Any, text: str) -> None:
    where.get_by_text(re.compile(text)).first.wait_for(timeout=120_000)


def visit(hub: Hub, page: Any, name: str) -> Any:
    """The hub's page of this person, who may have logged in before."""
    page.goto(f"{hub.service}/")
    if "/hub/login" in page.url:
        log_in(page, hub.url, name, hub.password(name))
    page.wait_for_selector("main[aria-busy=false]")
    return page.locator("#mine")


def test_a_student_starts_by_the_launcher_sees_queries_run_shares_with_a_neighbour_stops_one_and_stops(
    hub: Hub, windows: Windows
) -> None:
    windows.expected.append("Sec-WebSocket-Protocol")  # JupyterLab's own, and it goes on without
    page = windows.open()
    cells = (LAUNCHER, PANEL, QUERY, LONG, EXTENSION, SQL)
    notebook = Notebook(page, hub.url, hub.state / "homes" / "alice", "alice", hub.password("alice"), *cells)
    on_page = visit(hub, page.context.new_page(), "alice")
    on_page.locator(".nothing").wait_for()
    notebook.run(0)
    launcher = page.locator(".emberhub-launcher")
    wait_for(page, launcher, "You have no cluster yet")
    check_accessible(page, ".emberhub-launcher")
    windows.picture(page, "notebook-launcher", clip=launcher.bounding_box())
    press(page, "Start")
    wait_for(page, launcher, "The variables spark and cluster are ready")
    wait_for(page, on_page, "running")
    notebook.run(1)
    panel = page.locator(".emberhub-panel")

    # A query: its bar moves, and one line stays.
    notebook.start(2)
    bar = notebook.output(2).locator(".emberhub-query progress").first
    eventually(lambda: float(bar.get_attribute("value", timeout=120_000) or 0) > 0, "the bar moves", 120)
    windows.picture(page, "notebook-query", clip=notebook.cell(2).bounding_box())
    wait_for(page, notebook.output(2), r"Query done in .*: 12 tasks in 1 stage; 12 rows here\.")
    assert notebook.output(2).locator("progress").count() == 0
    wait_for(page, notebook.output(2), r"\(12, 2\)")
    notebook.cell(2).evaluate("cell => cell.scrollIntoView({block: 'end'})")
    windows.picture(page, "notebook-query-done", clip=notebook.cell(2).bounding_box())

    # A neighbour is to have an executor: it is asked back, counts down, and goes; the query goes on.
    notebook.start(3)
    wait_for(page, notebook.output(3), r"[1-9]\d* of 400 tasks done")
    wait_for(page, on_page, "2 run, ")
    hub.person("bob").ask("POST", "clusters", {"executors": {"min": 1, "max": 1}})
    panel.locator(".countdown").first.wait_for(timeout=120_000)
    wait_for(page, on_page, "Executor .* goes in ")
    wait_for(page, on_page, "1 runs, ")
    bobs = visit(hub, windows.open(), "bob")
    wait_for(page, bobs, "1 runs, ")
    assert "alice" not in bobs.page.content()

    # The stop button.
    notebook.interrupt()
    wait_for(page, notebook.output(3), r"Query interrupted after .* of 400 tasks were done, the rest is cancelled\.")
    notebook.cell(3).evaluate("cell => cell.scrollIntoView({block: 'end'})")
    windows.picture(page, "notebook-interrupted", clip=notebook.cell(3).bounding_box())
    wait_for(page, on_page, "no work")

    notebook.run(4)
    notebook.run(5)
    table = notebook.output(5).locator("table.emberhub-table")
    assert table.locator("tbody tr").first.locator("td").all_inner_texts() == ["<b>0", "18"]
    assert notebook.output(5).get_by_role("img", name="total by kind, 3 bars").is_visible()
    notebook.cell(5).evaluate("cell => cell.scrollIntoView({block: 'end'})")
    windows.picture(page, "notebook-sql", clip=notebook.cell(5).bounding_box())

    notebook.go_up(5)
    press(page, "Stop")
    wait_for(page, launcher, "Press Start to start it again")
    windows.picture(page, "notebook-stopped", clip=launcher.bounding_box())
    wait_for(page, on_page, r"It was stopped by alice\.")
