"""`emberhub demo`: start a real hub, run the example notebook in it as a user would, and say what happened."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from emberhub.errors import EmberhubError
from emberhub.http import Service

from . import leftovers
from .localconfig import example_notebook
from .localhub import LocalHub, prepare, write_json
from .runbook import Ran, run_notebook
from .supervisor import Interrupted, Supervisor
from .up import EXECUTORS, executors, say
from .visitor import Visitor
from .watch import Watch

USER = "ada"
ROWS = 482176
"""Stars in the example's catalogue."""
GIVE_BACK_TIMEOUT = 90.0
NOTEBOOK = "emberhub-demo.ipynb"


@dataclass
class Facts:
    """What happened. `ok` is true only if everything did that should."""

    ok: bool = False
    error: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    """To the hub, the notebook server, the cluster and the first result, each from when it was asked for."""
    rows: int | None = None
    executors_peak: int = 0
    executors_left: int | None = None
    notebook: str = ""
    """Path of the executed notebook."""
    processes_left: int | None = None
    processes_ended: int = 0
    """Processes that outlived the hub's own stop and had to be ended one by one."""
    state: str = ""
    """The hub's directory, if it was kept."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what happened to FILE too")
    parser.add_argument("--executors", type=executors, default=EXECUTORS, help="executors to share (default: 4)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the hub's files and logs in DIR")


def run(args: argparse.Namespace) -> int:
    """Play the demo; returns 0 only if all of it worked, 130 after Ctrl-C."""
    facts = Facts()
    began = time.monotonic()
    state = (args.keep or Path(tempfile.mkdtemp(prefix="emberhub-demo-"))).absolute()
    status = 1
    try:
        _play(facts, prepare(state, 0, args.executors))
    except Interrupted:
        facts.error, status = "interrupted", 130
    except EmberhubError as error:
        facts.error = str(error)
    facts.processes_left = len(leftovers.processes(state))
    facts.seconds["total"] = time.monotonic() - began
    facts.seconds = {name: round(seconds, 1) for name, seconds in facts.seconds.items()}
    facts.error = facts.error or _what_is_wrong(facts)
    facts.ok = not facts.error
    if args.keep or (facts.error and status != 130):
        facts.state = str(state)
    else:
        shutil.rmtree(state, ignore_errors=True)
    if args.json:
        write_json(args.json, asdict(facts))
    say(_summary(facts))
    return 0 if facts.ok else status


def _play(facts: Facts, hub: LocalHub) -> None:
    supervisor = Supervisor(hub, say)
    try:
        with supervisor:
            say(f"Starting a hub in {hub.state} …")
            began = time.monotonic()
            supervisor.start()
            facts.seconds["hub"] = time.monotonic() - began
            say(f"The hub answers at {hub.url}.")
            # The visit blocks on sockets for long; in a thread of its own it never keeps Ctrl-C waiting.
            visit = _Visit(lambda: _visit(facts, hub))
            visit.start()
            while visit.is_alive():
                supervisor.wait(0.2)
            visit.outcome()
    finally:
        facts.processes_ended = supervisor.left


class _Visit(threading.Thread):
    def __init__(self, what: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._what = what
        self._error: Exception | None = None

    def run(self) -> None:
        try:
            self._what()
        except Exception as error:
            self._error = error

    def outcome(self) -> None:
        if isinstance(self._error, EmberhubError):
            raise self._error
        if self._error is not None:
            raise EmberhubError(f"{type(self._error).__name__}: {self._error}") from self._error


def _visit(facts: Facts, hub: LocalHub) -> None:
    """What a person would do in a browser."""
    visitor = Visitor(hub.url, USER)
    visitor.log_in(hub.password_file.read_text().strip())
    say(f"Logged in as {USER}.")
    began = time.monotonic()
    visitor.start_server(lambda message: say(f"  {message}"))
    facts.seconds["server"] = time.monotonic() - began
    token = visitor.new_token("access:services!service=emberhub")
    watch = Watch(Service(f"{hub.url}/services/emberhub", token))
    watch.start()
    try:
        _run_example(facts, visitor)
        say("Waiting until the executors are given back …")
        facts.executors_left = watch.wait_until_given_back(GIVE_BACK_TIMEOUT)
    finally:
        facts.executors_peak = watch.peak
        watch.stop()


def _run_example(facts: Facts, visitor: Visitor) -> None:
    notebook = nbformat.read(example_notebook(), as_version=4)
    visitor.put_notebook("gaia.ipynb", notebook)
    kernel = visitor.open_kernel("gaia.ipynb")
    path = f"{visitor.server}/api/kernels/{urllib.parse.quote(kernel)}/channels"
    try:
        ran = asyncio.run(run_notebook(notebook, visitor.hub + path, visitor.headers(path), _tell_cell))
    finally:
        # Also where a cell failed: its error is in it.
        target = Path(NOTEBOOK).absolute()
        nbformat.write(notebook, target)
        facts.notebook = str(target)
    visitor.put_notebook("gaia.ipynb", notebook)
    asked, counted = _tagged(ran, "emberhub-cluster"), _tagged(ran, "emberhub-rows")
    facts.seconds["cluster"] = asked.ended - asked.began
    facts.seconds["first_result"] = counted.ended - asked.began
    facts.rows = int(counted.text) if counted.text.isdigit() else None


def _tagged(ran: list[Ran], tag: str) -> Ran:
    found = next((cell for cell in ran if tag in cell.tags), None)
    if found is None:
        raise EmberhubError(f"the example notebook has no cell with the tag {tag}")
    return found


def _tell_cell(number: int, of: int, ran: Ran | None) -> None:
    if ran is None:
        say(f"  cell {number} of {of} …")
    else:
        say(f"  cell {number} of {of}: {ran.ended - ran.began:.1f} s")


def _what_is_wrong(facts: Facts) -> str:
    wrong = []
    if facts.rows != ROWS:
        wrong.append(f"{facts.rows} rows were counted instead of {ROWS}")
    if facts.executors_peak < 1:
        wrong.append("the hub granted no executor")
    if facts.executors_left != 0:
        wrong.append(f"{facts.executors_left} executors were not given back")
    if facts.processes_left != 0:
        wrong.append(f"{facts.processes_left} processes are left")
    return "; ".join(wrong)


def _summary(facts: Facts) -> str:
    def seconds(name: str) -> str:
        return f"{facts.seconds[name]:.1f} s" if name in facts.seconds else "-"

    def shown(value: Any) -> str:
        return "-" if value is None or value == "" else str(value)

    rows = [
        ("hub", seconds("hub")),
        ("notebook server", seconds("server")),
        ("cluster", seconds("cluster")),
        ("first result", f"{seconds('first_result')} after asking for the cluster"),
        ("all of it", seconds("total")),
        ("rows counted", shown(facts.rows)),
        ("executors", f"{facts.executors_peak} granted at the peak, {shown(facts.executors_left)} left at the end"),
        ("notebook", shown(facts.notebook)),
        ("processes left", shown(facts.processes_left)),
        *([("hub's files", facts.state)] if facts.state else []),
        ("outcome", "everything worked" if facts.ok else f"failed: {facts.error}"),
    ]
    return "\n" + "\n".join(f"  {name + ':':<17} {text}" for name, text in rows)
