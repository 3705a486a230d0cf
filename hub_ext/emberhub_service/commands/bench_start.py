"""`emberhub bench start`: from asking for a cluster to its first result."""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import msgspec
from emberhub.wire.resources import parse_bytes

from ..bench import report, running
from ..bench.start import LOCAL, UNTUNED, Bench, Starts
from .up import executors, say

REPEAT = 5
SIZES = (100 << 20, 1 << 30)


def configure(subjects: Any) -> None:
    """Declare the command's options."""
    parser = subjects.add_parser(
        "start",
        help="seconds to a first result, of an executor's coming and going, and of moving its cache",
        description="Starts with Emberhub and without, in fresh and in warm kernels, one after the other; then how "
        "executors come and go, and how cached blocks move. About 8 minutes on 2 cores that have nothing else to do.",
    )
    parser.add_argument("--repeat", type=executors, default=REPEAT, help="times each is measured (default: 5)")
    parser.add_argument(
        "--migration", type=_sizes, default=SIZES, metavar="SIZE,SIZE", help="caches to move (default: 100M,1G)"
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep logs in DIR")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything to FILE too")
    parser.set_defaults(measure=run)


def run(args: argparse.Namespace) -> int:
    """Measure; returns 0, or 130 after Ctrl-C. Raises EmberhubError."""
    began = time.monotonic()
    around = report.surroundings()
    found = running.run("start", args.keep, lambda root: Bench(root, args.repeat, say).measure(args.migration), say)
    if found is None:
        return 130
    say("\n" + tables(found))
    if args.json:
        options = {"repeat": args.repeat, "migration": list(args.migration), "seconds": time.monotonic() - began}
        report.write({"options": options, **around, **msgspec.to_builtins(found)}, args.json)
    return 0


def tables(found: Starts) -> str:
    """What was measured, with ratios to the same thing without Emberhub. Markdown."""
    rows = []
    for name, seconds in found.to_first_result.items():
        kernel = name.rpartition(", ")[2]
        ratios = [_ratio(seconds, found.to_first_result.get(f"{other}, {kernel}")) for other in (UNTUNED, LOCAL)]
        rows.append([name, *_spread(seconds), *ratios])
    parts = [report.table(("to the first result, s", "median", "least", "most", "÷ untuned", "÷ local[2]"), rows)]
    rows = [
        [f"a job waits for one, {name}", *_spread(seconds), _ratio(seconds, found.waiting.get(UNTUNED))]
        for name, seconds in found.waiting.items()
    ]
    rows += [
        [f"an executor {what}, {name}", *_spread(seconds), _ratio(seconds, of["default"])]
        for what, of in (("comes", found.acquisition), ("goes", found.release))
        for name, seconds in of.items()
    ]
    parts.append(report.table(("executors, s", "median", "least", "most", "÷ default"), rows))
    rows = [
        [f"{move.cached >> 20} MiB", f"{move.seconds:.1f}", f"{move.moved >> 20} MiB", f"{move.recomputed >> 20} MiB"]
        for move in found.migration
    ]
    parts.append(report.table(("cached on the executor taken back", "s until it is gone", "moved", "recomputed"), rows))
    return "\n".join(parts)


def _spread(seconds: list[float]) -> list[str]:
    return [f"{value:.2f}" for value in (statistics.median(seconds), min(seconds), max(seconds))]


def _ratio(seconds: list[float], of: list[float] | None) -> str:
    return f"{statistics.median(seconds) / statistics.median(of):.2f}" if of else "-"


def _sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(parse_bytes(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
