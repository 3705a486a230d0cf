"""`python -m emberhub_driver.executor`: become the JVM of one executor in a pod.

Spark's Kubernetes manager starts a pod for each executor with the argument `executor`, and says in its environment
what the executor is to be. This is what the image's entrypoint answers with. On one machine Spark's worker does it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from emberhub.errors import EmberhubError
from emberhub.java import find_java

from .jvm import FILE_CLASSPATH, classpath

_BACKEND = "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend"
_MASTER = "-Dspark.master=k8s://https://kubernetes.default.svc"
"""Spark reads the file with its secret only where it knows that it is on Kubernetes; executors are told so too late."""
_OPTION = re.compile(r"SPARK_JAVA_OPT_(\d+)")
_ARCHIVE = "-XX:SharedArchiveFile="
_ARGUMENTS = {
    "--driver-url": "SPARK_DRIVER_URL",
    "--executor-id": "SPARK_EXECUTOR_ID",
    "--cores": "SPARK_EXECUTOR_CORES",
    "--app-id": "SPARK_APPLICATION_ID",
    "--hostname": "SPARK_EXECUTOR_POD_IP",
    "--resourceProfileId": "SPARK_RESOURCE_PROFILE_ID",
    "--podName": "SPARK_EXECUTOR_POD_NAME",
}


def command(java: Path, environment: Mapping[str, str]) -> list[str]:
    """The command of the executor that this environment describes. Raises EmberhubError if it describes none."""
    missing = [name for name in (*_ARGUMENTS.values(), "SPARK_EXECUTOR_MEMORY") if not environment.get(name)]
    if missing:
        raise EmberhubError(
            f"{', '.join(missing)} not set: an executor is started by Spark's Kubernetes manager, which sets it"
        )
    numbered = {int(found[1]): value for name, value in environment.items() if (found := _OPTION.fullmatch(name))}
    options = [numbered[number] for number in sorted(numbered)]
    arguments = [part for flag, name in _ARGUMENTS.items() for part in (flag, environment[name])]
    heap = f"-Xmx{environment['SPARK_EXECUTOR_MEMORY']}"
    return [str(java), *options, heap, _MASTER, "-cp", _classpath(options), _BACKEND, *arguments]


def _classpath(options: list[str]) -> str:
    """Spark's jars, in the order that the executors' archive was made for, if there is one."""
    archive = next((each.removeprefix(_ARCHIVE) for each in options if each.startswith(_ARCHIVE)), "")
    noted = Path(archive.rpartition(os.pathsep)[2]).parent / FILE_CLASSPATH
    return noted.read_text() if archive and noted.exists() else classpath()


def main() -> NoReturn:
    """Replace this process by the executor's JVM."""
    try:
        java = find_java()
        arguments = command(java.command, os.environ)
    except EmberhubError as error:
        sys.exit(f"the executor cannot start: {error}")
    os.execve(arguments[0], arguments, {**os.environ, "JAVA_HOME": str(java.home)})  # noqa: S606 (no shell is meant)


if __name__ == "__main__":
    main()
