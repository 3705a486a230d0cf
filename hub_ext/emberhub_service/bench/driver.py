"""`python -m emberhub_service.bench.driver FILE`: a Spark driver as people start it without Emberhub.

It is started as Emberhub's own is, with the same Java flags, and opens Spark Connect as well; but its executors are
Spark's own business, as the settings in FILE say. It writes its port on a line of standard output, and ends when its
standard input is closed.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

import msgspec
from emberhub.java import find_java
from emberhub.wire.driver import ENV_CONNECT_TOKEN, ENV_MARK, ENV_SPARK_SECRET, DriverConfig, mark
from emberhub_driver import archive
from emberhub_driver.conf import driver_options, driver_properties, write_properties
from emberhub_driver.jvm import Jvm, spark_environment

START_TIMEOUT = 600.0
EXIT_TIMEOUT = 10.0


class Order(msgspec.Struct, frozen=True):
    """What FILE holds."""

    config: DriverConfig
    allocation: dict[str, str]
    """Spark's settings that say how it gets executors."""


def main() -> int:
    """Run the driver until it is told to end."""
    logging.getLogger("py4j").setLevel(logging.CRITICAL)
    os.umask(0o077)
    order = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Order)
    jvm = _start(order)
    try:
        context, port = _open(jvm)
        print(port, flush=True)
        sys.stdin.read()
        context.stop()
    finally:
        jvm.end(EXIT_TIMEOUT)
    return 0


def _start(order: Order) -> Jvm:
    config, java = order.config, find_java()
    archives = archive.find(java)
    token, secret = os.environ.pop(ENV_CONNECT_TOKEN), os.environ.pop(ENV_SPARK_SECRET)
    directory = Path(config.directory)
    properties = directory / "spark.properties"
    write_properties(
        driver_properties(config, secret=secret, executor_archive=archives.executor) | order.allocation, properties
    )
    return Jvm.start(
        java,
        properties=properties,
        directory=directory,
        options=driver_options(config, archives.driver),
        environment=spark_environment(java, config.host)
        | {ENV_CONNECT_TOKEN: token, ENV_MARK: mark(config.cluster, config.generation)},
    )


def _open(jvm: Jvm) -> tuple[Any, int]:
    """Start the application; returns it and the port of Spark Connect."""
    from py4j.java_gateway import GatewayParameters, JavaGateway  # noqa: PLC0415 (drivers only)

    gateway = jvm.gateway(START_TIMEOUT)
    java = JavaGateway(
        gateway_parameters=GatewayParameters(
            port=gateway.port, auth_token=gateway.secret, auto_convert=True, auto_field=False
        )
    ).jvm
    context = java.org.apache.spark.SparkContext(java.org.apache.spark.SparkConf(True))
    service = getattr(getattr(java, "org.apache.spark.sql.connect.service.SparkConnectService$"), "MODULE$")
    return context, int(service.localPort())


if __name__ == "__main__":
    sys.exit(main())
