"""`emberhub simulate`: play scenarios under several policies, and compare what they do to their users."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from emberhub.errors import ConfigError

from emberhub_service.simulate import POLICIES, Metrics, Outcome, Scenario, load, measure, simulate
from emberhub_service.simulate.picture import draw
from emberhub_service.simulate.report import as_json, markdown, table


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scenarios", nargs="+", type=Path, metavar="SCENARIO.yaml", help="see examples/scenarios/")
    parser.add_argument(
        "--policy",
        type=_policies,
        default=list(POLICIES),
        metavar="P,P",
        help=f"some of {','.join(POLICIES)}; all of them if left out",
    )
    parser.add_argument("--seed", type=int, help="draw the work from this seed, not from the scenario's")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers, those of each user included")
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FILE.svg|png",
        help="write the picture; one for each scenario if there are several",
    )
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write a page with tables, and pictures in images/ beside it"
    )


def _policies(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in POLICIES:
            raise argparse.ArgumentTypeError(f"there is no policy {name!r}; there are {', '.join(POLICIES)}")
    if not names:
        raise argparse.ArgumentTypeError(f"name at least one of {', '.join(POLICIES)}")
    return list(dict.fromkeys(names))


def run(args: argparse.Namespace) -> int:
    """Play, print and write. Raises ConfigError for a wrong scenario or a file that cannot be written."""
    if args.plot is not None and args.plot.suffix not in (".svg", ".png"):
        raise ConfigError(f"--plot {args.plot}: the name must end in .svg or .png")
    scenarios = [load(path) for path in args.scenarios]
    everything: list[Metrics] = []
    pages: list[tuple[Scenario, list[Metrics], str | None]] = []
    failed = False
    for scenario in scenarios:
        outcomes = [_play(scenario, policy, args.seed) for policy in args.policy]
        results = [measure(outcome) for outcome in outcomes]
        everything += results
        print(table(scenario, results), end="\n\n")
        failed |= any(metrics.unfinished and metrics.policy == "ember" for metrics in results)
        if args.plot is not None:
            _write(_one_of(args.plot, scenario, len(scenarios)), partial(draw, outcomes))
        picture = None
        if args.markdown is not None:
            picture = f"images/{scenario.name}.png"
            _write(args.markdown.parent / picture, partial(draw, outcomes))
        pages.append((scenario, results, picture))
    if args.json is not None:
        _write(args.json, lambda path: path.write_bytes(as_json(everything)))
    if args.markdown is not None:
        text = markdown(pages, _command(args))
        _write(args.markdown, lambda path: path.write_text(text, encoding="utf-8"))
    if failed:
        print("emberhub simulate: under ember some work was never done", file=sys.stderr)
    return 1 if failed else 0


def _command(args: argparse.Namespace) -> str:
    """How the page was made, so that the next reader can make it again."""
    folders = sorted({path.parent for path in args.scenarios})
    whole = [path for folder in folders for path in sorted(folder.glob("*.yaml"))]
    names = [f"{folder}/*.yaml" for folder in folders] if whole == sorted(args.scenarios) else args.scenarios
    words = ["emberhub", "simulate", *(str(name) for name in names)]
    if args.policy != list(POLICIES):
        words += ["--policy", ",".join(args.policy)]
    if args.seed is not None:
        words += ["--seed", str(args.seed)]
    words += ["--markdown", str(args.markdown)]
    return " ".join(word if word.endswith("*.yaml") else shlex.quote(word) for word in words)


def _one_of(path: Path, scenario: Scenario, count: int) -> Path:
    return path if count == 1 else path.with_name(f"{path.stem}-{scenario.name}{path.suffix}")


def _write(path: Path, write: Callable[[Path], object]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None


def _play(scenario: Scenario, policy: str, seed: int | None) -> Outcome:
    began = said = time.monotonic()

    def progress(now: float, live: int) -> None:
        nonlocal said
        if time.monotonic() - said >= 1:
            said = time.monotonic()
            print(
                f"{scenario.name}, {policy}: {now / 60:.0f} simulated minutes in {said - began:.0f} s, "
                f"{live} sessions to go",
                file=sys.stderr,
            )

    return simulate(scenario, policy, seed, progress)
