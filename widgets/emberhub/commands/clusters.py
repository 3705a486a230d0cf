"""`emberhub clusters`: list my clusters, or stop one. Works in a terminal of a notebook server."""

from __future__ import annotations

import argparse
import sys

import msgspec

from emberhub.client import Cluster, clusters
from emberhub.errors import RequestRefused
from emberhub.wire import rest


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--stop", metavar="NAME", help="stop the cluster of this name")
    parser.add_argument("--json", action="store_true", help="print all that the hub says, as JSON")


def run(args: argparse.Namespace) -> int:
    """List or stop. Raises EmberhubError."""
    mine = clusters()
    if args.stop is not None:
        found = _named(mine, args.stop)
        found.stop()
        print(f"Cluster {found.name} is being stopped.")
        return 0
    seen = tuple(each.status().cluster for each in mine)
    if args.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(rest.Clusters(seen)), indent=2).decode() + "\n")
    elif seen:
        print(table(seen))
    else:
        print("You have no clusters. In a notebook, emberhub.cluster() starts one.")
    return 0


def table(seen: tuple[rest.Cluster, ...]) -> str:
    """One line for each cluster, under headings."""
    rows = [("NAME", "STATE", "PROFILE", "EXECUTORS", "WANTED", "MESSAGE")]
    for each in seen:
        message = each.message or (each.unmet.reason if each.unmet else "")
        rows.append((each.name, each.state, each.profile, str(each.granted), str(each.wanted), message))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _named(mine: list[Cluster], name: str) -> Cluster:
    found = next((each for each in mine if each.name == name), None)
    if found is None:
        names = ", ".join(each.name for each in mine) or "none"
        raise RequestRefused(f"You have no cluster {name!r}; yours are: {names}", 404)
    return found
