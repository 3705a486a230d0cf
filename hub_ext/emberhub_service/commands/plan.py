"""`emberhub plan SNAPSHOT.json`: what the allocator decides on a saved snapshot, and why.

A snapshot is what `GET api/pool/snapshot` of a running service answers to an administrator.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
from emberhub.errors import EmberhubError

from emberhub_service.alloc import plan
from emberhub_service.alloc.model import (
    CallOff,
    Cluster,
    Grant,
    Plan,
    Pool,
    Reclaim,
    Refuse,
    Resources,
    Revoke,
    Snapshot,
)

__all__ = ["configure", "describe", "read", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("snapshot", metavar="SNAPSHOT", help="a snapshot in JSON; - reads standard input")
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the plan. Raises EmberhubError for a file that is no snapshot."""
    snapshot = read(args.snapshot)
    decided = plan(snapshot)
    if args.json:
        print(msgspec.json.format(msgspec.json.encode(decided)).decode())
    else:
        print("\n".join(describe(snapshot, decided)))
    return 0


def read(name: str) -> Snapshot:
    """A snapshot from a file. Raises EmberhubError with one line that names the place in it that is wrong."""
    try:
        text = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise EmberhubError(f"cannot read {name}: {error.strerror}") from error
    try:
        return msgspec.json.decode(text, type=Snapshot)
    except msgspec.ValidationError as error:
        raise EmberhubError(f"{name} is not a snapshot: {error}") from error
    except msgspec.DecodeError as error:
        raise EmberhubError(f"{name} is not JSON: {error}") from error


def describe(snapshot: Snapshot, decided: Plan) -> Iterator[str]:
    """The plan as lines: who has what in each pool, what is decided, and why each unmet demand is unmet."""
    for pool in sorted(snapshot.pools, key=lambda pool: pool.name):
        yield from _pool(snapshot, pool)
    if not snapshot.clusters:
        yield "There are no clusters."
        return
    yield from _clusters(snapshot, decided)
    moves = [decision for decision in decided.decisions if not isinstance(decision, Refuse)]
    yield ""
    yield "Decisions" if moves else "Nothing is to be changed."
    for decision in moves:
        yield f"  {_move(decision, snapshot.now)}"
    refused = [decision for decision in decided.decisions if isinstance(decision, Refuse)]
    yield ""
    yield "Unmet" if refused else "Every demand is met."
    for refusal in refused:
        yield from _unmet(refusal)


def _pool(snapshot: Snapshot, pool: Pool) -> Iterator[str]:
    used, lines = Resources(), []
    for cluster in sorted(snapshot.clusters, key=lambda cluster: (cluster.user, cluster.id)):
        here = [executor for executor in cluster.executors if executor.pool == pool.name]
        promised = sum(promise.executors for promise in cluster.promises if promise.pool == pool.name)
        if not here and not promised:
            continue
        used += cluster.executor * (len(here) + promised)
        named = sum(1 for executor in here if executor.reclaiming is not None and not executor.revoked)
        revoked = sum(1 for executor in here if executor.revoked)
        counts = ((len(here), "running"), (promised, "promised"), (named, "asked back"), (revoked, "leaving"))
        lines.append(f"  {_who(cluster)}: " + ", ".join(f"{count} {what}" for count, what in counts if count))
    yield f"Pool {pool.name}: {used} in use or promised, of {pool.capacity}"
    yield from lines
    if not lines:
        yield "  nobody has anything here"
    yield ""


def _clusters(snapshot: Snapshot, decided: Plan) -> Iterator[str]:
    rows = [("cluster", "user", "queue", "wants", "has", "fair share")]
    for cluster in sorted(snapshot.clusters, key=lambda cluster: (cluster.user, cluster.id)):
        has = sum(1 for executor in cluster.executors if not executor.revoked)
        has += sum(promise.executors for promise in cluster.promises)
        wants = min(cluster.ceiling, max(cluster.wanted, cluster.floor))
        fair = decided.fair.get(cluster.id, 0)
        rows.append((cluster.id, cluster.user, cluster.queue, str(wants), str(has), str(fair)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _who(cluster: Cluster) -> str:
    frozen = ", not heard from" if cluster.frozen else ""
    return f"{cluster.user} ({cluster.id}{frozen})"


def _move(decision: object, now: float) -> str:
    match decision:
        case Grant():
            where = f"{decision.executors} in pool {decision.pool}"
            return f"grant    {decision.cluster}: {where}. {decision.reason} [{decision.rule}]"
        case Reclaim():
            names = ", ".join(decision.executors)
            when = f"in {decision.deadline - now:g} s" if decision.deadline > now else "at the next plan"
            return f"reclaim  {decision.cluster}: {names}, to leave {when}. {decision.reason} [{decision.rule}]"
        case Revoke():
            return f"revoke   {decision.cluster}: {', '.join(decision.executors)}. {decision.reason} [{decision.rule}]"
        case CallOff():
            return f"call off {decision.cluster}: {', '.join(decision.executors)}. {decision.reason}"
    raise TypeError(type(decision).__name__)


def _unmet(refusal: Refuse) -> Iterator[str]:
    resource = f", short of {refusal.resource}" if refusal.resource else ""
    yield f"  {refusal.cluster} lacks {refusal.executors}: {refusal.reason} [{refusal.rule}{resource}]"
    when = "not known" if refusal.estimate is None else f"in about {refusal.estimate:.0f} s"
    yield f"    place {refusal.place} in line; next executor {when}"
    if refusal.cheapest:
        yield f"    {refusal.cheapest}"
