"""A driver's JVM, from its config: the settings' file, the flags, the archives and the environment."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from emberhub.java import find_java
from emberhub.wire.driver import ENV_CONNECT_TOKEN, ENV_MARK, ENV_SPARK_SECRET, DriverConfig, mark

from . import archive
from .conf import driver_options, driver_properties, write_properties
from .jvm import Jvm, spark_environment


def start_jvm(config: DriverConfig, connect_token: str, properties: Mapping[str, str] | None = None) -> Jvm:
    """Start it; returns at once. `properties` are Spark settings that replace those of the config.

    The engine's secret is taken out of this process's environment. Raises EmberhubError.
    """
    directory = Path(config.directory)
    java = find_java()
    archives = archive.find(java)
    # An engine whose daemons share one secret hands it over; elsewhere a driver has one of its own.
    secret = os.environ.pop(ENV_SPARK_SECRET, "") or secrets.token_urlsafe(32)
    ours = driver_properties(config, secret=secret, executor_archive=archives.executor)
    file = directory / "spark.properties"
    write_properties({**ours, **(properties or {})}, file)
    return Jvm.start(
        java,
        properties=file,
        directory=directory,
        options=driver_options(config, archives.driver),
        environment=spark_environment(java, config.host)
        | {ENV_CONNECT_TOKEN: connect_token, ENV_MARK: mark(config.cluster, config.generation)},
    )
