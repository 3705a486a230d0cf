"""`emberhub bench`: measurements of Emberhub's own parts.

`emberhub bench plan` measures one plan over growing sites. Each site has ten executors a cluster, nearly all in use,
two pools, four queues with guarantees, users with one or two clusters, two shapes of executor, and more demand than
there is: so each plan grants, refuses, reclaims and chooses victims. In a *contended* site, a tenth of the clusters has
nothing and waits. In an *upheaval*, a third has, and all the others hold shares of long ago: six executors in ten have
to move at once. Beside each is measured a plan of the site once it has *settled*: what was asked back has gone.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import statistics
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from emberhub.errors import EmberhubError

from emberhub_service.alloc import apply, plan, remember
from emberhub_service.alloc.model import Cluster, Executor, Pool, Promise, Queue, Resources, Snapshot, User
from emberhub_service.commands import bench_idle, bench_panel, bench_rotation, bench_start, bench_workshop

__all__ = ["configure", "contended", "exponent", "measure", "run", "settled"]

CLUSTERS = (10, 100, 1000, 10000)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare what can be measured."""
    subjects = parser.add_subparsers(dest="subject", required=True, metavar="SUBJECT")
    plans = subjects.add_parser("plan", help="seconds and memory of one plan, for sites of growing size")
    plans.add_argument(
        "--clusters",
        type=_sizes,
        default=CLUSTERS,
        metavar="N,N",
        help="sizes, in clusters (default 10,100,1000,10000)",
    )
    plans.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to a file too")
    plans.add_argument("--upheaval", action="store_true", help="measure the worst case")
    plans.set_defaults(measure=_plans)
    bench_idle.configure(subjects)
    bench_panel.configure(subjects)
    bench_rotation.configure(subjects)
    bench_start.configure(subjects)
    bench_workshop.configure(subjects)


def run(args: argparse.Namespace) -> int:
    """Measure one subject."""
    return int(args.measure(args))


def contended(clusters: int, *, upheaval: bool = False) -> Snapshot:
    """A site of this many clusters and ten executors for each, with somebody waiting in every queue."""
    shapes = (Resources.of(cores=1, memory="2G"), Resources.of(cores=2, memory="8G"))
    queues = tuple(Queue(f"department-{q}", weight=1.0 + q, guaranteed=Resources.of(cores=clusters)) for q in range(4))
    now, members = 1000.0, []
    for number in range(clusters):
        count = (0, 8, 22)[number % 3] if upheaval else 0 if number % 10 == 0 else 11
        name = f"cluster-{number:06}"
        executors = tuple(
            Executor(
                f"{e}",
                f"pool-{(number + e) % 2}",
                since=now - 40 - (number * 7 + e) % 60,
                active_tasks=e % 3,
                oldest_task=float(e),
                idle_since=None if e % 3 else now - 3,
                cached_bytes=(number * 31 + e * 17) % 97 << 20,
            )
            for e in range(count)
        )
        members.append(
            Cluster(
                name,
                f"user-{number // 2:06}" if number % 7 == 0 else f"user-{number:06}",
                f"department-{number % 4}",
                shapes[number % 5 == 0],
                wanted=5 + number % 40,
                ceiling=40,
                needs="site = cam & gpu in [a100, h100] | kernel >= 5.4" if number % 11 == 0 else "",
                executors=executors,
                promises=(Promise("pool-0", 1, now - 2),) if number % 50 == 1 else (),
                waiting_since=now - number % 120,
            )
        )
    capacity = Resources()
    for member in members:
        capacity += member.executor * (len(member.executors) + sum(p.executors for p in member.promises))
    half = Resources(-(-capacity.millicores * 11 // 20), -(-capacity.memory * 11 // 20))
    node = Resources.of(cores=32, memory="128G")
    pools = tuple(Pool(f"pool-{p}", half, {"site": "cam", "kernel": f"5.{p + 4}"}, node) for p in range(2))
    waiting = [
        User(f"user-{n:06}", recent=float(n % 90), waiting_since=now - n % 100 if n % 30 == 0 else None)
        for n in range(clusters)
    ]
    return Snapshot(now, pools, Queue("root", children=queues), tuple(members), tuple(waiting))


def measure(snapshot: Snapshot) -> dict[str, Any]:
    """Median processor seconds of a plan, its peak memory in bytes (in a pass of its own), and what it decided."""
    clusters = len(snapshot.clusters)
    decided = plan(snapshot)
    seconds = []
    for _ in range(max(3, min(15, 3000 // clusters))):
        gc.collect()
        started = time.process_time()  # of this one thread: what else the machine does is not the plan's
        plan(snapshot)
        seconds.append(time.process_time() - started)
    tracemalloc.start()
    plan(snapshot)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    kinds: dict[str, int] = {}
    for decision in decided.decisions:
        kind = type(decision).__name__.lower()
        kinds[kind] = kinds.get(kind, 0) + 1
    return {
        "clusters": clusters,
        "executors": sum(len(cluster.executors) for cluster in snapshot.clusters),
        "seconds": statistics.median(seconds),
        "fastest": min(seconds),
        "peak_bytes": peak,
        "decisions": kinds,
    }


def settled(snapshot: Snapshot) -> Snapshot:
    """The state after four plans ten seconds apart, when what was asked back has gone and what it was for has come."""
    for _ in range(4):
        decided = plan(snapshot)
        snapshot = remember(apply(snapshot, decided, instantly=True), decided)
        snapshot = msgspec.structs.replace(snapshot, now=snapshot.now + 10.0)
    return snapshot


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """The power of the size with which the time grows, by least squares on logarithms; needs two sizes."""
    x, y = [math.log(size) for size in sizes], [math.log(value) for value in seconds]
    return statistics.linear_regression(x, y).slope


def _plans(args: argparse.Namespace) -> int:
    rows = []
    print(f"{'clusters':>9} {'executors':>10} {'seconds':>9} {'settled':>9} {'memory':>10}  decisions")
    for clusters in args.clusters:
        site = contended(clusters, upheaval=args.upheaval)
        row = measure(site)
        row["settled_seconds"] = measure(settled(site))["seconds"]
        rows.append(row)
        made = ", ".join(f"{count} {kind}" for kind, count in sorted(row["decisions"].items()))
        print(
            f"{clusters:>9} {row['executors']:>10} {row['seconds']:>9.4f} {row['settled_seconds']:>9.4f}"
            f" {row['peak_bytes'] / 1e6:>7.1f} MB  {made}"
        )
    report: dict[str, Any] = {"site": "upheaval" if args.upheaval else "contended", "plan": rows}
    large = [row for row in rows if row["clusters"] >= 100] or rows
    if len(large) > 1:
        report["exponent"] = exponent([row["clusters"] for row in large], [row["seconds"] for row in large])
        print(
            f"Time grows with the power {report['exponent']:.2f} of the size, from {large[0]['clusters']} clusters on."
        )
    if args.json:
        try:
            args.json.write_text(json.dumps(report, indent=2) + "\n")
        except OSError as error:
            raise EmberhubError(f"cannot write {args.json}: {error.strerror}") from error
    return 0


def _sizes(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: write whole numbers with commas, such as 10,100") from None
    if min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: a site has at least one cluster")
    return sizes
