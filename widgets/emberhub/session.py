"""A Spark Connect session of the cluster's own, over a clear channel with its token, which follows its driver."""
# ruff: noqa: PLC0415 (Spark's client is imported when it is used)

from __future__ import annotations

import atexit
import os
import weakref
from typing import TYPE_CHECKING, Any

from .errors import EmberhubError
from .wire import rest

if TYPE_CHECKING:
    from pyspark.sql.connect.session import SparkSession

    from .channel import Following, Resume
    from .notebook.bars import Bars

SPARK_DEFAULT_PARTITIONS = "200"
PARTITIONS_PER_CORE = 3
RETRIES = 10
"""How often a call to a driver that does not answer is repeated: for about 20 seconds in all."""


def _stay(_generation: int) -> None:
    """Where a session of a driver that is never followed goes on."""


def connect(to: rest.Connection, cluster: rest.Cluster, resume: Resume = _stay) -> SparkSession:
    """Open a session; `resume` says where it goes on after a pause.

    Raises EmberhubError where Spark's client is not installed.
    """
    try:
        import grpc
        from pyspark.sql.connect.client import DefaultChannelBuilder
        from pyspark.sql.connect.client.retries import DefaultPolicy
        from pyspark.sql.connect.session import SparkSession

        from .channel import Following
        from .interrupts import watch_cells
    except ImportError as missing:
        raise EmberhubError(
            f"Spark's client is not installed here ({missing}): pip install 'emberhub[notebook]'"
        ) from missing

    class Channel(DefaultChannelBuilder):  # type: ignore[misc]
        """Spark's own builder insists on TLS as soon as there is a token and the host is not `localhost`."""

        def toChannel(self) -> Any:  # noqa: N802 (Spark's name)
            return Following(self.open, to, cluster.generation, resume)

        def open(self, to: rest.Connection) -> Any:
            plain = grpc.insecure_channel(_address(to), options=self._effective_channel_options())
            return grpc.intercept_channel(plain, _interceptor(grpc, to.token))

    builder = Channel(f"sc://{_address(to)}")
    # pyspark.sql.functions asks the environment whether it is to build remote or classic columns.
    os.environ["SPARK_CONNECT_MODE_ENABLED"] = "1"
    session = SparkSession.builder.channelBuilder(builder).create()
    # Spark would try to reach a driver that has gone for ten minutes, at the end of the kernel too.
    session.client.set_retry_policies([DefaultPolicy(max_retries=RETRIES, backoff_multiplier=2, max_backoff=4000)])
    channel: Following = session.client._channel
    channel.client = weakref.ref(session.client)
    channel.operations = watch_cells(channel.cancel)
    # Spark would ask a driver, parked or gone or not, to forget its models, and keep each client until then.
    atexit.unregister(session.client._on_exit)
    atexit.register(_leave, channel)
    _set_defaults(session, cluster)
    # PySpark leaves the first session the active one, which its functions ask for settings: its driver may have gone.
    SparkSession._default_session = SparkSession._active_session.session = session
    return session


def watch(session: SparkSession, bars: Bars) -> None:
    """Show the session's queries."""
    session.client._channel.watcher = bars
    session.registerProgressHandler(bars.progress)


def generation(session: SparkSession) -> int:
    """The start of the cluster that this session is at."""
    return int(session.client._channel.generation)


def _leave(channel: Following) -> None:
    """Python ends: the driver need not keep the models of its session."""
    client = channel.client() if channel.client is not None else None
    if client is not None and channel.models:
        client._on_exit()


def _address(to: rest.Connection) -> str:
    return f"[{to.host}]:{to.port}" if ":" in to.host else f"{to.host}:{to.port}"


def drop(session: SparkSession) -> None:
    """Close a session whose server has gone, without trying to tell the server."""
    session.release_session_on_close = False
    session.stop()


def _set_defaults(session: SparkSession, cluster: rest.Cluster) -> None:
    """Spark's 200 shuffle partitions are made for hundreds of cores; here they would be mostly overhead.

    A value that the user or the profile has set stays.
    """
    key = "spark.sql.shuffle.partitions"
    if session.conf.get(key) == SPARK_DEFAULT_PARTITIONS:
        cores = max(1, cluster.executor.millicores // 1000) * max(1, cluster.executors.max)
        session.conf.set(key, str(min(int(SPARK_DEFAULT_PARTITIONS), max(8, PARTITIONS_PER_CORE * cores))))


def _interceptor(grpc: Any, token: str) -> Any:
    class Authenticate(
        grpc.UnaryUnaryClientInterceptor,  # type: ignore[misc]
        grpc.UnaryStreamClientInterceptor,  # type: ignore[misc]
        grpc.StreamUnaryClientInterceptor,  # type: ignore[misc]
        grpc.StreamStreamClientInterceptor,  # type: ignore[misc]
    ):
        """Adds the cluster's token to every call."""

        def _with_token(self, details: Any) -> Any:
            metadata = [*(details.metadata or ()), ("authorization", f"Bearer {token}")]
            return details._replace(metadata=metadata)

        def intercept_unary_unary(self, go_on: Any, details: Any, request: Any) -> Any:
            return go_on(self._with_token(details), request)

        intercept_unary_stream = intercept_stream_unary = intercept_stream_stream = intercept_unary_unary

    return Authenticate()
