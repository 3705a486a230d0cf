"""Which `spark.*` settings a person may choose.

Two lists. `REFUSED` names what nobody may set because isolation between users, or the count of executors, rests on
it; the reason is told. Everything else needs the site's permission: its patterns in `allowed_conf`.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

_COUNT = "the hub decides how many executors a cluster has; use executors=(min, max)"
_SHAPE = "the size of an executor comes with its profile; choose another profile"
_PLACE = "the hub decides where a cluster runs"
_DRIVER = "the hub sets up the driver"
_CODE = "it would load code into the driver"
_SAFETY = "it is part of what keeps users apart"

REFUSED: dict[str, str] = {
    "spark.master": _PLACE,
    "spark.submit*": _PLACE,
    "spark.kubernetes*": _PLACE,
    "spark.deploy*": _PLACE,
    "spark.standalone*": _PLACE,
    "spark.cores.max": _COUNT,
    "spark.dynamicAllocation*": _COUNT,
    "spark.decommission*": _COUNT,
    "spark.storage.decommission*": _COUNT,
    "spark.executor.instances": _COUNT,
    "spark.executor.decommission*": _COUNT,
    "spark.executor.cores": _SHAPE,
    "spark.executor.memory*": _SHAPE,
    "spark.executor.pyspark.memory": _SHAPE,
    "spark.executor.resource*": _SHAPE,
    "spark.task.resource*": _SHAPE,
    "spark.task.cpus": _SHAPE,
    "spark.memory.offHeap*": _SHAPE,
    "spark.driver*": _DRIVER,
    "spark.app.*": _DRIVER,
    "spark.ui*": _DRIVER,
    "spark.eventLog*": _DRIVER,
    "spark.history*": _DRIVER,
    "spark.local.dir": _DRIVER,
    "spark.sql.warehouse.dir": _DRIVER,
    "spark.blockManager.port": _DRIVER,
    "spark.extraListeners": _CODE,
    "spark.plugins*": _CODE,
    "spark.jars*": _CODE,
    "spark.files*": _CODE,
    "spark.archives*": _CODE,
    "spark.*extraJavaOptions": _CODE,
    "spark.*defaultJavaOptions": _CODE,
    "spark.*extraClassPath": _CODE,
    "spark.*extraLibraryPath": _CODE,
    "spark.*userClassPathFirst": _CODE,
    "spark.sql.extensions": _CODE,
    "spark.sql.queryExecutionListeners": _CODE,
    "spark.sql.streaming.streamingQueryListeners": _CODE,
    "spark.sql.catalog.*": _CODE,
    "spark.sql.catalogImplementation": _CODE,
    "spark.sql.hive*": _CODE,
    "spark.connect*": _SAFETY,
    "spark.api.mode": _SAFETY,
    "spark.remote": _SAFETY,
    "spark.authenticate*": _SAFETY,
    "spark.acls*": _SAFETY,
    "spark.*.acls*": _SAFETY,
    "spark.network.crypto*": _SAFETY,
    "spark.io.encryption*": _SAFETY,
    "spark.ssl*": _SAFETY,
    "spark.redaction*": _SAFETY,
    "spark.executorEnv*": _SAFETY,
    "spark.pyspark*": _SAFETY,
    "spark.python.authenticate*": _SAFETY,
    "spark.rpc*": _SAFETY,
}
"""Patterns, matched without regard to case, and why."""

ALLOWED = (
    "spark.sql.*",
    "spark.default.parallelism",
    "spark.locality.wait*",
    "spark.speculation*",
    "spark.task.maxFailures",
    "spark.serializer",
    "spark.kryoserializer.buffer*",
    "spark.shuffle.compress",
    "spark.shuffle.spill.compress",
    "spark.shuffle.file.buffer",
    "spark.reducer.*",
    "spark.rdd.compress",
    "spark.io.compression.*",
    "spark.broadcast.*",
    "spark.memory.fraction",
    "spark.memory.storageFraction",
    "spark.python.worker.reuse",
    "spark.scheduler.mode",
)
"""What users may set where the site's configuration does not say."""


def why_refused(key: str) -> str:
    """Why nobody may set this key, as part of a sentence; empty if no rule speaks against it."""
    folded = key.casefold()
    return next((reason for pattern, reason in REFUSED.items() if fnmatchcase(folded, pattern.casefold())), "")


def loads_code(key: str) -> bool:
    """Whether the key is refused only because it loads code into the driver, which an operator may want."""
    return why_refused(key) == _CODE


def check(key: str, value: str, allowed: tuple[str, ...]) -> str:
    """What is wrong with a user's setting, as a sentence that says what to change; empty if nothing is."""
    if not key.startswith("spark."):
        return f"conf key {key!r} is not a setting of Spark's: keys start with 'spark.'; remove it or correct it."
    reason = why_refused(key)
    if reason:
        return f"conf key {key!r} cannot be set, because {reason}; remove it."
    if not any(fnmatchcase(key, pattern) for pattern in allowed):
        return f"conf key {key!r} is not among those that this site allows ({', '.join(allowed)}); remove it."
    if any(character in value for character in "\0\r\n"):
        return f"the value of conf key {key!r} has a line break in it; write it on one line."
    return ""
