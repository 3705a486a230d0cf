"""Spark's web UI, opened when somebody first asks for it: a driver that nobody looks into saves its start.

It answers only requests that are signed with a key which its cluster's driver and the service share. On one machine
everybody can reach the port, and nobody else can read the pages.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from emberhub.errors import EmberhubError
from emberhub.wire.agent import Endpoint

from .jvm import SparkFailed, first_line

if TYPE_CHECKING:
    from .spark import SparkApplication
    from .watch import Watch

log = logging.getLogger("emberhub.ui")
_FILTER = "org.apache.spark.ui.JWSFilter"


class WebUi:
    """Opens the UI once, beside all that the driver's agent does meanwhile; `watch` tells where it is."""

    def __init__(self, spark: SparkApplication, watch: Watch, tell: Callable[[], object]) -> None:
        self._spark = spark
        self._watch = watch
        self._tell = tell
        self._opening: asyncio.Future[None] | None = None

    def show(self) -> None:
        """Open it, unless that was done or is under way. `tell` is called once it is open."""
        if self._opening is None:
            self._opening = asyncio.ensure_future(self._open())

    async def _open(self) -> None:
        try:
            # The thread that looks at Spark must not wait for it.
            self._watch.ui = await asyncio.to_thread(self._spark.open_ui)
        except EmberhubError as error:
            log.warning("%s", error)
            self._opening = None
        self._tell()


def open_ui(jvm: Any, context: Any, host: str, key: str) -> Endpoint:
    """Start the UI of a SparkContext that has none, on the port that its settings name, else on a free one of `host`.

    `key` is base64url.
    Raises SparkFailed. It is what Spark itself does at its start where `spark.ui.enabled` is true; `host` is where the
    JVM's SPARK_LOCAL_IP says that it listens.
    """
    from py4j.protocol import Py4JError  # noqa: PLC0415 (not needed to test an agent)

    try:
        return Endpoint(host, _open(jvm, context, key))
    except Py4JError as error:
        raise SparkFailed(f"Spark's web UI did not start: {first_line(error)}") from error


def _open(jvm: Any, context: Any, key: str) -> int:
    conf = context.getConf()
    if not conf.contains("spark.ui.port"):  # An engine whose network lets only some ports through chooses one.
        conf.set("spark.ui.port", "0")
    conf.set("spark.ui.filters", _FILTER)
    conf.set(f"spark.{_FILTER}.param.secretKey", key)
    # The service lets nobody do anything here but look.
    conf.set("spark.ui.killEnabled", "false")
    store, none = context.statusStore(), jvm.scala.Option.empty()
    # Neither by way of the SparkEnv nor of a session: their classes have members of types that are not there, and py4j
    # cannot look into them.
    manager = jvm.org.apache.spark.SecurityManager
    security = manager(conf, none, getattr(manager, "$lessinit$greater$default$3")())
    ui = jvm.org.apache.spark.ui.SparkUI.create(
        jvm.scala.Option.apply(context),
        store,
        conf,
        security,
        context.appName(),
        "",
        context.startTime(),
        context.version(),
    )
    ui.setAppId(context.applicationId())
    sql = jvm.org.apache.spark.sql.execution.ui
    sql.SQLTab(sql.SQLAppStatusStore(store.store(), none), ui)
    connect = jvm.org.apache.spark.sql.connect.ui
    connect.SparkConnectServerTab(connect.SparkConnectServerAppStatusStore(store.store()), ui)
    ui.bind()
    ui.attachAllHandlers()
    return int(ui.boundPort())
