"""The command line `emberhub`.

A command is a module with `configure(parser)` and `run(args) -> int`. Its module is imported only when it is called,
so that the notebook image needs nothing of the hub's and the other way round.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import NamedTuple

from .errors import EmberhubError


class Command(NamedTuple):
    """Where a command lives, what it does, and the extra that brings what it needs."""

    module: str
    help: str
    extra: str


COMMANDS = {
    "up": Command("emberhub_service.commands.up", "run a whole hub with Spark on this machine", "local"),
    "demo": Command(
        "emberhub_service.commands.demo", "start a hub, run the example in it, and say what happened", "local"
    ),
    "clusters": Command("emberhub.commands.clusters", "list my clusters, or stop one", "notebook"),
    "sparkmagic": Command("emberhub.commands.sparkmagic", "set up sparkmagic for my notebooks", "sparkmagic"),
    "doctor": Command("emberhub.commands.doctor", "say what this machine lacks", "local"),
    "plan": Command("emberhub_service.commands.plan", "explain what the allocator decides on a snapshot", "hub"),
    "simulate": Command("emberhub_service.commands.simulate", "play a scenario through the allocator", "hub"),
    "bench": Command("emberhub_service.commands.bench", "measure", "local"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status: 0 done, 1 failed with a sentence on stderr, 2 wrong usage."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="emberhub", description="Personal Spark clusters from JupyterHub, with executors shared fairly."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    for name, command in COMMANDS.items():
        sub = commands.add_parser(name, help=command.help, description=command.help.capitalize() + ".")
        if name == chosen:
            try:
                module = importlib.import_module(command.module)
            except ModuleNotFoundError as missing:
                print(
                    f"emberhub {name} needs the Python package {missing.name}: pip install 'emberhub[{command.extra}]'",
                    file=sys.stderr,
                )
                return 1
            module.configure(sub)
            sub.set_defaults(run=module.run)
    args = parser.parse_args(arguments)
    try:
        return int(args.run(args))
    except EmberhubError as error:
        print(f"emberhub {args.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
