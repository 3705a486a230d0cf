"""`emberhub bench workshop`: a class on one machine, under Emberhub and without it."""

from __future__ import annotations

import argparse
import asyncio
import math
import time
from pathlib import Path
from typing import Any

from emberhub.errors import EmberhubError

from ..bench import data, picture, report, running, workshop
from ..bench.metrics import Metrics
from ..bench.plans import POLICIES, THINK, TUNINGS, Plan
from .up import EXECUTORS, executors, say

USERS = (1, 2, 4, 8)
SCALE = 8
SEED = 1


def configure(subjects: Any) -> None:
    """Declare the command's options."""
    parser = subjects.add_parser(
        "workshop",
        help="users with the same four notebooks at the same time, under several policies",
        description="N users run the same four notebooks on real stars at the same time, under one policy after the "
        "other, on real Spark. Takes minutes: 8 users about 4 minutes a policy on 2 cores, 30 about 12.",
    )
    parser.add_argument(
        "--users", type=_numbers, default=USERS, metavar="N,N", help="how many (default: 1,2,4,8; a run for each)"
    )
    parser.add_argument(
        "--policy", type=_policies, default=POLICIES, metavar="P,P", help=f"of {','.join(POLICIES)} (default: all)"
    )
    parser.add_argument(
        "--tuning",
        type=_tunings,
        default=TUNINGS[:1],
        metavar="T,T",
        help="plain: Java's default flags on all sides; tuned: Emberhub's flags and archives on all (default: plain)",
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help="ember with a hub, notebook servers and kernels; the others do without",
    )
    parser.add_argument("--executors", type=executors, default=EXECUTORS, help="in the pool (default: 4)")
    parser.add_argument("--warm", type=int, default=0, metavar="N", help="warm drivers under ember (default: 0)")
    parser.add_argument("--scale", type=executors, default=SCALE, help="times the catalogue is taken (default: 8)")
    parser.add_argument(
        "--think",
        type=_seconds,
        default=THINK,
        metavar="S,S",
        help="least and most seconds between two cells (default: 2,6; people who read what they see take 10,30)",
    )
    parser.add_argument("--seed", type=int, default=SEED, help="of the think times (default: 1)")
    parser.add_argument("--each", action="store_true", help="print each user's times too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything to FILE too")
    parser.add_argument("--plot", type=Path, metavar="DIR", help="draw pictures into DIR")
    parser.add_argument("--from", type=Path, dest="source", metavar="FILE", help="measure nothing: show FILE, a --json")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep logs in DIR")
    parser.set_defaults(measure=run)


def run(args: argparse.Namespace) -> int:
    """Play the workshop; returns 0 if every user came through and nothing leaked, 130 after Ctrl-C."""
    if args.source:
        return _show(report.read(args.source), args)
    began, around = time.monotonic(), report.surroundings()

    def keep(played: list[Metrics]) -> None:
        """After each run, since all of them together take long."""
        if args.json:
            names = ("users", "policy", "tuning", "executors", "warm", "full", "scale", "think", "seed")
            options = {name: getattr(args, name) for name in names} | {"seconds": time.monotonic() - began}
            report.write(report.document(played, options) | around, args.json)

    keep([])  # a file that cannot be written is better told now

    async def measure(root: Path) -> list[Metrics]:
        say(f"Preparing the stars, {args.scale} times over …")
        stars = await asyncio.to_thread(data.prepare, root / "stars", args.scale)
        return await workshop.all_of(plans_of(args, root), args.seed, stars, say, keep)

    played = running.run("workshop", args.keep, measure, say)
    return 130 if played is None else _show(played, args)


def plans_of(args: argparse.Namespace, root: Path) -> list[Plan]:
    """One run for each tuning, number of users and policy. Only `ember` knows warm drivers, and a whole hub."""
    return [
        Plan(
            policy=policy,
            tuning=tuning,
            users=users,
            executors=args.executors,
            warm=args.warm if (policy, tuning) == ("ember", "tuned") else 0,
            directory=root / name,
            full=args.full and policy == "ember",
            think=args.think,
        )
        for tuning in args.tuning
        for users in args.users
        for policy in args.policy
        for name in [f"{tuning}-{policy}-{users}"]
    ]


def _show(played: list[Metrics], args: argparse.Namespace) -> int:
    say("\n" + report.tables(played))
    if args.each:
        for each in played:
            say(f"{each.tuning} {each.policy}, {each.users} users\n\n{report.users(each)}")
    for path in picture.draw(played, args.plot) if args.plot else ():
        say(f"wrote {path}")
    wrong = [user.error for each in played for user in each.each if user.error]
    leaked = sum(each.executors_leaked + each.processes_leaked for each in played)
    if wrong:
        raise EmberhubError(f"{len(wrong)} users did not come through; the first: {wrong[0].splitlines()[0]}")
    if leaked:
        raise EmberhubError(f"{leaked} executors or processes were left")
    return 0


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(executors(part) for part in text.split(","))


def _seconds(text: str) -> tuple[float, float]:
    try:
        least, most = (float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not two numbers of seconds, such as 10,30") from error
    if not 0 <= least <= most < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}: the first is to be 0 or more, the second no less than that")
    return least, most


def _policies(text: str) -> tuple[str, ...]:
    return _of(text, POLICIES)


def _tunings(text: str) -> tuple[str, ...]:
    return _of(text, TUNINGS)


def _of(text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.split(",")))
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
    return names
