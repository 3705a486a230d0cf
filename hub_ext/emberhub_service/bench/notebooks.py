"""The four notebooks of the workshop, cell by cell, after those of the Gaia data-mining platform.

Every cell checks what it got: a policy cannot win by wrong results. Spark is imported by the cells, so that this
module says what they are without it.
"""
# ruff: noqa: PLC0415 (Spark's client is imported when it is used)

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emberhub.errors import EmberhubError

from . import data

PARTITIONS = "16"
"""Tasks of a query that reads a catalogue, whatever the executors are at that moment."""
TREES, DEPTH = 6, 4
LEAST_ACCURACY = 0.6


class WrongResult(EmberhubError):
    """A query gave something else than it must."""


@dataclass
class Desk:
    """What a user has before them: the stars, a way to their session, and what earlier cells made."""

    directory: Path
    session: Callable[[], Any]
    """Asked anew by each cell, as `cluster.spark` is in a notebook."""
    expected: data.Expected
    made: dict[str, Any] = field(default_factory=dict)

    def read(self, name: str) -> Any:
        """One catalogue as a table."""
        spark = self.session()
        spark.conf.set("spark.sql.files.minPartitionNum", PARTITIONS)
        return spark.read.parquet(f"file://{self.directory / name}")


Cell = Callable[[Desk], str]
"""Runs; returns its result in short, the same for every user and policy. Raises WrongResult."""


def count(desk: Desk) -> str:
    """The first result: all stars."""
    return str(_same("stars", desk.read("gaia").count(), desk.expected.stars))


def look(desk: Desk) -> str:
    """The range of brightness."""
    from pyspark.sql import functions as fn

    row = desk.read("gaia").agg(fn.min("g"), fn.max("g")).collect()[0]
    return str(_same("magnitudes", (row[0], row[1]), (desk.expected.brightest, desk.expected.faintest)))


def motions(desk: Desk) -> str:
    """Mean proper motions over the sky."""
    return _motions(desk, _slow(desk), desk.expected.motions)


def distant(desk: Desk) -> str:
    """The same, of distant stars only."""
    from pyspark.sql import functions as fn

    return _motions(desk, _slow(desk).where(fn.col("parallax") < data.DISTANT), desk.expected.distant)


def counts(desk: Desk) -> str:
    """Sources and their mean colour over the sky."""
    return _counts(desk.read("gaia"), data.BANDS, desk.expected.counts)


def faint(desk: Desk) -> str:
    """The same, of faint stars and in smaller cells."""
    from pyspark.sql import functions as fn

    return _counts(desk.read("gaia").where(fn.col("g") > data.FAINT), 2 * data.BANDS, desk.expected.faint)


def features(desk: Desk) -> str:
    """Features of astrometric solutions, good ones and others, in one column."""
    from pyspark.ml.feature import VectorAssembler
    from pyspark.sql import functions as fn

    table = VectorAssembler(inputCols=list(data.FEATURES), outputCol="features").transform(desk.read("solutions"))
    training = fn.col("number") % 10 < data.TRAINING
    desk.made["training"], desk.made["tests"] = table.where(training), table.where(~training)
    return str(_same("training stars", desk.made["training"].count(), desk.expected.training))


def forest(desk: Desk) -> str:
    """Train a random forest that tells good solutions from others."""
    from pyspark.ml.classification import RandomForestClassifier

    maker = RandomForestClassifier(labelCol="good", numTrees=TREES, maxDepth=DEPTH, seed=1)
    desk.made["model"] = maker.fit(desk.made["training"])
    return str(_same("trees", desk.made["model"].getNumTrees, TREES))


def judge(desk: Desk) -> str:
    """Try it on the stars that it has not seen."""
    rows = desk.made["model"].transform(desk.made["tests"]).groupBy("good", "prediction").count().collect()
    table = {(row["good"], row["prediction"]): row["count"] for row in rows}
    good = sum(number for (truth, _), number in table.items() if truth)
    _same("tested", (sum(table.values()), good), (desk.expected.tested, desk.expected.good))
    right = sum(number for (truth, told), number in table.items() if truth == told) / desk.expected.tested
    if right < LEAST_ACCURACY:
        raise WrongResult(f"only {right:.0%} of the solutions were told rightly")
    return f"{right:.6f}"


NOTEBOOKS: dict[str, tuple[Cell, ...]] = {
    "set-up": (count, look),
    "motions": (motions, distant),
    "counts": (counts, faint),
    "classifier": (features, forest, judge),
}


def _cells(table: Any, bands: int) -> Any:
    from pyspark.sql import functions as fn

    height = (fn.sin(fn.radians("dec")) + 1) / 2
    band = fn.least(fn.floor(height * bands), fn.lit(bands - 1))
    step = fn.floor(fn.col("ra") / 360 * 2 * bands) % (2 * bands)
    return table.withColumn("cell", (band * 2 * bands + step).cast("int")).groupBy("cell")


def _counts(stars: Any, bands: int, expected: list[int]) -> str:
    from pyspark.sql import functions as fn

    colour = fn.when((fn.col("bp") != 0) & (fn.col("rp") != 0), fn.col("bp") - fn.col("rp"))
    table = _cells(stars, bands).agg(fn.count("*").alias("stars"), fn.avg(colour).alias("colour")).toPandas()
    found = [0] * len(expected)
    for place, number in zip(table["cell"], table["stars"], strict=True):
        found[place] = int(number)
    _same("counts over the sky", found, expected)
    return f"{sum(found)} stars in {len(table)} cells"


def _slow(desk: Desk) -> Any:
    from pyspark.sql import functions as fn

    return desk.read("movers").where(fn.hypot("pmra", "pmdec") < data.FASTEST)


def _motions(desk: Desk, movers: Any, expected: list[tuple[int, float, float]]) -> str:
    from pyspark.sql import functions as fn

    means = fn.count("*").alias("n"), fn.avg("pmra").alias("east"), fn.avg("pmdec").alias("north")
    rows = _cells(movers, data.BANDS_OF_MOVERS).agg(*means).toPandas()
    found = dict(zip(rows["cell"], zip(rows["n"], rows["east"], rows["north"], strict=True), strict=True))
    for place, (number, east, north) in enumerate(expected):
        got = found.get(place, (0, 0.0, 0.0))
        _same(f"stars in cell {place}", int(got[0]), number)
        if not (math.isclose(got[1], east, abs_tol=1e-6) and math.isclose(got[2], north, abs_tol=1e-6)):
            raise WrongResult(f"the stars of cell {place} move by {got[1:]} instead of {(east, north)}")
    return f"{int(rows['n'].sum())} stars in {len(rows)} cells"


def _same(what: str, found: Any, expected: Any) -> Any:
    if found != expected:
        raise WrongResult(f"{what}: {str(found)[:80]} instead of {str(expected)[:80]}")
    return found
