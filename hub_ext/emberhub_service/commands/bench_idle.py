"""`emberhub bench idle`: what the drivers on this machine cost while nobody uses them.

It measures drivers that run: start some, let them be for a minute, and call it. Linux only: threads are read in /proc.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from emberhub.errors import EmberhubError
from emberhub.wire.driver import ENV_MARK

_PYTHON, _JAVA = "emberhub_driver", "org.apache.spark.deploy.SparkSubmit"


class Driver(NamedTuple):
    """One driver's two processes."""

    mark: str
    python: psutil.Process
    java: psutil.Process


def configure(subjects: Any) -> None:
    """Declare the subject."""
    parser: argparse.ArgumentParser = subjects.add_parser(
        "idle", help="processor and memory of the drivers that run here, by thread"
    )
    parser.add_argument("--seconds", type=float, default=30.0, help="how long to look (default 30)")
    parser.set_defaults(measure=_idle)


def _idle(args: argparse.Namespace) -> int:
    found = drivers()
    if not found:
        raise EmberhubError("no driver runs on this machine: start a cluster with emberhub.cluster() first")
    before = [(_threads(each.python), _threads(each.java)) for each in found]
    time.sleep(args.seconds)
    shares, sizes = [], []
    by_thread: dict[str, float] = defaultdict(float)
    for each, (python, java) in zip(found, before, strict=True):
        spent = _spent(python, _threads(each.python)), _spent(java, _threads(each.java))
        shares.append([100 * sum(part.values()) / args.seconds for part in spent])
        sizes.append([process.memory_full_info().uss / 2**20 for process in (each.python, each.java)])
        for (_, name), seconds in [*((("", "Python"), s) for s in spent[0].values()), *spent[1].items()]:
            by_thread[name] += 100 * seconds / args.seconds / len(found)
        print(f"{each.mark}: {sum(shares[-1]):.2f} % of a core, {sum(sizes[-1]):.0f} MiB of its own")
    cores, mib = (list(map(statistics.median, zip(*rows, strict=True))) for rows in (shares, sizes))
    print(f"\nMedian of {len(found)}:")
    for name, share, size in zip(("Python", "Java"), cores, mib, strict=True):
        print(f"  {share:7.3f} % and {size:4.0f} MiB  {name}")
    print("Threads:")
    for name, share in sorted(by_thread.items(), key=lambda item: -item[1])[:12]:
        print(f"  {share:7.3f} %  {name}")
    return 0


def drivers() -> list[Driver]:
    """Every driver on this machine whose processes this user may look into."""
    parts: dict[str, dict[str, psutil.Process]] = defaultdict(dict)
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            mark, command = process.environ().get(ENV_MARK, ""), process.cmdline()
            kind = next((kind for kind in (_PYTHON, _JAVA) if kind in command), "")
            if mark and kind:
                parts[mark][kind] = process
    return [Driver(mark, both[_PYTHON], both[_JAVA]) for mark, both in sorted(parts.items()) if len(both) == 2]


def _threads(process: psutil.Process) -> dict[tuple[int, str], float]:
    """Processor seconds of each thread, by its id and name."""
    found = {}
    for task in Path(f"/proc/{process.pid}/task").iterdir():
        with contextlib.suppress(OSError):
            spent = int((task / "schedstat").read_text().split()[0]) / 1e9
            found[int(task.name), (task / "comm").read_text().strip()] = spent
    return found


def _spent(before: dict[tuple[int, str], float], after: dict[tuple[int, str], float]) -> dict[tuple[int, str], float]:
    return {thread: seconds - before.get(thread, 0.0) for thread, seconds in after.items()}
