"""`emberhub up`: a working hub on this machine, with Spark, until Ctrl-C."""

from __future__ import annotations

import argparse
from contextlib import suppress
from pathlib import Path

from .localhub import LocalHub, prepare
from .supervisor import Interrupted, Supervisor

EXECUTORS = 4


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--port", type=port, default=8000, help="port on 127.0.0.1 (default: 8000; 0: any free one)")
    parser.add_argument(
        "--executors",
        type=executors,
        default=EXECUTORS,
        help=f"executors of 1 core and 1 GB to share, for a new site file (default: {EXECUTORS})",
    )
    parser.add_argument("--state", type=Path, default=default_state(), help="where all is kept (default: %(default)s)")
    parser.add_argument("--site", type=Path, help="YAML file with pools, queues and profiles (default: one in --state)")
    parser.add_argument("--users", nargs="+", default=[], metavar="NAME", help="who may log in (default: anybody)")


def run(args: argparse.Namespace) -> int:
    """Run the hub in the foreground. Raises EmberhubError where it cannot start."""
    hub = prepare(args.state, args.port, args.executors, args.site, tuple(args.users))
    supervisor = Supervisor(hub, say)
    try:
        with supervisor:
            say(f"Starting a hub in {hub.state} …")
            supervisor.start()
            say(_welcome(hub))
            supervisor.wait()
    except Interrupted:
        pass
    say("Everything has stopped.")
    return 0


def say(text: str) -> None:
    """Tell the person at the terminal, if there still is one: a closed one must not keep the hub from stopping."""
    with suppress(OSError):
        print(text, flush=True)


def default_state() -> Path:
    """Where a hub keeps its things unless told otherwise."""
    return Path.home() / ".local" / "share" / "emberhub"


def port(text: str) -> int:
    """A port number, or 0. Raises ArgumentTypeError."""
    return _whole(text, 0, 65535)


def executors(text: str) -> int:
    """A number of executors. Raises ArgumentTypeError."""
    return _whole(text, 1, 1000)


def _whole(text: str, least: int, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
    return int(text)


def _welcome(hub: LocalHub) -> str:
    who = f"one of {', '.join(hub.users)}" if hub.users else "any user name"
    lines = [
        "",
        f"  Open       {hub.url}",
        f"  Log in as  {who}, password {hub.password_file.read_text().strip()}",
        f"  As admin   user name admin, password in {hub.admin_password_file}",
        f"  To change  {hub.site}  (pools, queues, profiles; taken over when saved)",
        f"  Log        {hub.log}",
        "",
        "Ctrl-C stops the hub, its notebooks and its clusters.",
    ]
    return "\n".join(lines)
