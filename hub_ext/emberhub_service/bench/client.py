"""`python -m emberhub_service.bench.client`: one user of the workshop, in a process of their own.

It reads its `Task` from the first line of standard input, imports what a kernel in use has imported, says that it is
ready, and starts when the next line comes. On standard output it writes one `Event` a line. Times are of the machine's
monotonic clock, which all processes share.
"""

from __future__ import annotations

import os
import random
import secrets
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from emberhub import session as sessions
from emberhub.wire import rest
from emberhub.wire.driver import ENV_CONNECT_TOKEN, ENV_SPARK_SECRET

from . import data, driver, metrics
from .notebooks import NOTEBOOKS, Desk

START_TIMEOUT = 1800.0
STOP_TIMEOUT = 60.0


class Task(msgspec.Struct, frozen=True):
    """What one user is to do."""

    user: str
    seed: int
    think: tuple[float, float]
    """Least and most seconds between two cells."""
    data: str
    executors: int
    """The most that the user asks for."""
    order: str = ""
    """The order of a driver of the user's own; without it, the user asks Emberhub."""


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that happened."""

    kind: str
    """ready, asked, session, cell, done, stopped, failed."""
    at: float
    notebook: str = ""
    cell: str = ""
    began: float = 0.0
    text: str = ""
    """A cell's result, the id of a Spark session that is new, or why the user failed."""


Tell = Callable[[Event], None]


def main() -> int:
    """Be the user; returns 0 if all went well."""
    task = msgspec.json.decode(sys.stdin.readline(), type=Task)
    import_all()
    tell(Event("ready", time.monotonic()))
    if not sys.stdin.readline():
        return 1  # called off
    return attend(task, tell)


def tell(event: Event) -> None:
    """Write an event down, for whoever started this process."""
    print(msgspec.json.encode(event).decode(), flush=True)


def visit_of(user: str, told: Sequence[Event], zero: float) -> metrics.Visit:
    """What a user's events come to, in seconds since `zero`."""
    when = {event.kind: event.at - zero for event in told}
    cells = (
        (event.notebook, event.cell, event.began - zero, event.at - zero, event.text)
        for event in told
        if event.kind == "cell"
    )
    return metrics.Visit(
        user=user,
        asked=when.get("asked", 0.0),
        done=when.get("done"),
        cells=tuple(cells),
        sessions=tuple(event.text for event in told if event.kind == "session"),
        error=next((event.text for event in told if event.kind == "failed"), ""),
    )


def attend(task: Task, tell: Tell) -> int:
    """Ask for a cluster, run the four notebooks, stop the cluster. Returns 0 if all went well."""
    visit = Visit(task, tell)
    try:
        visit.ask()
        for notebook in NOTEBOOKS:
            visit.run(notebook)
    except Exception as error:
        traceback.print_exc()
        tell(Event("failed", time.monotonic(), text=f"{type(error).__name__}: {error}"[:2000]))
        return 1
    finally:
        visit.leave()
    return 0


class Visit:
    """One user's time at the workshop. Errors come through as Spark and Emberhub raise them."""

    def __init__(self, task: Task, tell: Tell = tell) -> None:
        self._task = task
        self._tell = tell
        # Nobody is to guess it: it is to be the same for every policy.
        self._mind = random.Random(f"{task.seed} {task.user}")  # noqa: S311
        self._expected = data.read_expected(Path(task.data))
        self._own = Own(Path(task.order), task.executors) if task.order else None
        self._cluster: Any = None
        self._desk = Desk(Path(task.data), self._session, self._expected)
        self._known = ""

    def ask(self) -> None:
        """Ask for a cluster, and wait until it takes work."""
        self._tell(Event("asked", time.monotonic()))
        if self._own is not None:
            self._own.start()
        else:
            import emberhub  # noqa: PLC0415 (with the client alone)

            self._cluster = emberhub.cluster(executors=(0, self._task.executors), timeout=START_TIMEOUT, quiet=True)

    def run(self, notebook: str) -> None:
        """Run one notebook, with some thought before each cell but the very first."""
        for cell in NOTEBOOKS[notebook]:
            if self._known:
                time.sleep(self._mind.uniform(*self._task.think))
            began = time.monotonic()
            session = self._session().session_id
            if session != self._known:
                self._tell(Event("session", time.monotonic(), text=session))
                self._known = session
            text = cell(self._desk)
            self._tell(Event("cell", time.monotonic(), notebook, cell.__name__, began, text))
        if notebook == list(NOTEBOOKS)[-1]:
            self._tell(Event("done", time.monotonic()))

    def leave(self) -> None:
        """Stop the cluster, if there is one."""
        if self._own is not None:
            self._own.stop()
        elif self._cluster is not None:
            self._cluster.stop()
        self._tell(Event("stopped", time.monotonic()))

    def _session(self) -> Any:
        return self._own.session() if self._own is not None else self._cluster.spark


class Own:
    """A driver that the user starts, as without Emberhub, and its Spark Connect session."""

    def __init__(self, order: Path, executors: int) -> None:
        self._order = order
        self._executors = executors
        self._process: subprocess.Popen[str] | None = None
        self._session: Any = None

    def start(self) -> None:
        """Start the driver and connect."""
        order = msgspec.json.decode(self._order.read_bytes(), type=driver.Order)
        token, directory = secrets.token_urlsafe(32), Path(order.config.directory)
        directory.mkdir(mode=0o700, parents=True)
        with (directory / "driver.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", driver.__name__, str(self._order)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=os.environ | {ENV_CONNECT_TOKEN: token, ENV_SPARK_SECRET: os.environ[ENV_SPARK_SECRET]},
            )
        assert self._process.stdout is not None
        port = self._process.stdout.readline().strip()
        if not port:
            raise RuntimeError(f"the driver ended with status {self._process.wait()}; see {directory}/driver.log")
        to = rest.Connection(order.config.host, int(port), token)
        self._session = sessions.connect(to, _as_cluster(order, self._executors))

    def session(self) -> Any:
        """The session."""
        return self._session

    def stop(self) -> None:
        """End it, and see it gone."""
        if self._session is not None:
            sessions.drop(self._session)
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait(STOP_TIMEOUT)


def _as_cluster(order: driver.Order, most: int) -> rest.Cluster:
    """What `connect` reads of a cluster: its size. So both kinds have the same number of shuffle partitions."""
    executors = rest.ExecutorRange(0, most)
    return rest.Cluster(
        id="", name="own", user=order.config.user, profile="", queue="", state="running", message="",
        executors=executors, executor=order.config.executor, wanted=0, granted=0, running=(), reclaims=(), unmet=None,
        ready=True, generation=1, restarted="", created=0.0, version=1,
    )  # fmt: skip


def import_all() -> None:
    """What the kernel of somebody who has worked with Spark before holds already."""
    import grpc  # noqa: F401, PLC0415
    import pandas as pd  # noqa: F401, PLC0415

    os.environ["SPARK_CONNECT_MODE_ENABLED"] = "1"
    import pyspark.ml.classification  # noqa: PLC0415
    import pyspark.ml.feature  # noqa: PLC0415
    import pyspark.sql.connect.session  # noqa: F401, PLC0415


if __name__ == "__main__":
    sys.exit(main())
