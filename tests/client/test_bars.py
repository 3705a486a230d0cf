"""A session's queries are shown as they run: a real Spark Connect client, a server of a few dictionaries."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import emberhub
import pytest
from emberhub import session
from emberhub.notebook.bars import Bars
from jupyter_client.manager import KernelManager

from tests.support.connect import FakeDriver, Step, numbers, tasks
from tests.support.fake_service import FakeService, a_cluster
from tests.support.hub import eventually


@pytest.fixture
def driver() -> Iterator[FakeDriver]:
    one = FakeDriver()
    yield one
    one.stop()


class Places:
    """Where the bars of a test are shown."""

    def __init__(self) -> None:
        self.all: list[list[str]] = []

    def __call__(self) -> Any:
        lines: list[str] = []
        self.all.append(lines)

        class Place:
            def show(self, line: str, picture: str) -> None:
                assert picture.startswith("<div")
                lines.append(line)

        return Place()


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> Places:
    """Every query is shown from its start, and every wait is explained soon."""
    monkeypatch.setattr("emberhub.notebook.bars.TICK", 0.0)
    monkeypatch.setattr("emberhub.notebook.bars.PATIENCE", 0.0)
    return Places()


@pytest.fixture
def spark(service: FakeService, driver: FakeDriver, places: Places) -> Any:
    service.will("POST", "clusters", a_cluster())
    service.will("GET", "clusters/c-1", a_cluster())
    service.will("GET", "clusters/c-1/connection", driver.connection)
    cluster = emberhub.cluster(quiet=True)
    session.watch(cluster.spark, Bars(cluster._feed, places))
    return cluster.spark


def steps_when(*groups: tuple[Callable[[], object], list[Step]]) -> Iterator[Step]:
    """Each group of steps once its condition holds."""
    for holds, group in groups:
        eventually(holds, "the query goes on", 10)
        yield from group


def test_a_query_is_shown_from_its_plan_to_its_rows(spark: Any, driver: FakeDriver, places: Places) -> None:
    driver.steps.append(
        steps_when(
            (lambda: places.all and any("plans it" in line for line in places.all[0]), [tasks(0, 4)]),
            (
                lambda: any("0 of 4 tasks" in line for line in places.all[0]),
                [tasks(4, 4, running=0, read=2048), *numbers(7, 8)],
            ),
        )
    )
    assert [row.id for row in spark.table("stars").collect()] == [7, 8]
    (lines,) = places.all
    assert lines[-1].startswith("Query done in ")
    assert lines[-1].endswith(" s: 4 tasks in 1 stage; 2 rows and 2 KiB read; 2 rows here.")


def test_pandas_queries_side_by_side_have_a_bar_each(spark: Any, driver: FakeDriver, places: Places) -> None:
    both = threading.Barrier(2, timeout=10)

    def steps() -> Iterator[Step]:
        yield tasks(1, 2)
        both.wait()
        yield from numbers(1, 2, 3)

    def ask(_: int) -> int:
        return len(spark.table("stars").toPandas())

    driver.steps = [steps(), steps()]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(ask, range(2))) == [3, 3]
    assert len(places.all) == 2
    assert all(lines[-1].startswith("Query done") for lines in places.all)


def test_a_query_that_waits_says_why_and_stops_asking_once_it_runs(
    spark: Any, driver: FakeDriver, places: Places, service: FakeService
) -> None:
    service.will("GET", "clusters/c-1", a_cluster(running=(), granted=1, version=2))
    driver.steps.append(
        steps_when(
            (lambda: places.all and any("is on its way" in line for line in places.all[0]), [tasks(1, 2)]),
            (lambda: any("1 of 2 tasks" in line for line in places.all[0]), numbers(1)),
        )
    )
    spark.table("stars").collect()
    waits = next(line for line in places.all[0] if "on its way" in line)
    assert waits.startswith("Query: waits for an executor (")
    eventually(lambda: "emberhub-feed" not in [thread.name for thread in threading.enumerate()], "nobody asks any more")


def test_a_query_that_fails_says_so_whatever_else_went_wrong_before(
    spark: Any, driver: FakeDriver, places: Places
) -> None:
    def fails() -> Iterator[Step]:
        yield tasks(1, 2)
        raise RuntimeError("the driver breaks")

    driver.steps.append(fails())
    with pytest.raises(Exception):  # noqa: B017 (Spark's own, of whichever kind)
        spark.table("stars").collect()
    assert places.all[-1][-1].startswith("Query failed after ")
    try:
        raise ValueError("an error that the user deals with")
    except ValueError:
        driver.steps.append(iter(numbers(1)))
        spark.table("stars").collect()
    assert places.all[-1][-1].startswith("Query done in ")


BEGIN = """
import emberhub
spark = emberhub.cluster().spark
"""
ROW_BY_ROW = """
rows = spark.table('stars').toLocalIterator()
for row in rows:
    print(row.id, flush=True)
    __import__('time').sleep(60)
"""
SIDE_BY_SIDE = """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(1) as pool:
    list(pool.map(lambda _: spark.table('stars').toPandas(), range(1)))
"""
PRESSED_AGAIN = """
from pyspark.sql.connect.client.reattach import ExecutePlanResponseReattachableIterator as Answer
def press(*_):
    spark.client.__dict__.pop("interrupt_operation", None)
    raise KeyboardInterrupt
Answer.close = spark.client.interrupt_operation = press
spark.table('stars').toPandas()
"""


class Kernel:
    """A real kernel with a session of the cluster."""

    def __init__(self, service: FakeService, driver: FakeDriver) -> None:
        service.will("POST", "clusters", a_cluster())
        service.will("GET", "clusters/c-1", a_cluster())
        service.will("GET", "clusters/c-1/connection", driver.connection)
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(env=dict(os.environ))
        self.client = self.manager.client()
        self.client.start_channels()
        try:
            self.client.wait_for_ready(timeout=60)
            assert self.run(BEGIN)["status"] == "ok"
        except BaseException:
            self.end()
            raise

    def run(self, code: str, hook: Callable[[dict[str, Any]], None] = lambda _: None) -> dict[str, Any]:
        return dict(self.client.execute_interactive(code, timeout=60, output_hook=hook)["content"])

    def end(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture
def kernel(service: FakeService, driver: FakeDriver) -> Iterator[Kernel]:
    one = Kernel(service, driver)
    yield one
    one.end()


def test_the_stop_button_of_a_notebook_cancels_the_query_and_its_cell_says_so(
    kernel: Kernel, driver: FakeDriver
) -> None:
    stopped = threading.Event()
    shown: list[dict[str, Any]] = []
    pressed = threading.Event()

    def steps() -> Iterator[Step]:
        yield tasks(1, 40)
        stopped.wait(30)
        yield tasks(1, 40)

    def hook(message: dict[str, Any]) -> None:
        if "data" in message["content"]:
            shown.append(message)
            if "1 of 40 tasks" in message["content"]["data"]["text/plain"] and not pressed.is_set():
                pressed.set()
                kernel.manager.interrupt_kernel()

    driver.steps.append(steps())
    try:
        reply = kernel.run("spark.table('stars').toPandas()", hook)
        assert reply["ename"] == "KeyboardInterrupt"
        assert len(driver.cancelled) == 1
    finally:
        stopped.set()
    assert [message["msg_type"] for message in shown[:1]] == ["display_data"]
    assert {message["msg_type"] for message in shown[1:]} == {"update_display_data"}
    assert last(shown)["text/plain"].startswith("Query interrupted after ")
    assert last(shown)["text/plain"].endswith(": 1 of 40 tasks were done, the rest is cancelled.")
    assert "<progress" not in last(shown)["text/html"]


def last(shown: list[dict[str, Any]]) -> dict[str, str]:
    return dict(shown[-1]["content"]["data"])


@pytest.mark.parametrize("cell", [ROW_BY_ROW, SIDE_BY_SIDE, PRESSED_AGAIN])
def test_a_query_that_spark_does_not_cancel_as_its_cell_is_interrupted_is_cancelled_all_the_same(
    kernel: Kernel, driver: FakeDriver, cell: str
) -> None:
    stopped = threading.Event()

    def steps() -> Iterator[Step]:
        yield from numbers(1)
        yield tasks(1, 40)
        # As Spark does: an answer is broken off where its query is cancelled.
        eventually(lambda: driver.cancelled or stopped.is_set(), "the query is cancelled", 30)
        yield from numbers(2)

    def hook(message: dict[str, Any]) -> None:
        content = message["content"]
        if content.get("text") == "1\n" or "1 of 40 tasks" in str(content.get("data")):
            kernel.manager.interrupt_kernel()

    driver.steps.append(steps())
    try:
        assert kernel.run(cell, hook)["ename"] == "KeyboardInterrupt"
        eventually(lambda: len(driver.cancelled) == 1, "the query is cancelled", 30)
    finally:
        stopped.set()
