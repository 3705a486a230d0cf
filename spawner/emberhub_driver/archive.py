"""Class-data archives: what makes Java start Spark in a third of the time.

A JVM spends most of Spark's start loading and checking classes. An archive of them, made once by a training run, is
mapped instead. There is one for the driver (and the engine's daemons) and one for executors; they fit one build of
Java, one of Spark and one set of flags, and are kept in Emberhub's cache under a name made of these.

`python -m emberhub_driver.archive` makes them now. The engine has it done in the background, at the lowest
priority; until they are there everything runs as well, and starts more slowly.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from emberhub.errors import EmberhubError
from emberhub.java import Java, cache_directory, find_java
from emberhub.wire.driver import ENV_CONNECT_TOKEN, DriverConfig
from emberhub.wire.resources import Resources

from . import workload
from .conf import driver_properties, executor_options, joined, write_properties
from .jvm import (
    FILE_CLASSPATH,
    Jvm,
    SparkFailed,
    jars_fingerprint,
    quick_start_options,
    spark_environment,
    workers_classpath,
)
from .spark import Py4jSpark

log = logging.getLogger("emberhub.archive")

_FORMAT = 1
"""Raised when the training run changes."""
_TIMEOUT = 300.0
"""Seconds for each step of the training run, on a machine that has other work."""
_GIVE_UP = 0.5
"""Seconds for the JVM to end when the run is broken off: less than it takes to write an archive."""
_GONE = 2.0
"""Seconds until what was killed is gone."""
_DRIVER, _EXECUTOR, _BASE = "driver.jsa", "executor.jsa", "base.jsa"


class Archives(NamedTuple):
    """Values for `-XX:SharedArchiveFile`; empty where there is no archive yet."""

    driver: str = ""
    executor: str = ""


def find(java: Java, cache: Path | None = None) -> Archives:
    """The archives that fit this Java and the installed Spark, if they have been made."""
    home = _home(java, cache)
    if not (home / _EXECUTOR).exists():
        return Archives()
    # Java maps the dynamic archive on top of its own; a runtime that has none brings ours.
    base = f"{home / _BASE}{os.pathsep}" if (home / _BASE).exists() else ""
    return Archives(f"{base}{home / _DRIVER}", f"{base}{home / _EXECUTOR}")


def train_in_background(java: Java) -> subprocess.Popen[bytes] | None:
    """Have the archives made by a process of its own, at the lowest priority; None if they are there."""
    if find(java).driver:
        return None
    return subprocess.Popen(
        [sys.executable, "-m", "emberhub_driver.archive", "--patient"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def stop_training(leader: subprocess.Popen[bytes]) -> None:
    """End what `train_in_background` started, with its JVM and the executor of that, which outlive it by seconds."""
    leader.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        leader.wait(2 * _GIVE_UP)
    deadline = time.monotonic() + _GONE
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(leader.pid, signal.SIGKILL)
            leader.poll()
            time.sleep(0.05)


def train(java: Java, cache: Path | None = None) -> Archives:
    """Make the archives, unless they are there or another process is making them. Returns what there is then.

    Raises SparkFailed if the training run fails; what was there before stays.
    """
    home = _home(java, cache)
    home.parent.mkdir(parents=True, exist_ok=True)
    with _alone(home.with_suffix(".lock")) as alone:
        if alone and not home.exists():
            prefix = f"training-{home.name}-"
            for left in home.parent.glob(f"{prefix}*"):  # of a run that was killed
                shutil.rmtree(left, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=home.parent, prefix=prefix) as work:
                made = Path(work) / "archives"
                made.mkdir()
                _train(java, Path(work), made)
                # All at once: nobody ever maps half an archive.
                made.rename(home)
    return find(java, cache)


def _home(java: Java, cache: Path | None) -> Path:
    fits = [_FORMAT, java.full_version, java.runtime, jars_fingerprint(), quick_start_options(), executor_options()]
    return (cache or cache_directory()) / "archives" / hashlib.sha256(repr(fits).encode()).hexdigest()[:24]


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Whether this is the only process in here."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True


def _train(java: Java, work: Path, made: Path) -> None:
    """Run Spark once with a small workload, and have driver and executor write their classes down as they exit."""
    base = _make_base(java, made)
    (made / FILE_CLASSPATH).write_text(workers_classpath())
    config = DriverConfig(
        cluster="training",
        generation=1,
        user="",
        name="training",
        agent_url="",
        # Master and worker in the driver's JVM, so that its archive serves the engine's daemons too.
        master="local-cluster[1,1,1024]",
        executor=Resources.of(cores=1, memory="1G"),
        directory=str(work),
        conf={"spark.executor.extraJavaOptions": joined(*base, f"-XX:ArchiveClassesAtExit={made / _EXECUTOR}")},
    )
    write_properties(driver_properties(config, secret=secrets.token_urlsafe(32)), work / "spark.properties")
    token = secrets.token_urlsafe(32)
    jvm = Jvm.start(
        java,
        properties=work / "spark.properties",
        directory=work,
        options=["-Xmx512m", *quick_start_options(), *base, f"-XX:ArchiveClassesAtExit={made / _DRIVER}"],
        environment=spark_environment(java, config.host) | {ENV_CONNECT_TOKEN: token},
    )
    try:
        spark = Py4jSpark(jvm.gateway(_TIMEOUT), config.host)
        spark.apply_target(1)
        workload.run(spark.endpoint(), token, work)
        # The executor exits by itself, and so writes its archive in its own time, before the worker ends it.
        spark.decommission([executor.id for executor in spark.executors()], 0)
        _await(lambda: _settled(made / _EXECUTOR), "the executor's archive")
        spark.stop()
    except BaseException:
        jvm.end(_GIVE_UP)
        raise
    jvm.end(_TIMEOUT)
    _await(lambda: _settled(made / _DRIVER), "the driver's archive")


def _make_base(java: Java, made: Path) -> list[str]:
    """The option that names the base archive, where Java has none of its own and one had to be made."""
    if (java.runtime / "lib" / "server" / "classes.jsa").exists():
        return []
    option = f"-XX:SharedArchiveFile={made / _BASE}"
    subprocess.run(
        [java.command, "-XX:+UseSerialGC", "-Xshare:dump", option], check=True, capture_output=True, timeout=_TIMEOUT
    )
    return [option]


def _settled(path: Path) -> bool:
    """Whether the file is there, and its writer has let it be for a moment."""
    try:
        status = path.stat()
    except OSError:
        return False
    return status.st_size > 0 and time.time() - status.st_mtime > 1.0


def _await(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            raise SparkFailed(f"the training run did not leave {what}")
        time.sleep(0.1)


def main() -> int:
    """Make the archives now; with `--patient`, at the lowest priority."""
    # py4j tells the root of all loggers when the JVM ends, as it is meant to.
    logging.basicConfig(stream=sys.stderr, level=logging.CRITICAL, format="%(message)s")
    log.setLevel(logging.INFO)
    os.umask(0o077)
    # Ended early, it takes its files and its JVM with it.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    if "--patient" in sys.argv[1:]:
        os.nice(19)
    try:
        found = train(find_java())
    except (EmberhubError, subprocess.SubprocessError, OSError) as error:
        log.error("the class-data archives were not made: %s", error)
        return 1
    except SystemExit as ended:
        # At once: at an orderly exit, Spark's client would look for its JVM for minutes.
        os._exit(int(str(ended)))
    log.info("class-data archives: %s", found.driver or "another process is making them")
    return 0


if __name__ == "__main__":
    sys.exit(main())
