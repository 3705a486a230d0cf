"""What a backend hands to the driver that it starts.

`DriverConfig` is written as JSON to a file that only the driver's user can read, and the path goes in the
environment variable `EMBERHUB_DRIVER_CONFIG`. The tokens travel in the environment alone.
"""

from __future__ import annotations

import hmac

import msgspec

from .resources import Resources

ENV_CONFIG = "EMBERHUB_DRIVER_CONFIG"
ENV_AGENT_TOKEN = "EMBERHUB_AGENT_TOKEN"  # noqa: S105 (the name of a variable)
ENV_CONNECT_TOKEN = "SPARK_CONNECT_AUTHENTICATE_TOKEN"  # noqa: S105 (the name of a variable)

ENV_SPARK_SECRET = "EMBERHUB_SPARK_SECRET"  # noqa: S105 (the name of a variable)
"""Secret of Spark's own connections, where the engine's daemons share one. Without it a driver makes its own."""

ENV_HOST = "EMBERHUB_DRIVER_HOST"
"""The driver's own address, where only the driver can know it: in a pod."""

ENV_MARK = "EMBERHUB_DRIVER"
"""Carried by every process of a driver, its executors and their Python workers included: its `mark`. By it a backend
sees what is left of a driver."""

FILE_REASON = "reason"
FILE_APPLICATION = "application"
"""Files that a driver writes in its directory: why it stopped, as a sentence; and Spark's application id."""


def ui_key(connect_token: str) -> bytes:
    """What signs requests to the driver's web UI: the service and the driver make it of the secret that both know."""
    return hmac.digest(connect_token.encode(), b"emberhub: Spark's web UI", "sha256")


def mark(cluster: str, generation: int) -> str:
    """What tells the processes of one driver from all others."""
    return f"{cluster}-{generation}"


class DriverConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """One driver: which cluster it is, whom it obeys, and how Spark is to be set up."""

    cluster: str
    generation: int
    """Counts the starts of this cluster; a driver of an earlier generation is refused by the service."""
    user: str
    name: str
    """The cluster's name as its user knows it; becomes `spark.app.name`."""
    agent_url: str
    """`ws://` or `wss://` address of the service's agent socket."""
    master: str
    """Spark's master URL: `spark://…` or `k8s://…`."""
    executor: Resources
    """One executor, memory overhead included."""
    directory: str
    """Private directory for scratch, logs and the warehouse."""
    conf: dict[str, str] = {}
    """`spark.*` settings of the profile and of the user, already checked by the service."""
    driver_memory: int = 512 << 20
    """Bytes of JVM heap for the driver."""
    host: str = "127.0.0.1"
    """Address that executors and Spark Connect clients reach the driver at; EMBERHUB_DRIVER_HOST goes before it."""
    connect_port: int = 0
    """Where Spark Connect listens; 0: wherever there is room."""
    spark_secret_file: str = ""
    """File that holds the secret of Spark's own connections, in the driver and in its executors alike. Without it the
    engine hands the secret to executors."""
    lease: float = 60.0
    """Seconds; as in `Welcome`, for the time before the first one."""
    tuned: bool = True
    """Start Java with our flags and class-data archives. Without, with its own defaults, to measure against."""
