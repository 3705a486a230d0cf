"""`python -m emberhub_service.bench.acquisition`: how fast executors come and go, and how cached blocks move.

One driver, asked directly, without the service: what is measured is Spark and our settings of it. The `Order` is the
first line of standard input; the answer is written to standard output.
"""

from __future__ import annotations

import logging
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from emberhub.errors import EmberhubError
from emberhub.java import find_java
from emberhub.wire.driver import ENV_CONNECT_TOKEN, ENV_MARK, DriverConfig, mark
from emberhub.wire.resources import Resources
from emberhub_driver import archive
from emberhub_driver.conf import driver_options, driver_properties, write_properties
from emberhub_driver.jvm import Jvm, spark_environment
from emberhub_driver.spark import Py4jSpark

from .plans import QUICK

PATIENCE = 180.0
_OURS = (
    "spark.storage.decommission.replicationReattemptInterval",
    "spark.standalone.executorRemoveDelayOnDisconnection",
)
"""What we set for executors to go soon; left out where Spark's defaults are measured."""
_EACH_BLOCK = {"spark.ui.liveUpdate.period": "0"}
"""Has Spark count each block as it comes; by default the last of several at once is counted with what comes next."""
_BYTES_A_ROW = 64


class Move(msgspec.Struct, frozen=True):
    """One reclaim of an executor with cached blocks."""

    cached: int
    """Bytes, as Spark counts them."""
    seconds: float
    """From the order to decommission until the executor is gone."""
    moved: int
    """Bytes that the other executor has afterwards and had not before."""
    recomputed: int
    """Bytes that were missing and had to be computed again."""


class Order(msgspec.Struct, frozen=True):
    """What to measure: executors that come and go, or, with a `size`, a cache of so many bytes that moves."""

    directory: str
    master: str
    secret: str
    tuned: bool
    executor: Resources
    repeat: int = 0
    size: int = 0


class Answer(msgspec.Struct, frozen=True):
    """What was measured."""

    came: list[float] = []
    gone: list[float] = []
    move: Move | None = None


def main() -> int:
    """Measure what is ordered."""
    logging.getLogger("py4j").setLevel(logging.CRITICAL)
    os.umask(0o077)
    order = msgspec.json.decode(sys.stdin.readline(), type=Order)
    with application(order) as (spark, address):
        if order.size:
            answer = Answer(move=move(spark, address, order.size))
        else:
            pairs = [come_and_go(spark) for _ in range(order.repeat)]
            answer = Answer([came for came, _ in pairs], [gone for _, gone in pairs])
    print(msgspec.json.encode(answer).decode(), flush=True)
    return 0


@contextmanager
def application(order: Order) -> Iterator[tuple[Py4jSpark, str]]:
    """A driver with no executor; gives what asks it, and the address of its Spark Connect."""
    directory = Path(order.directory)
    directory.mkdir(mode=0o700)
    conf = {"spark.executor.extraJavaOptions": QUICK} if order.tuned else {}
    if order.size:
        conf |= _EACH_BLOCK
    config = DriverConfig(
        cluster=directory.name, generation=1, user="bench", name="bench", agent_url="", master=order.master,
        executor=order.executor, directory=str(directory), conf=conf, tuned=order.tuned,
    )  # fmt: skip
    java, token = find_java(), secrets.token_urlsafe(32)
    archives = archive.find(java)
    settings = driver_properties(config, secret=order.secret, executor_archive=archives.executor)
    if not order.tuned:
        settings = {key: value for key, value in settings.items() if key not in _OURS}
    write_properties(settings, directory / "spark.properties")
    jvm = Jvm.start(
        java,
        properties=directory / "spark.properties",
        directory=directory,
        options=driver_options(config, archives.driver),
        environment=spark_environment(java, config.host)
        | {ENV_CONNECT_TOKEN: token, ENV_MARK: mark(config.cluster, 1)},
    )
    try:
        spark = Py4jSpark(jvm.gateway(PATIENCE), config.host)
        yield spark, f"sc://localhost:{spark.endpoint().port}/;token={token}"
        spark.stop()
    finally:
        jvm.end(5.0)


def come_and_go(spark: Py4jSpark) -> tuple[float, float]:
    """Seconds from asking for one executor to its registration, and from its dismissal until it is gone."""
    began = time.monotonic()
    spark.apply_target(1)
    _await(lambda: len(spark.executors()) == 1, "an executor")
    came = time.monotonic() - began
    began = time.monotonic()
    spark.decommission([each.id for each in spark.executors()], 0)
    _await(lambda: not spark.executors(), "the executor's end")
    return came, time.monotonic() - began


def move(spark: Py4jSpark, address: str, size: int) -> Move:
    """Cache `size` bytes on one executor, start another, take the first back, and look at what became of the blocks."""
    session = _session(address)
    try:
        spark.apply_target(1)
        _await(lambda: len(spark.executors()) == 1, "the first executor")
        rows = _cached(session, size)
        first = spark.executors()[0]
        spark.apply_target(2)
        _await(lambda: _both_work(spark, session), "the second executor")
        cached = _await(lambda: _bytes_of(spark, first.id), "the cached blocks")
        began = time.monotonic()
        spark.decommission([first.id], 1)
        _await(lambda: first.id not in {each.id for each in spark.executors()}, "the end of the first executor")
        seconds = time.monotonic() - began
        moved = _told(spark, cached)
        rows.count()  # what is missing is computed again, and then cached
        after = _await(lambda: _all_bytes(spark), "the cached blocks")
        return Move(cached, seconds, moved, max(0, after - moved))
    finally:
        session.stop()
        spark.decommission([each.id for each in spark.executors()], 0)


def _session(address: str) -> Any:
    os.environ["SPARK_CONNECT_MODE_ENABLED"] = "1"
    from pyspark.sql.connect.session import SparkSession  # noqa: PLC0415

    return SparkSession.builder.remote(address).create()


def _cached(session: Any, size: int) -> Any:
    """A table of random numbers, which do not compress, that is in the cache."""
    from pyspark.sql import functions as fn  # noqa: PLC0415

    columns = [fn.rand(seed).alias(f"x{seed}") for seed in range(_BYTES_A_ROW // 8)]
    partitions = max(4, size >> 25)
    rows = session.range(0, size // _BYTES_A_ROW, numPartitions=partitions).select(*columns).cache()
    rows.count()
    return rows


def _both_work(spark: Py4jSpark, session: Any) -> bool:
    """Whether both executors have run tasks: one that has merely registered takes no blocks yet."""
    if len(spark.executors()) < 2:
        return False
    session.range(0, 8, numPartitions=8).count()
    return all(each.total_tasks for each in spark.executors())


def _bytes_of(spark: Py4jSpark, name: str) -> int:
    return next((each.cached_bytes for each in spark.executors() if each.id == name), 0)


def _all_bytes(spark: Py4jSpark) -> int:
    return sum(each.cached_bytes for each in spark.executors())


def _told(spark: Py4jSpark, most: int) -> int:
    """Bytes that are cached. What Spark counts comes a moment later: there is a second in which to be all."""
    deadline = time.monotonic() + 1.0
    while (seen := _all_bytes(spark)) < most and time.monotonic() < deadline:
        time.sleep(0.02)
    return seen


def _await(look: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise EmberhubError(f"Spark did not bring {what} within {PATIENCE:.0f} s")
        time.sleep(0.02)
    return seen


if __name__ == "__main__":
    sys.exit(main())
