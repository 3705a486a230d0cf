"""One bar in the cell for each query that runs: hears a session's queries, and shows them.

A query shows nothing for its first half second. Then one thread brings its bar up to date twice a second, for as long
as any query of the session runs.
"""

from __future__ import annotations

import contextvars
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from ..progress import Line, Terminal, in_notebook
from .feed import Feed, News
from .query import Query, Stage, html, text, waits_for

TICK = 0.5
"""Seconds between two pictures of a running query."""
PATIENCE = 1.5
"""Seconds without a task after which the service is asked why."""
_SOURCES = ("Scan", "BatchScan", "FileScan", "InMemoryTableScan")


class Cell:
    """The output of the cell that began the query, wherever the thread that shows it was started."""

    def __init__(self) -> None:
        self._context = contextvars.copy_context()
        self._handle: Any = None

    def show(self, line: str, picture: str) -> None:
        """Replace what is shown."""
        self._context.run(self._show, {"text/plain": line, "text/html": picture})

    def _show(self, content: dict[str, str]) -> None:
        from IPython.display import DisplayHandle  # noqa: PLC0415 (only in a notebook)

        if self._handle is None:
            self._handle = DisplayHandle()
            self._handle.display(content, raw=True)
        else:
            self._handle.update(content, raw=True)


class OneLine:
    """A line of text, for a terminal: there all queries share it."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def show(self, line: str, picture: str) -> None:
        """Replace the line."""
        self._line.show(line, last=line.startswith(("Query done", "Query interrupted", "Query failed")))


class _Shown:
    """A query and its place."""

    def __init__(self, query: Query, place: Cell | OneLine) -> None:
        self.query, self.place = query, place
        self.shown = ""
        self.outer = sys.exc_info()[1]
        """An error that was being dealt with when the query began: not the query's own."""
        self.lock = threading.Lock()

    def draw(self, now: float, *, last: bool = False) -> None:
        with self.lock:
            if self.query.ended is not None and not last:
                return
            line = text(self.query, now)
            if line != self.shown and (self.shown or now - self.query.began >= TICK):
                self.place.show(line, html(self.query, now))
                self.shown = line


class Bars:
    """See the module. `began`, `heard` and `progress` are called from the threads that run the queries."""

    def __init__(
        self, feed: Feed, place: Callable[[], Cell | OneLine], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._feed, self._place, self._clock = feed, place, clock
        self._lock = threading.Lock()
        self._queries: dict[str, _Shown] = {}
        self._stir = threading.Event()
        self._runs = False

    # --- what the session says -----------------------------------------------------------------------------------

    def began(self, operation: str) -> None:
        """The query of this id was sent."""
        with self._lock:
            if operation in self._queries:
                return
            self._queries[operation] = _Shown(Query(self._clock()), self._place())
            if not self._runs:
                self._runs = True
                threading.Thread(target=self._run, name="emberhub-bars", daemon=True).start()

    def heard(self, operation: str, response: Any) -> None:
        """A part of the answer has come: rows, or how many were read."""
        shown = self._queries.get(operation)
        if shown is None:
            return
        if response.HasField("arrow_batch"):
            shown.query.rows += response.arrow_batch.row_count
        if response.HasField("metrics"):
            shown.query.rows_read = rows_read(response.metrics.metrics)

    def progress(self, stages: Iterable[Any] | None, inflight_tasks: int, operation_id: str | None, done: bool) -> None:
        """Spark Connect's progress handler."""
        shown = self._queries.get(operation_id or "")
        if shown is None:
            return
        now = self._clock()
        known = [
            Stage(each.stage_id, each.num_tasks, each.num_completed_tasks, each.num_bytes_read, each.done)
            for each in stages or ()
        ]
        with shown.lock:
            shown.query.progress(known, inflight_tasks, now)
        if done:
            self.ended(operation_id or "", sys.exc_info()[1])

    def ended(self, operation: str, error: BaseException | None = None) -> None:
        """The query is over, by this error if there is one."""
        shown = self._queries.get(operation)
        if shown is None:
            return
        now = self._clock()
        query = shown.query
        own = error is not None and error is not shown.outer and not isinstance(error, GeneratorExit)
        query.outcome = "done" if not own else "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        query.running, query.ended = 0, now
        shown.draw(now, last=True)
        # Not before: what an interrupt hits in between is ended once more.
        with self._lock:
            self._queries.pop(operation, None)
            if not self._queries:
                self._stir.set()

    # --- showing -------------------------------------------------------------------------------------------------

    def _open(self) -> list[_Shown]:
        with self._lock:
            self._runs = bool(self._queries)
            return list(self._queries.values())

    def _run(self) -> None:
        leave: Callable[[], None] | None = None
        try:
            while open_ := self._open():
                now = self._clock()
                stalled = any(each.query.quiet(now) > PATIENCE for each in open_)
                if stalled and leave is None:
                    leave = self._feed.listen(_ignore)
                if not stalled and leave is not None:
                    leave()
                    leave = None
                for each in open_:
                    waits = leave is not None and each.query.quiet(now) > PATIENCE
                    each.query.waits = waits_for(self._feed.news.cluster) if waits else ""
                    each.draw(now)
                self._stir.wait(TICK)
                self._stir.clear()
        finally:
            if leave is not None:
                leave()


def bars_for(feed: Feed) -> Bars | None:
    """Bars that suit where this runs; None where they would only be in the way, as in a log."""
    if in_notebook():
        return Bars(feed, Cell)
    if sys.stderr.isatty():
        return Bars(feed, lambda: OneLine(Terminal()))
    return None


def rows_read(metrics: Iterable[Any]) -> int:
    """Rows that came out of the tables that a query read, from the metrics of its plan."""
    return sum(
        value.value
        for node in metrics
        if node.name.startswith(_SOURCES)
        for key, value in node.execution_metrics.items()
        if key == "numOutputRows"
    )


def _ignore(_: News) -> None:
    # What was last heard is read where it is needed.
    pass
