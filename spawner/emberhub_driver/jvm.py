"""Start Spark's Java process directly, without the shell and the launcher that `spark-submit` runs first.

The process reads its standard input until it ends, and then exits. Only this process holds the other end of that
pipe, so that the JVM ends whenever this process does, SIGKILL included, and Spark's executors end with it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import signal
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from emberhub.errors import EmberhubError
from emberhub.java import Java

_OPENED = (
    "java.base/java.lang",
    "java.base/java.lang.invoke",
    "java.base/java.lang.reflect",
    "java.base/java.io",
    "java.base/java.net",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/sun.nio.ch",
    "java.base/sun.nio.cs",
    "java.base/sun.security.action",
    "java.base/sun.util.calendar",
    "java.base/jdk.internal.ref",
    "java.security.jgss/sun.security.krb5",
)
_POLL = 0.02
FILE_CLASSPATH = "classpath"
"""Beside the class-data archives: the classpath of the executor that was trained, for executors in pods."""
UNKNOWN_OPTIONS = "-XX:+IgnoreUnrecognizedVMOptions"
"""Without it no Java before 23 starts: `module_options` names what that one introduced."""
STEADY_OPTIONS = (
    UNKNOWN_OPTIONS,
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-Xshare:auto",
    "-Xlog:cds=off",
    "-Xlog:cds+dynamic=off",
    # An archive mapped where it was made for is shared between all JVMs; moved, each would have a copy.
    "-XX:+UnlockDiagnosticVMOptions",
    "-XX:ArchiveRelocationMode=0",
    f"-Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.properties')}",
    # Events for Java's flight recorder: setting them up costs each start a tenth of a second.
    "-Dio.netty.jfr.enabled=false",
)
LATE_OPTIONS = (
    "-XX:Tier4InvocationThreshold=150000",
    "-XX:Tier4MinInvocationThreshold=18000",
    "-XX:Tier4CompileThreshold=450000",
    "-XX:Tier4BackEdgeThreshold=4000000",
)
"""For an executor: the optimising compiler takes code that has run 30 times as often as Java would have it, and loops
100 times. By default it spends a start and a first query on code that is soon not needed any more: docs/performance.md.
"""


SMALL_HEAP = ("-Xms48m", "-XX:MinHeapFreeRatio=20", "-XX:MaxHeapFreeRatio=40")
"""For a driver, which mostly waits. By itself, Java begins with a 64th of the machine and soon touches all of it."""


class SparkFailed(EmberhubError):
    """Spark did not start, or ended."""


@dataclass(frozen=True)
class Gateway:
    """Where py4j reaches the JVM, and the secret that it asks for."""

    port: int
    secret: str


def spark_home() -> Path:
    """Where the installed pyspark is; found without importing it, which costs a driver 60 MB."""
    package = importlib.util.find_spec("pyspark")
    if package is None or not package.submodule_search_locations:
        raise SparkFailed("pyspark is not installed: pip install 'emberhub[driver]'")
    return Path(package.submodule_search_locations[0])


def classpath() -> str:
    """Spark's jars in a fixed order: the class-data archive is refused for any other."""
    return os.pathsep.join(str(jar) for jar in sorted((spark_home() / "jars").glob("*.jar")))


def workers_classpath() -> str:
    """Spark's jars as an executor has them that Spark's own worker starts: in the order of their directory, and one
    before all others.
    """
    jars = [str(spark_home() / "jars" / name) for name in os.listdir(spark_home() / "jars")]  # noqa: PTH208 (in order)
    return os.pathsep.join([*(jar for jar in jars if "/slf4j-api-" in jar), *jars])


def jars_fingerprint() -> str:
    """Changes whenever the installed Spark does."""
    digest = hashlib.sha256()
    for jar in sorted((spark_home() / "jars").glob("*.jar")):
        status = jar.stat()
        digest.update(f"{jar} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def quick_start_options(archive: str = "") -> list[str]:
    """JVM options for short-lived and idle processes: little memory, few threads, no optimising compiler.

    `archive` is the value for `-XX:SharedArchiveFile`; a JVM that finds it unfit goes on without it.
    """
    options = [*STEADY_OPTIONS, "-XX:TieredStopAtLevel=1"]
    return [*options, f"-XX:SharedArchiveFile={archive}"] if archive else options


def module_options() -> list[str]:
    """What Spark needs opened in Java's own modules."""
    return [
        "-Djdk.reflect.useDirectMethodHandle=false",
        "-Dio.netty.tryReflectionSetAccessible=true",
        "-Dio.netty.noUnsafe=false",
        *(f"--add-opens={package}=ALL-UNNAMED" for package in _OPENED),
        "--enable-native-access=ALL-UNNAMED",
        "--sun-misc-unsafe-memory-access=allow",
    ]


_NOT_FOR_SPARK = ("SPARK_", "PYSPARK_", "EMBERHUB_", "JUPYTERHUB_", "CONFIGPROXY_", "_SPARK_")


def spark_environment(java: Java, host: str) -> dict[str, str]:
    """The environment for a JVM of Spark's: this process's, without what could lead it elsewhere or tell a secret."""
    return python_environment(host) | {
        "JAVA_HOME": str(java.home),
        # What bin/load-spark-env.sh sets; a worker starts no executor without it.
        "SPARK_SCALA_VERSION": _scala_version(),
    }


def python_environment(host: str) -> dict[str, str]:
    """As `spark_environment`, for Python beside a JVM of Spark's."""
    kept = {
        name: value
        for name, value in os.environ.items()
        # The mark of a hub on one machine goes along, so that it finds every process of its own at its end.
        if (name == "EMBERHUB_STATE" or not name.startswith(_NOT_FOR_SPARK))
        and name not in ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH", "HADOOP_CONF_DIR")
    }
    return kept | {
        "SPARK_HOME": str(spark_home()),
        "SPARK_LOCAL_IP": host,
        "SPARK_CONNECT_MODE": "0",
        "PYSPARK_PYTHON": sys.executable,
    }


def _scala_version() -> str:
    """The Scala that this Spark was built for, as its jars are named: 2.13."""
    return next((spark_home() / "jars").glob("spark-core_*.jar")).name.split("_")[1].split("-")[0]


class Jvm:
    """One running Java process that answers py4j."""

    def __init__(self, process: subprocess.Popen[bytes], ready: Path) -> None:
        self._process = process
        self._ready = ready

    @classmethod
    def start(
        cls, java: Java, *, properties: Path, directory: Path, options: list[str], environment: dict[str, str]
    ) -> Jvm:
        """Start `SparkSubmit` with the given properties file; returns at once. Raises SparkFailed."""
        ready = directory / "gateway"
        ready.unlink(missing_ok=True)
        command = [
            str(java.command), "-cp", classpath(), *options, *module_options(),
            "org.apache.spark.deploy.SparkSubmit", "--properties-file", str(properties), "pyspark-shell",
        ]  # fmt: skip
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                cwd=directory,
                env=environment | {"_PYSPARK_DRIVER_CONN_INFO_PATH": str(ready)},
                # Ctrl-C in a terminal is for the Python process, which then ends this one in order.
                preexec_fn=_ignore_interrupt,  # noqa: PLW1509 (no other thread holds a lock here)
            )
        except OSError as error:
            raise SparkFailed(f"Java did not start: {error}") from error
        return cls(process, ready)

    def gateway(self, timeout: float) -> Gateway:
        """Wait until the JVM answers; returns how to reach it. Raises SparkFailed after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not self._ready.exists():
            if self._process.poll() is not None:
                raise SparkFailed(f"Spark's Java process ended with status {self._process.returncode} while starting")
            if time.monotonic() > deadline:
                raise SparkFailed(f"Spark's Java process did not answer within {timeout:g} seconds")
            time.sleep(_POLL)
        data = self._ready.read_bytes()
        self._ready.unlink()
        port, length = struct.unpack(">ii", data[:8])
        return Gateway(port, data[8 : 8 + length].decode())

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def poll(self) -> int | None:
        """Exit status, or None while it runs."""
        return self._process.poll()

    def ended(self, within: float) -> int | None:
        """Exit status, once it ends within so many seconds, else None."""
        try:
            return self._process.wait(within)
        except subprocess.TimeoutExpired:
            return None

    def end(self, grace: float) -> int:
        """Let it exit by closing its input; kill it after `grace` seconds. Returns its exit status."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            return self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def _ignore_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def first_line(error: Exception) -> str:
    """The Java exception's own message, without its stack."""
    cause = getattr(error, "java_exception", None)
    text = str(cause.toString()) if cause is not None else str(error)
    return text.strip().splitlines()[0]
