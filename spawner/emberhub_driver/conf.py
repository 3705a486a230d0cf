"""The `spark.*` settings of a driver: what tunes it, what its user chose, and what nobody may change.

They go into a file that only this user can read: a command line can be read by everyone on the machine.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from emberhub.wire.driver import ENV_MARK, DriverConfig, mark

from .jvm import LATE_OPTIONS, SMALL_HEAP, STEADY_OPTIONS, UNKNOWN_OPTIONS, SparkFailed, quick_start_options

MIB = 1 << 20
SMALLEST_OVERHEAD = 384 * MIB
SMALLEST_HEAP = 450 * MIB
"""Spark refuses an executor whose heap is smaller than 1.5 times the 300 MiB that it reserves for itself."""
REVOKE_LIMIT = 30
"""Seconds that a revoked executor may take to move its blocks before Spark kills it."""

_DEFAULTS = {
    "spark.log.level": "WARN",
    "spark.ui.showConsoleProgress": "false",
    # Spark's 2 seconds are longer than most queries of a class.
    "spark.connect.progress.reportInterval": "500ms",
}
# Keys by which a user's settings could ask Spark for executors, or open or close its doors. The service refuses them
# by name; here they are dropped whatever it let through.
_DROPPED = (
    "spark.dynamicAllocation.",
    "spark.executor.instances",
    "spark.cores.max",
    "spark.authenticate",
    "spark.network.crypto.",
    "spark.ssl.",
    "spark.connect.grpc.",
    "spark.connect.authenticate",
    "spark.plugins",
    "spark.driver.defaultJavaOptions",
    "spark.driver.extra",
)


def executor_heap(memory: int) -> int:
    """Bytes of JVM heap in an executor that may use `memory` bytes in all.

    What is left is for the JVM itself and the Python workers: the larger of 384 MiB and a tenth of the heap, which
    is Spark's own rule on Kubernetes, so that an executor has the same size everywhere. Raises ValueError where too
    little remains for Spark to start.
    """
    heap = min(memory - SMALLEST_OVERHEAD, memory * 10 // 11) // MIB * MIB
    if heap < SMALLEST_HEAP:
        least = (SMALLEST_HEAP + SMALLEST_OVERHEAD) // MIB
        raise ValueError(f"an executor of {memory // MIB} MiB is too small for Spark: give it {least} MiB or more")
    return heap


def executor_cores(millicores: int) -> int:
    """Whole cores of an executor. Raises ValueError for a fraction, which Spark cannot count."""
    cores, rest = divmod(millicores, 1000)
    if cores < 1 or rest:
        raise ValueError(f"an executor of {millicores / 1000:g} cores: Spark counts whole cores, so give it 1 or more")
    return cores


def driver_properties(config: DriverConfig, *, secret: str, executor_archive: str = "") -> dict[str, str]:
    """Every setting of this driver. The last word is ours: `config.conf` cannot change what isolates or counts.

    `secret` authenticates Spark's own connections. `executor_archive` is the class-data archive that executors map.
    Raises SparkFailed for an executor that Spark cannot start.
    """
    try:
        heap, cores = executor_heap(config.executor.memory), executor_cores(config.executor.millicores)
    except ValueError as error:
        raise SparkFailed(str(error)) from error
    chosen = {key: value for key, value in config.conf.items() if not key.startswith(_DROPPED)}
    ours = executor_options(executor_archive) if config.tuned else ""
    java_options = " ".join(part for part in (ours, chosen.pop("spark.executor.extraJavaOptions", "")) if part)
    directory = Path(config.directory)
    return (
        _DEFAULTS
        | chosen
        | {
            "spark.master": config.master,
            "spark.app.name": config.name,
            "spark.submit.deployMode": "client",
            "spark.driver.host": config.host,
            "spark.driver.bindAddress": config.host,
            "spark.driver.memory": f"{config.driver_memory // MIB}m",
            "spark.local.dir": str(directory / "scratch"),
            "spark.sql.warehouse.dir": str(directory / "warehouse"),
            "spark.executor.memory": f"{heap // MIB}m",
            "spark.executor.memoryOverhead": f"{(config.executor.memory - heap) // MIB}m",
            "spark.executor.cores": str(cores),
            "spark.executor.extraJavaOptions": java_options,
            f"spark.executorEnv.{ENV_MARK}": mark(config.cluster, config.generation),
            "spark.executorEnv.PYTHONHASHSEED": "0",
            "spark.ui.enabled": "false",
        }
        | _authenticated(secret, config.spark_secret_file)
        | _driven_from_outside()
        | _fallback(config)
        | _connect(config.host, config.connect_port)
    )


def driver_options(config: DriverConfig, archive: str = "") -> list[str]:
    """JVM options of this driver. `archive` is the class-data archive that it maps."""
    heap = [f"-Xmx{config.driver_memory // MIB}m", "-XX:+ExitOnOutOfMemoryError"]
    return [*heap, *((*SMALL_HEAP, *quick_start_options(archive)) if config.tuned else [UNKNOWN_OPTIONS])]


def executor_options(archive: str = "") -> str:
    """JVM options of an executor: as a driver's, but with the optimising compiler for what runs long."""
    return joined(*STEADY_OPTIONS, *LATE_OPTIONS, *([f"-XX:SharedArchiveFile={archive}"] if archive else []))


def joined(*options: str) -> str:
    """Options in one line, which Spark splits as a shell does: a path may have spaces."""
    return " ".join(shlex.quote(option) for option in options)


def _authenticated(secret: str, file: str) -> dict[str, str]:
    return {
        "spark.authenticate": "true",
        # Not both: executors would go by the one and the driver by the other.
        **({"spark.authenticate.secret.file": file} if file else {"spark.authenticate.secret": secret}),
        "spark.authenticate.enableSaslEncryption": "false",
        "spark.network.crypto.enabled": "false",
    }


def _driven_from_outside() -> dict[str, str]:
    """Dynamic allocation starts the application with no executor; the adaptor then takes it over."""
    return {
        "spark.dynamicAllocation.enabled": "true",
        "spark.dynamicAllocation.initialExecutors": "0",
        "spark.dynamicAllocation.minExecutors": "0",
        "spark.dynamicAllocation.shuffleTracking.enabled": "false",
        "spark.dynamicAllocation.executorAllocationRatio": "1.0",
        # A pod that is not wanted any more and has not started yet goes after so long.
        "spark.dynamicAllocation.executorIdleTimeout": "1s",
        "spark.decommission.enabled": "true",
        "spark.storage.decommission.enabled": "true",
        "spark.storage.decommission.rddBlocks.enabled": "true",
        "spark.storage.decommission.shuffleBlocks.enabled": "true",
        "spark.storage.decommission.replicationReattemptInterval": "500ms",
        "spark.executor.decommission.forceKillTimeout": f"{REVOKE_LIMIT}s",
        "spark.standalone.executorRemoveDelayOnDisconnection": "300ms",
    }


def _fallback(config: DriverConfig) -> dict[str, str]:
    """Where the shuffle blocks of a cluster's only executor go when it goes: on one machine, the next can read them.

    Without it, a query longer than a turn would begin again in each turn. Spark counts it as a peer of all executors:
    blocks go there beside others too, and a cached block that is offered to it, and cannot go there, needs another try.
    """
    if not config.master.startswith("spark://"):
        return {}
    return {
        "spark.storage.decommission.fallbackStorage.path": f"file://{config.directory}/fallback/",
        "spark.storage.decommission.fallbackStorage.cleanUp": "true",
        "spark.storage.decommission.maxReplicationFailuresPerBlock": "4",
    }


def _connect(host: str, port: int) -> dict[str, str]:
    return {
        "spark.plugins": "org.apache.spark.sql.connect.SparkConnectPlugin",
        # A pod's addresses are its own; there the rehearsal comes from within, and the notebook from outside.
        "spark.connect.grpc.binding.address": ("::" if ":" in host else "0.0.0.0") if port else host,  # noqa: S104
        "spark.connect.grpc.binding.port": str(port),
    }


def write_properties(properties: Mapping[str, str], path: Path) -> None:
    """Write a Java properties file that only this user can read."""
    lines = [f"{_escape(key)}={_escape(value)}\n" for key, value in sorted(properties.items())]
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.writelines(lines)


def _escape(text: str) -> str:
    """The text as a Java properties file takes it, whatever characters are in it."""
    out = []
    for character in text:
        code = ord(character)
        if character in "\\=:#! ":
            out.append("\\" + character)
        elif 32 < code < 127:
            out.append(character)
        elif code > 0xFFFF:  # Java counts in UTF-16
            high, low = divmod(code - 0x10000, 0x400)
            out.append(f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}")
        else:
            out.append(f"\\u{code:04x}")
    return "".join(out)
