"""A Spark Connect server that is a few dictionaries: what a session set on it, and who asked."""

from __future__ import annotations

import itertools
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pyarrow as pa
from emberhub.wire import rest
from pyspark.sql.connect.proto import base_pb2, base_pb2_grpc, types_pb2

_DEFAULTS = {
    "spark.sql.shuffle.partitions": "200",
    "spark.connect.session.planCompression.threshold": "-1",
    "spark.connect.session.planCompression.defaultAlgorithm": "NONE",
}
Step = dict[str, Any]
_tokens = (f"token-{number}" for number in itertools.count(1))


def tasks(done: int, of: int, running: int = 1, stage: int = 0, read: int = 0) -> Step:
    """A step of a query: so many tasks of one stage are done."""
    told = base_pb2.ExecutePlanResponse.ExecutionProgress(num_inflight_tasks=running)
    told.stages.add(stage_id=stage, num_tasks=of, num_completed_tasks=done, input_bytes_read=read, done=done == of)
    return {"execution_progress": told}


def numbers(*values: int) -> list[Step]:
    """The last steps of a query: these rows, and a scan that read as many."""
    table = pa.table({"id": pa.array(values, pa.int64())})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    schema = types_pb2.DataType()
    schema.struct.fields.add(name="id", data_type=types_pb2.DataType(long=types_pb2.DataType.Long()))
    batch = base_pb2.ExecutePlanResponse.ArrowBatch(row_count=len(values), data=sink.getvalue().to_pybytes())
    metrics = base_pb2.ExecutePlanResponse.Metrics()
    scan = metrics.metrics.add(name="Scan parquet ", plan_id=1, parent=0)
    scan.execution_metrics["numOutputRows"].value = len(values)
    return [{"schema": schema}, {"arrow_batch": batch}, {"metrics": metrics}]


class FakeDriver(base_pb2_grpc.SparkConnectServiceServicer):
    """One driver's server, with a token of its own. It refuses a session that takes it for another."""

    def __init__(self) -> None:
        self.token = next(_tokens)
        self.id = str(uuid.uuid4())
        self.settings: dict[str, str] = {}
        self.views: list[str] = []
        self.refused_views: set[str] = set()
        self.needs: dict[str, str] = {}
        """Views that can be made only where another one is."""
        self.as_made: dict[str, Callable[[grpc.ServicerContext], object]] = {}
        """What happens as each of these views is made, once."""
        self.statements: list[str] = []
        """SQL that came."""
        self.patience: list[float] = []
        """Seconds that whoever asked for each plan waits for its end; some 10^18 where that is for ever."""
        self.tables: set[str] = set()
        self.databases: list[str] = []
        """Those that were made the current one."""
        self.models: list[str] = []
        """What was asked about models."""
        self.calls = 0
        self.running: set[str] = set()
        """Operations that have begun and not ended, whether a client still reads them or not."""
        self.cancelled: list[str] = []
        """Operations that a client ended: it interrupted them, or let go of them while they ran, which is the same."""
        self.lingers = False
        """Whether an answer that was given whole stays open until the client lets go of it."""
        self.steps: list[Iterator[Step]] = []
        """What each of the next queries reports, as it happens: `ExecutePlanResponse`'s own fields."""
        self._server = grpc.server(ThreadPoolExecutor(4))
        base_pb2_grpc.add_SparkConnectServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    @property
    def connection(self) -> rest.Connection:
        return rest.Connection("127.0.0.1", self.port, self.token)

    def stop(self) -> None:
        self._server.stop(None).wait()

    def _common(self, request: Any, context: grpc.ServicerContext) -> dict[str, str]:
        if dict(context.invocation_metadata()).get("authorization") != f"Bearer {self.token}":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "this is not the token")
        if getattr(request, "client_observed_server_side_session_id", "") not in {"", self.id}:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "this is another server")
        self.calls += 1
        return {"session_id": request.session_id, "server_side_session_id": self.id}

    def Config(self, request: Any, context: Any) -> Any:  # noqa: N802 (gRPC's name, as those below)
        answer = base_pb2.ConfigResponse(**self._common(request, context))
        operation = request.operation
        for pair in operation.set.pairs:
            self.settings[pair.key] = pair.value
        for pair in operation.get_with_default.pairs:
            answer.pairs.add(key=pair.key, value=self.settings.get(pair.key, _DEFAULTS.get(pair.key, pair.value)))
        for key in [*operation.get.keys, *operation.get_option.keys]:
            answer.pairs.add(key=key, value=self.settings.get(key, _DEFAULTS.get(key, "")))
        return answer

    def AnalyzePlan(self, request: Any, context: Any) -> Any:  # noqa: N802
        answer = base_pb2.AnalyzePlanResponse(**self._common(request, context))
        table = request.schema.plan.root.read.named_table.unparsed_identifier
        if table and table not in self.tables:
            context.abort(grpc.StatusCode.INTERNAL, "there is no such table")
        answer.persist.SetInParent()
        return answer

    def AddArtifacts(self, requests: Any, context: Any) -> Any:  # noqa: N802
        request = next(requests)
        return base_pb2.AddArtifactsResponse(session_id=request.session_id, server_side_session_id=self.id)

    def ExecutePlan(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        common = self._common(request, context)
        view = request.plan.command.create_dataframe_view.name
        if view in self.refused_views or self.needs.get(view, view) not in {view, *self.views}:
            context.abort(grpc.StatusCode.INTERNAL, "there is no such table")
        self.patience.append(context.time_remaining())
        if happens := self.as_made.pop(view, None):
            happens(context)
        if request.plan.command.HasField("sql_command"):
            self.statements.append(request.plan.command.sql_command.input.sql.query)
        self.views.append(view)
        if database := request.plan.root.catalog.set_current_database.db_name:
            self.databases.append(database)
        if request.plan.command.HasField("ml_command"):
            self.models.append(request.plan.command.ml_command.WhichOneof("command"))
        operation = request.operation_id or str(uuid.uuid4())
        steps = self.steps.pop(0) if self.steps and request.plan.HasField("root") else iter(())
        self.running.add(operation)
        for step in steps:
            if operation in self.cancelled:
                context.abort(grpc.StatusCode.CANCELLED, "the query was interrupted")
            yield base_pb2.ExecutePlanResponse(**common, operation_id=operation, response_id=str(uuid.uuid4()), **step)
        answer = base_pb2.ExecutePlanResponse(**common, operation_id=operation, response_id=str(uuid.uuid4()))
        answer.result_complete.SetInParent()
        self.running.discard(operation)
        let_go = threading.Event()
        context.add_callback(let_go.set)
        yield answer
        if self.lingers:
            let_go.wait(60)

    def Interrupt(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._cancel(request.operation_id)
        return base_pb2.InterruptResponse(**self._common(request, context), interrupted_ids=[request.operation_id])

    def ReleaseSession(self, request: Any, context: Any) -> Any:  # noqa: N802
        answer = base_pb2.ReleaseSessionResponse(**self._common(request, context))
        self.settings.clear()
        self.views.clear()
        return answer

    def _cancel(self, operation: str) -> None:
        if operation in self.running:
            self.running.discard(operation)
            self.cancelled.append(operation)

    def ReleaseExecute(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.HasField("release_all"):
            self._cancel(request.operation_id)
        return base_pb2.ReleaseExecuteResponse(**self._common(request, context), operation_id=request.operation_id)
