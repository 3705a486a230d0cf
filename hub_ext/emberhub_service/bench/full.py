"""The workshop on a whole hub: users who log in, each with a notebook server, and a kernel that does their work."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
import urllib.parse
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import nbformat
from emberhub.errors import EmberhubError

from ..commands.localhub import LocalHub, prepare
from ..commands.runbook import Ran, run_notebook
from ..commands.visitor import Visitor
from . import client
from .ember import STOP_TIMEOUT, answers, kind_of, site_text
from .metrics import Visit
from .notebooks import NOTEBOOKS
from .plans import Plan

AT_ONCE = 4
"""Notebook servers that are started at a time; nobody's time counts before all run."""
CELL_TIMEOUT = 7200.0

_SERVICE = """
services = c.JupyterHub.services.get_value([])  # noqa: F821
services[0]["command"].append({argument!r})
c.JupyterHub.services = services  # noqa: F821
"""

Tell = Callable[[str, client.Event], None]


@asynccontextmanager
async def hub(plan: Plan) -> AsyncIterator[LocalHub]:
    """Run a hub as `emberhub up` does, with the plan's site. Raises EmberhubError."""
    site = plan.directory / "site.yaml"
    site.write_text(site_text(plan))
    local = await asyncio.to_thread(prepare, plan.directory, 0, plan.executors, site, tuple(plan.names))
    kind = kind_of(plan)
    config = plan.directory / "jupyterhub_config.py"
    backend = f"--EmberhubService.backend={kind.__module__}.{kind.__name__}"
    config.write_text(config.read_text() + _SERVICE.format(argument=backend))
    process = await _launch(local, "jupyterhub", "--config", str(config))
    try:
        for path in ("/hub/health", "/services/emberhub/health"):
            await answers(local.url + path, process, local.log)
        yield local
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), STOP_TIMEOUT)
        where = f"--EmberhubService.state_dir={local.state}", f"--EmberhubService.site={site}"
        ending = await _launch(local, "emberhub_service", "--shutdown", *where)
        await asyncio.wait_for(ending.wait(), STOP_TIMEOUT)


async def _launch(local: LocalHub, module: str, *arguments: str) -> asyncio.subprocess.Process:
    with local.log.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
            cwd=local.state, env=os.environ, start_new_session=True,
        )  # fmt: skip


class User:
    """A user with a browser, a notebook server and a kernel."""

    def __init__(self, local: LocalHub, task: client.Task, door: asyncio.Semaphore) -> None:
        self._task = task
        self._door = door
        self._password = local.password_file
        self._visitor = Visitor(local.url, task.user)
        self._kernel = ""

    async def ready(self) -> None:
        """Log in, start the server, and import in the kernel what a kernel in use has imported."""
        async with self._door:
            await asyncio.to_thread(self._open)
        text = msgspec.json.encode(self._task).decode()
        await self._run(
            "import msgspec\nfrom emberhub_service.bench import client\nclient.import_all()\n"
            f"visit = client.Visit(msgspec.json.decode({text!r}, type=client.Task))",
            lambda _: None,
        )

    async def follow(self, zero: float, tell: Tell) -> Visit:
        """Run the four notebooks in the kernel; what fails is part of the visit."""
        told: list[client.Event] = []

        def note(event: client.Event) -> None:
            told.append(event)
            tell(self._task.user, event)

        try:
            await self._run("visit.ask()", note)
            for notebook in NOTEBOOKS:
                await self._run(f"visit.run({notebook!r})", note)
        except EmberhubError as error:
            note(client.Event("failed", time.monotonic(), text=str(error)))
        finally:
            await self._run("visit.leave()", note)
        return client.visit_of(self._task.user, told, zero)

    def _open(self) -> None:
        self._visitor.log_in(self._password.read_text().strip())
        self._visitor.start_server(lambda _: None)
        self._visitor.put_notebook("work.ipynb", nbformat.v4.new_notebook())
        self._kernel = self._visitor.open_kernel("work.ipynb")

    async def _run(self, source: str, note: Callable[[client.Event], None]) -> None:
        """Run one cell, and read the events that it printed."""
        cell = nbformat.v4.new_code_cell(source)
        path = f"{self._visitor.server}/api/kernels/{urllib.parse.quote(self._kernel)}/channels"
        headers = self._visitor.headers(path)

        def ignore(_number: int, _of: int, _ran: Ran | None) -> None:
            """All is told by the cell's own output."""

        notebook: dict[str, Any] = {"cells": [cell]}
        try:
            await run_notebook(notebook, self._visitor.hub + path, headers, ignore, CELL_TIMEOUT)
        finally:
            for line in printed(cell):
                note(msgspec.json.decode(line, type=client.Event))


def printed(cell: Any) -> list[str]:
    """The lines that a cell wrote to its standard output as events."""
    text = "".join(output["text"] for output in cell["outputs"] if output.get("name") == "stdout")
    return [line for line in text.splitlines() if line.startswith('{"kind":')]
