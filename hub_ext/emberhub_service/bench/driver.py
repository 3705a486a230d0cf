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
from emberhub.wire.driver import ENV_CONNECT_TOKEN, DriverConfig
from emberhub_driver.jvm import Jvm
from emberhub_driver.start import start_jvm

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
    jvm = start_jvm(order.config, os.environ.pop(ENV_CONNECT_TOKEN), order.allocation)
    try:
        context, port = _open(jvm)
        print(port, flush=True)
        sys.stdin.read()
        context.stop()
    finally:
        jvm.end(EXIT_TIMEOUT)
    return 0


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
