"""Classic PySpark in the driver's JVM, for Livy sessions."""

from __future__ import annotations

import os
from typing import Any

import msgspec
from emberhub.wire.livy import Output

from .cells import failed

_ROWS = 1000
"""Rows of a SQL statement's result, as Livy has it."""


def attach(port: int, secret: str) -> Any:
    """A SparkSession of its own, with its own views and settings, in the JVM at this gateway."""
    from pyspark import SparkConf, SparkContext  # noqa: PLC0415 (takes a second)
    from pyspark.java_gateway import launch_gateway  # noqa: PLC0415
    from pyspark.sql import SparkSession  # noqa: PLC0415

    os.environ |= {"PYSPARK_GATEWAY_PORT": str(port), "PYSPARK_GATEWAY_SECRET": secret}
    gateway = launch_gateway()
    for name in ("PYSPARK_GATEWAY_PORT", "PYSPARK_GATEWAY_SECRET"):
        del os.environ[name]
    jvm: Any = gateway.jvm
    context = jvm.JavaSparkContext.fromSparkContext(jvm.org.apache.spark.SparkContext.getOrCreate())
    conf: Any = SparkConf(_jconf=context.getConf())
    sc: Any = SparkContext(gateway=gateway, jsc=context, conf=conf)
    shared: Any = SparkSession(sc)
    spark: Any = shared.newSession()
    # What `builder.getOrCreate()` gives.
    SparkSession._instantiatedSession = spark
    jvm.org.apache.spark.sql.classic.SparkSession.setActiveSession(spark._jsparkSession)
    sc.stop = spark.stop = _stay
    return spark


def _stay() -> None:
    """`spark.stop()`: others use this Spark too."""
    print("The cluster goes on, for your other notebooks. It stops by itself when it is not used.")


def query(spark: Any, code: str) -> Output:
    """Run a statement of SQL, as a session of kind `sql` does."""
    try:
        frame = spark.sql(code)
        rows = [list(row) for row in frame.limit(_ROWS).collect()]
        table = {"schema": msgspec.json.decode(frame.schema.json()), "data": rows}
        return Output("ok", 0, data={"application/json": msgspec.to_builtins(table, enc_hook=str)})
    except Exception as error:
        return failed(error)


def progress(context: Any, group: str) -> float:
    """Tasks done, of those known of all jobs in this group; from 0 to 1."""
    tracker = context.statusTracker()
    stages = {stage for job in tracker.getJobIdsForGroup(group) for stage in _stages(tracker, job)}
    known = [info for stage in stages if (info := tracker.getStageInfo(stage)) is not None]
    tasks = sum(info.numTasks for info in known)
    return round(sum(info.numCompletedTasks for info in known) / tasks, 3) if tasks else 0.0


def _stages(tracker: Any, job: int) -> list[int]:
    info = tracker.getJobInfo(job)
    return [] if info is None else list(info.stageIds)
