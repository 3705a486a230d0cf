"""What the agent asks of Spark, and the one place that knows Spark's private interface.

Spark's dynamic allocation is on, so that the application starts with no executor and Spark counts what its tasks
need; its manager is then stopped, and the service decides instead. The stopped manager's listener goes on counting.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
from emberhub.wire.agent import Endpoint

from .jvm import Gateway, SparkFailed, first_line
from .ui import open_ui

log = logging.getLogger("emberhub.spark")

_RUNNING_TASKS_LOOKED_AT = 500
_NEWS = ("onStageSubmitted", "onExecutorRemoved", "onApplicationEnd", "onOtherEvent")
"""Spark Connect tells of its queries by other events."""
_UNDER_WAY = ("Pending", "Started", "Analyzed", "ReadyForExecution")
"""The states of a query of Spark Connect's before it has its result."""
_SPARK_TIME = "%Y-%m-%dT%H:%M:%S.%fGMT"


class Executor(msgspec.Struct, frozen=True):
    """One executor that is registered with Spark."""

    id: str
    host: str
    cores: int
    active_tasks: int
    total_tasks: int
    """Tasks that it was ever given; tells that it worked between two looks."""
    cached_bytes: int
    shuffle_bytes: int
    """Bytes of shuffle that it wrote and that may still be needed: an upper bound, see `Py4jSpark.executors`."""
    decommissioning: bool


class SparkApplication(Protocol):
    """The Spark application of one driver. Calls block; none takes long except `stop` and `await_news`."""

    def wanted(self) -> int:
        """Executors that the tasks which run and wait could use."""
        ...

    def executing(self) -> bool:
        """Whether a query is under way, in whatever phase: while it is planned it has no tasks."""
        ...

    def executors(self) -> list[Executor]:
        """Every registered executor, those that are being decommissioned included."""
        ...

    def oldest_tasks(self) -> dict[str, float]:
        """For each executor with a running task, the seconds for which its longest-running one has run."""
        ...

    def apply_target(self, executors: int) -> bool:
        """Have Spark hold this many executors in all. Takes none away.

        False if Spark's master could not be told, as while it is started anew: to be tried again.
        """
        ...

    def decommission(self, executors: Sequence[str], target: int) -> bool:
        """Drain these and let them go, and hold `target` executors afterwards. Ids that are gone are ignored.

        False if the master could not be told of the target.

        One that has not gone within `conf.REVOKE_LIMIT` seconds is killed by Spark.
        """
        ...

    def endpoint(self) -> Endpoint:
        """Where Spark Connect listens."""
        ...

    def application(self) -> str:
        """Spark's application id."""
        ...

    def await_news(self, seconds: float) -> bool:
        """Wait until a query or a stage begins, an executor is lost or Spark stops; False if nothing came in time.

        What came since the last call counts. The one call that may be made beside another.
        """
        ...

    def open_ui(self) -> Endpoint:
        """Open Spark's web UI, which takes a moment. May be called from any thread. Raises SparkFailed."""
        ...

    def stopped(self) -> bool:
        """Whether Spark has stopped by itself, as it does when its master drops the application."""
        ...

    def stop(self) -> None:
        """Stop the application."""
        ...


class _Summary(msgspec.Struct, rename="camel"):
    """What is read of Spark's ExecutorSummary."""

    id: str
    host_port: str = ""
    total_cores: int = 0
    active_tasks: int = 0
    total_tasks: int = 0
    memory_used: int = 0
    disk_used: int = 0
    total_shuffle_write: int = 0


class _Stage(msgspec.Struct, rename="camel"):
    stage_id: int
    attempt_id: int


class _Task(msgspec.Struct, rename="camel"):
    executor_id: str
    launch_time: str


_summaries = msgspec.json.Decoder(list[_Summary]).decode
_stages = msgspec.json.Decoder(list[_Stage]).decode
_tasks = msgspec.json.Decoder(list[_Task]).decode


class Py4jSpark:
    """A SparkContext in the JVM at the other end of a py4j gateway.

    py4j alone is used, not pyspark: the context has no Python side, since all Python work comes over Spark Connect.
    """

    def __init__(self, gateway: Gateway, host: str, ui_key: str = "") -> None:
        """Create the context from the settings that the JVM was started with. `ui_key` signs requests to the web UI;
        without one it cannot be opened.

        Raises SparkFailed.
        """
        from py4j.java_gateway import GatewayParameters, JavaGateway  # noqa: PLC0415 (not needed to test an agent)
        from py4j.protocol import Py4JError  # noqa: PLC0415

        self._host = host
        self._ui_key = ui_key
        self._gateway = JavaGateway(
            gateway_parameters=GatewayParameters(
                port=gateway.port, auth_token=gateway.secret, auto_convert=True, auto_field=False
            )
        )
        self._jvm: Any = self._gateway.jvm
        try:
            self._context: Any = self._jvm.org.apache.spark.SparkContext(self._jvm.org.apache.spark.SparkConf(True))
            self._take_over()
        except Py4JError as error:
            raise SparkFailed(f"Spark did not start: {first_line(error)}") from error

    def _take_over(self) -> None:
        self._backend: Any = self._context.schedulerBackend()
        self._manager: Any = self._context.executorAllocationManager().get()
        self._manager.stop()
        # Barrier stages are refused only while the setting says that Spark allocates by itself.
        self._context.conf().set("spark.dynamicAllocation.enabled", "false")
        self._store: Any = self._context.statusStore()
        self._shuffles: Any = self._context.taskScheduler().mapOutputTracker().shuffleStatuses()
        self._mapper: Any = self._jvm.org.apache.spark.status.api.v1.JacksonMessageWriter().mapper()
        self._python: Any = self._jvm.org.apache.spark.api.python.PythonUtils
        self._none: Any = getattr(getattr(self._jvm, "scala.None$"), "MODULE$")
        self._connect: Any = getattr(
            getattr(self._jvm, "org.apache.spark.sql.connect.service.SparkConnectService$"), "MODULE$"
        )
        self._running: Any = self._jvm.java.util.ArrayList()
        self._running.add(self._jvm.org.apache.spark.status.api.v1.TaskStatus.RUNNING)
        self._shuffle_baseline: dict[str, int] = {}
        self._leaving: set[str] = set()
        self._id = str(self._context.applicationId())
        self._listen()

    def _listen(self) -> None:
        """Have Spark's own events release a semaphore, all inside the JVM: a call into Python for each would not do.

        The listeners stand in the queue of the allocation manager's, behind it: at a stage's news, it has counted.
        """
        self._news: Any = self._jvm.java.util.concurrent.Semaphore(0)
        self._milliseconds: Any = self._jvm.java.util.concurrent.TimeUnit.valueOf("MILLISECONDS")
        interface = self._jvm.java.lang.Class.forName("org.apache.spark.scheduler.SparkListenerInterface")
        for event in _NEWS:
            listener = self._jvm.java.beans.EventHandler.create(interface, self._news, "release", None, event)
            self._context.listenerBus().addToManagementQueue(listener)

    def wanted(self) -> int:
        return int(self._manager.maxNumExecutorsNeededPerResourceProfile(0))

    def executing(self) -> bool:
        # A query whose result is read slowly, or never, is there for long; nearly always there is none at all.
        queries = self._connect.executionManager().listExecuteHolders()
        return any(
            str(queries.apply(index).eventsManager().status().toString()) in _UNDER_WAY
            for index in range(queries.size())
        )

    def executors(self) -> list[Executor]:
        """Every registered executor.

        Spark keeps no count of the shuffle bytes that an executor holds, only of those it ever wrote. While any
        shuffle is known to the driver, all that was written since there was none is taken to be held.
        """
        registered = set(self._strings(self._backend.getExecutorIds()))
        # A standalone master that was started anew counts from 0 again, so an id may come back.
        self._leaving &= registered
        if not registered:
            return []
        summaries = _summaries(self._json(self._store.executorList(True)))
        if self._shuffles.isEmpty():
            self._shuffle_baseline = {summary.id: summary.total_shuffle_write for summary in summaries}
        return [
            Executor(
                id=summary.id,
                host=summary.host_port.rpartition(":")[0],
                cores=summary.total_cores,
                active_tasks=summary.active_tasks,
                total_tasks=summary.total_tasks,
                cached_bytes=summary.memory_used + summary.disk_used,
                shuffle_bytes=summary.total_shuffle_write - self._shuffle_baseline.get(summary.id, 0),
                decommissioning=summary.id in self._leaving,
            )
            for summary in summaries
            if summary.id in registered
        ]

    def oldest_tasks(self) -> dict[str, float]:
        oldest: dict[str, float] = {}
        now = datetime.now(UTC)
        for stage in _stages(self._json(self._store.activeStages())):
            running = self._store.taskList(
                stage.stage_id, stage.attempt_id, 0, _RUNNING_TASKS_LOOKED_AT, self._none, True, self._running
            )
            for task in _tasks(self._json(running)):
                # Spark's own duration of a running task is as old as the last event about it.
                age = (now - datetime.strptime(task.launch_time, _SPARK_TIME).replace(tzinfo=UTC)).total_seconds()
                oldest[task.executor_id] = max(oldest.get(task.executor_id, 0.0), age)
        return oldest

    def apply_target(self, executors: int) -> bool:
        from py4j.protocol import Py4JJavaError  # noqa: PLC0415

        try:
            return bool(self._context.requestTotalExecutors(executors, 0, self._python.toScalaMap({})))
        except Py4JJavaError as error:
            log.warning("Spark's master was not told to hold %d executors: %s", executors, first_line(error))
            return False

    def decommission(self, executors: Sequence[str], target: int) -> bool:
        # First the target: else Spark would replace those that leave.
        told = self.apply_target(target)
        registered = set(self._strings(self._backend.getExecutorIds()))
        leaving = [executor for executor in executors if executor in registered]
        if not leaving:
            return told
        pairs = self._gateway.new_array(self._jvm.scala.Tuple2, len(leaving))
        for index, executor in enumerate(leaving):
            why = self._jvm.org.apache.spark.scheduler.ExecutorDecommissionInfo("reclaimed by Emberhub", self._none)
            pairs[index] = self._jvm.scala.Tuple2(executor, why)
        self._leaving.update(leaving)
        self._backend.decommissionExecutors(pairs, False, False)
        return told

    def endpoint(self) -> Endpoint:
        return Endpoint(self._host, int(self._connect.localPort()))

    def application(self) -> str:
        return self._id

    def await_news(self, seconds: float) -> bool:
        news = bool(self._news.tryAcquire(int(seconds * 1000), self._milliseconds))
        self._news.drainPermits()
        return news

    def open_ui(self) -> Endpoint:
        return open_ui(self._jvm, self._context, self._host, self._ui_key)

    def stopped(self) -> bool:
        return bool(self._context.isStopped())

    def stop(self) -> None:
        self._context.stop()

    def _json(self, value: Any) -> str:
        """A Scala value as JSON, so that one call brings all of it."""
        return str(self._mapper.writeValueAsString(value))

    def _strings(self, sequence: Any) -> list[str]:
        return msgspec.json.decode(self._json(sequence), type=list[str])
