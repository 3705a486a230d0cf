"""`emberhub bench panel`: what thirty panels and a class page cost the service, and what a panel costs its own page."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import emberhub.notebook
import msgspec
import psutil
from emberhub.errors import EmberhubError
from emberhub.http import Service
from emberhub.notebook.feed import Feed
from emberhub.notebook.panel import panel_state
from emberhub.notebook.timeline import WINDOW, Timeline
from emberhub.wire import rest
from emberhub.wire.resources import Resources
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import websocket_connect

from ..bench.pages import STUDENTS, TEACHER, student

RATE = 6.0
_SETTLE = 3.0
"""Seconds until what was asked for has been done, before anything is counted."""
_BUSY = 4.0
"""Updates a second of a busy panel: what its feed brings at most."""


def configure(subjects: Any) -> None:
    """Declare the subject."""
    parser: argparse.ArgumentParser = subjects.add_parser(
        "panel", help="processor time and messages of open panels and the class page, as JSON"
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each part is looked at (default 20)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to a file too")
    parser.set_defaults(measure=_panel)


def _panel(args: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as directory:
        found = {
            "seconds": args.seconds,
            "clusters": STUDENTS,
            "changes_a_second": RATE,
            **asyncio.run(service_costs(Path(directory), args.seconds)),
            "page": page_costs(args.seconds),
        }
    text = json.dumps(found, indent=2)
    print(text)
    if args.json:
        args.json.write_text(text + "\n")
    return 0


# --- the service ---


async def service_costs(directory: Path, seconds: float) -> dict[str, Any]:
    """Percent of a core of the service without and with open panels, at rest and while clusters change; messages."""
    with _service(directory) as (process, url):
        looked_at = psutil.Process(process.pid)

        async def cost(rate: float) -> float:
            assert process.stdin is not None
            process.stdin.write(f"{rate}\n")
            process.stdin.flush()
            await asyncio.sleep(_SETTLE)
            before = looked_at.cpu_times()
            await asyncio.sleep(seconds)
            after = looked_at.cpu_times()
            return round(100 * (after.user + after.system - before.user - before.system) / seconds, 2)

        told = Counter[str]()
        alone = {"idle": await cost(0), "busy": await cost(RATE)}
        with _panels(url, told):
            async with _class_page(url, told):
                idle = await cost(0)
                told.clear()
                busy = await cost(RATE)
                counted = dict(told)
    bytes_sent = counted.pop("bytes", 0)
    panels = [number for name, number in counted.items() if name != TEACHER]
    per_second = seconds + _SETTLE
    return {
        "service_percent_of_a_core": {
            "nothing_open": alone,
            "panels_and_class_page": {"idle": idle, "busy": busy},
            "added": {"idle": round(idle - alone["idle"], 2), "busy": round(busy - alone["busy"], 2)},
        },
        "messages_a_second": {
            "busiest_panel": round(max(panels, default=0) / per_second, 2),
            "class_page": round(counted.get(TEACHER, 0) / per_second, 2),
            "class_page_bytes": round(bytes_sent / per_second),
        },
    }


@contextlib.contextmanager
def _service(directory: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "emberhub_service.bench.pages", str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    with process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise EmberhubError(
                    f"The service that is to be measured did not start: {(directory / 'log').read_text()[-500:]}"
                )
            yield process, json.loads(line)["url"]
        finally:
            process.terminate()


@contextlib.contextmanager
def _panels(url: str, told: Counter[str]) -> Iterator[None]:
    """What a panel in a notebook asks the service for, once for each student."""
    lock, leaves = threading.Lock(), []

    def listener(name: str) -> Any:
        def hear(_: object) -> None:
            with lock:
                told[name] += 1

        return hear

    for number in range(STUDENTS):
        service = Service(url, student(number))
        (mine,) = service.get("clusters", rest.Clusters).clusters
        leaves.append(Feed(service, mine).listen(listener(student(number))))
    try:
        yield
    finally:
        for leave in leaves:
            leave()


@contextlib.asynccontextmanager
async def _class_page(url: str, told: Counter[str]) -> AsyncIterator[None]:
    """The class as its instructor's browser sees it."""
    headers = {"Authorization": f"token {TEACHER}", "Sec-Fetch-Mode": "navigate"}
    home = await AsyncHTTPClient().fetch(HTTPRequest(f"{url}/", headers=headers))
    found = re.search(r'data-xsrf="([^"]+)"', home.body.decode())
    assert found is not None
    cookies = "; ".join(cookie.partition(";")[0] for cookie in home.headers.get_list("Set-Cookie"))
    headers |= {"Cookie": cookies, "Origin": url.rpartition("/services")[0]}
    socket = await websocket_connect(HTTPRequest(f"{url.replace('http', 'ws', 1)}/live", headers=headers))
    await socket.write_message(json.dumps({"xsrf": found[1]}))

    async def hear() -> None:
        while (text := await socket.read_message()) is not None:
            told[TEACHER] += 1
            told["bytes"] += len(text)

    task = asyncio.create_task(hear())
    try:
        yield
    finally:
        task.cancel()
        socket.close()


# --- the page ---

_HOST = """
window.show = (state) => { model.state = state; for (const listener of model.listeners) listener(); };
const model = { state: null, listeners: [], get: (name) => name === "state" ? model.state : "", send: () => {},
  on: (event, listener) => { if (event === "change:state") model.listeners.push(listener); }, off: () => {} };
window.open_panel = (state) => {
  model.state = state;
  panel.render({ model, el: document.body });
};
"""


def page_costs(seconds: float) -> dict[str, float] | None:
    """Percent of a core of a browser's page that shows nothing but the panel; None without Chromium and Playwright.

    `still`: nothing has changed for two minutes; `moving`: something has, so that the picture still moves; `busy`: four
    updates a second.
    """
    try:
        playwright = importlib.import_module("playwright.sync_api")
    except ModuleNotFoundError:
        return None
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        return None
    source = (Path(emberhub.notebook.__file__).parent / "static" / "panel.js").read_text()
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.add_script_tag(content=_HOST)
        page.add_script_tag(content=source.replace("export default", "window.panel ="))
        page.evaluate("state => open_panel(state)", _state(200.0, 0))
        metrics = page.context.new_cdp_session(page)
        metrics.send("Performance.enable")

        def cost(updates: float = 0.0) -> float:
            end, before, count = time.monotonic() + seconds, _spent(metrics), 0
            while (left := end - time.monotonic()) > 0:
                if updates:
                    count += 1
                    page.evaluate("state => show(state)", _state(1.0, count % 3))
                page.wait_for_timeout(1000 * min(left, 1 / updates if updates else left))
            return round(100 * (_spent(metrics) - before) / seconds, 2)

        page.wait_for_timeout(1000 * _SETTLE)
        still = cost()
        page.evaluate("state => show(state)", _state(1.0, 2))
        found = {"still": still, "moving": cost(), "busy": cost(_BUSY)}
        browser.close()
    return found


def _spent(metrics: Any) -> float:
    """Processor seconds of the page's process."""
    told = {each["name"]: each["value"] for each in metrics.send("Performance.getMetrics")["metrics"]}
    return float(told["ProcessTime"])


def _state(age: float, tasks: int) -> dict[str, Any]:
    """A panel with four executors, whose last change is so many seconds ago."""
    executor = rest.ExecutorView(
        "1", age=age, active_tasks=tasks, cached_bytes=0, shuffle_bytes=0, decommissioning=False
    )
    cluster = rest.Cluster(
        id="c-1",
        name="main",
        user="student",
        profile="small",
        queue="class",
        state="running",
        message="",
        executors=rest.ExecutorRange(0, 4),
        executor=Resources.of(cores=1, memory="1G"),
        wanted=4 if tasks else 0,
        granted=4,
        running=tuple(msgspec.structs.replace(executor, id=str(number)) for number in range(1, 5)),
        reclaims=(),
        unmet=None,
        ready=True,
        generation=1,
        restarted="",
        created=0.0,
        version=1,
    )
    timeline = Timeline()
    timeline.add(cluster, 0.0)
    return panel_state(cluster, timeline.seen(0.0 if age < WINDOW else age))
