"""`emberhub bench rotation`: what turns of several lengths cost, and how long people wait."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import msgspec
from emberhub.errors import ConfigError

from ..bench import report, rotation, running
from ..bench.start import costs
from .up import executors, say

REPEAT = 5


def configure(subjects: Any) -> None:
    """Declare the command's options."""
    parser = subjects.add_parser(
        "rotation",
        help="overhead and waiting over the length of a turn",
        description="Measures what an executor takes to come and go on real Spark, then plays a class of 30 on 4 "
        "executors with turns of several lengths on the allocator's own plans. About two minutes.",
    )
    parser.add_argument("--repeat", type=executors, default=REPEAT, help="executors that are measured (default: 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the curve to FILE too")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw it into FILE")
    parser.set_defaults(measure=run)


def run(args: argparse.Namespace) -> int:
    """Measure and play; returns 0, or 130 after Ctrl-C. Raises EmberhubError."""
    if args.plot is not None and args.plot.suffix not in (".svg", ".png"):
        raise ConfigError(f"--plot {args.plot}: the name must end in .svg or .png")
    around = report.surroundings()
    say("Measuring what an executor takes to come and to go …")
    measured = running.run("rotation", None, lambda root: costs(root, args.repeat), say)
    if measured is None:
        return 130
    say(f"It takes {measured[0]:.2f} s to come and {measured[1]:.2f} s to go.")
    curve = rotation.sweep(*measured, say)
    say("\n" + table(curve))
    if args.json:
        report.write({**around, "advised": curve.advised, **msgspec.to_builtins(curve)}, args.json)
    if args.plot:
        rotation.draw(curve, args.plot)
        say(f"wrote {args.plot}")
    return 0


def table(curve: rotation.Curve) -> str:
    """The curve as Markdown, and what follows from it."""
    head = ("turn, s", "overhead", "longest wait, s", "median user's", "bound", "makespan, s", "executors started")
    rows = [
        [
            f"{turn.quantum:g}",
            f"{turn.overhead:.1%}",
            f"{turn.wait_worst:.0f}",
            f"{turn.wait_median:.0f}",
            "-" if turn.bound is None else f"{turn.bound:.0f}",
            f"{turn.makespan:.0f}",
            str(turn.executors),
        ]
        for turn in curve.turns
    ]
    advice = f"The shortest turn whose overhead is at most {rotation.ENOUGH:g} times the least: {curve.advised:g} s."
    return report.table(head, rows) + "\n" + advice
