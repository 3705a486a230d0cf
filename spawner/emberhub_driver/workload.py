"""What a notebook does first, done before anybody waits for it.

The class-data archives are trained with it. A warm driver has it planned, and once there is a spare executor, run on
that: classes are loaded, code is compiled and Python's worker is there when its user's first query comes.

`python -m emberhub_driver.workload plan|run PORT` does so at the lowest priority, with Spark Connect's token in the
environment.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from emberhub.wire.agent import Endpoint
from emberhub.wire.driver import ENV_CONNECT_TOKEN


def run(at: Endpoint, token: str, work: Path | None = None) -> None:
    """Group, join, cache, and run Python, in a session of its own; write and read files where there is a `work`, which
    executors must see too.
    """
    from pyspark.sql import SparkSession  # noqa: PLC0415 (drivers never load pyspark)
    from pyspark.sql import functions as fn  # noqa: PLC0415

    session = SparkSession.builder.remote(f"sc://localhost:{at.port}/;token={token}").create()
    rows = session.range(2000, numPartitions=2).select("id", (fn.col("id") % 7).alias("k"), fn.rand(1).alias("x"))
    read = (rows if work is None else _through_a_file(session, rows, work)).cache()
    read.groupBy("k").agg(fn.avg("x"), fn.count("*"), fn.stddev("x")).orderBy("k").toPandas()
    read.join(read.groupBy("k").agg(fn.max("x").alias("top")), "k").filter("x > 0.5").count()
    session.sql("select count(distinct id) from range(100)").collect()
    session.createDataFrame([(1, "a"), (2, "b")], "n int, s string").select(fn.upper("s"), "n").collect()
    session.range(10).select(fn.udf(lambda value: value + 1, "long")("id")).collect()
    read.limit(5).toPandas()
    read.unpersist(blocking=True)
    session.stop()


def plan(at: Endpoint, token: str) -> None:
    """The part for which no executor is needed."""
    from pyspark.sql import SparkSession  # noqa: PLC0415
    from pyspark.sql import functions as fn  # noqa: PLC0415

    session = SparkSession.builder.remote(f"sc://localhost:{at.port}/;token={token}").create()
    rows = session.range(2000, numPartitions=2).select("id", (fn.col("id") % 7).alias("k"), fn.rand(1).alias("x"))
    rows.join(rows.groupBy("k").agg(fn.max("x").alias("top"), fn.count("*")), "k").filter("x > 0.5").orderBy(
        "k"
    ).explain("codegen")
    session.stop()


def _through_a_file(session: Any, rows: Any, work: Path) -> Any:
    rows.write.parquet(str(work / "rows"))
    return session.read.parquet(str(work / "rows"))


def main() -> int:
    """Run it against the driver that listens on this machine."""
    os.nice(19)
    {"plan": plan, "run": run}[sys.argv[1]](Endpoint("localhost", int(sys.argv[2])), os.environ.pop(ENV_CONNECT_TOKEN))
    return 0


if __name__ == "__main__":
    sys.exit(main())
