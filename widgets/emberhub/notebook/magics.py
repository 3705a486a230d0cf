"""`%load_ext emberhub`: `%ember` for the cluster, `%%sql` for queries on it."""

from __future__ import annotations

import argparse
import shlex
import time
from typing import Any, NoReturn

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class
from IPython.display import HTML, display

from .. import client
from ..errors import EmberhubError
from . import launcher, messages
from .chart import chart
from .completion import COMMANDS, matcher
from .query import span
from .table import Table

ROWS = 50
"""Rows that are shown, if nothing else is said."""
MOST_ROWS = 10_000


class _Parser(argparse.ArgumentParser):
    """Says what is wrong as a message in the notebook, instead of ending the kernel."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(messages.WRONG_OPTION.say(magic=self.prog, wrong=message))


def _ember_parser() -> _Parser:
    parser = _Parser(prog="ember", add_help=False)
    parser.add_argument("--profile")
    parser.add_argument("--executors")
    parser.add_argument("--name", default="main")
    parser.add_argument("numbers", nargs="*", type=int)
    return parser


def _sql_parser() -> _Parser:
    parser = _Parser(prog="sql", add_help=False)
    parser.add_argument("-o", "--output")
    parser.add_argument("-n", "--rows", type=int, default=ROWS)
    parser.add_argument("--chart", action="store_true")
    return parser


@magics_class
class EmberMagics(Magics):  # type: ignore[misc]
    """See the module."""

    @line_magic  # type: ignore[untyped-decorator]
    def ember(self, line: str) -> Any:
        """`%ember start|status|why|scale|stop|panel|launcher`

        * `%ember start [--profile NAME] [--executors MIN-MAX] [--name NAME]` starts the cluster, or finds it again, and
          puts `spark` and `cluster` into the notebook.
        * `%ember status` shows what it has and lacks, `%ember why` says why it has no more.
        * `%ember scale MIN MAX` asks for so many executors from now on.
        * `%ember stop` stops it.
        * `%ember panel` shows it live, `%ember launcher` lets you choose.
        """
        command, *rest = _words(line, "ember") or ["help"]
        if command in {"help", "--help", "-h"}:
            print(messages.EMBER_USAGE.say())
            return None
        if command not in COMMANDS:
            known = ", ".join(COMMANDS)
            raise UsageError(messages.NO_SUCH_COMMAND.say(what=command, known=known))
        options = _ember_parser().parse_args(rest)
        try:
            return getattr(self, f"_{command}")(options)
        except (EmberhubError, ValueError) as error:
            raise UsageError(str(error)) from None

    def _start(self, options: argparse.Namespace) -> None:
        executors = None if options.executors is None else executor_range(options.executors)
        cluster = client.cluster(options.profile, executors, options.name)
        self.shell.user_ns.update(cluster=cluster, spark=cluster.spark)
        print(messages.SPARK_READY.say())

    def _status(self, options: argparse.Namespace) -> Any:
        return self._cluster(options.name).status()

    def _why(self, options: argparse.Namespace) -> None:
        print(self._cluster(options.name).why())

    def _scale(self, options: argparse.Namespace) -> Any:
        if len(options.numbers) != 2:
            raise UsageError(messages.WRONG_RANGE.say(text=" ".join(map(str, options.numbers)) or "That"))
        return self._cluster(options.name).scale(*options.numbers)

    def _stop(self, options: argparse.Namespace) -> None:
        cluster = self._cluster(options.name)
        cluster.stop()
        print(messages.STARTED_STOPPING.say(name=cluster.name))

    def _panel(self, options: argparse.Namespace) -> Any:
        return self._cluster(options.name).panel()

    def _launcher(self, options: argparse.Namespace) -> Any:
        return launcher(options.name)

    def _cluster(self, name: str) -> client.Cluster:
        """The one of the notebook, or else one that is found. Raises EmberhubError."""
        mine = self.shell.user_ns.get("cluster")
        if isinstance(mine, client.Cluster) and mine.name == name:
            return mine
        found = next((each for each in client.clusters() if each.name == name), None)
        if found is None:
            raise EmberhubError(messages.NO_CLUSTER.say(name=name))
        return found

    @cell_magic  # type: ignore[untyped-decorator]
    def sql(self, line: str, cell: str) -> None:
        """`%%sql [-n ROWS] [-o NAME] [--chart]`: run the cell's SQL on the cluster, and show the result as a table.

        `-n` is how many rows are shown, `-o` keeps the whole result as a Spark DataFrame of this name, and `--chart`
        draws the first column against the first column of numbers after it.
        """
        options = _sql_parser().parse_args(_words(line, "sql"))
        if options.output and not options.output.isidentifier():
            raise UsageError(messages.NOT_A_NAME.say(text=options.output))
        text = cell.strip().rstrip(";")
        if not text:
            raise UsageError(messages.NO_SQL.say())
        try:
            spark = self._cluster("main").spark
        except EmberhubError as error:
            raise UsageError(str(error)) from None
        began = time.monotonic()
        frame = spark.sql(text)
        rows = max(1, min(options.rows, MOST_ROWS))
        table = fetch(frame, rows)
        if not table.columns:
            print(messages.SQL_DONE.say(took=span(time.monotonic() - began)))
            return
        display({"text/plain": table.text(), "text/html": table.html()}, raw=True)
        if options.output:
            self.shell.user_ns[options.output] = frame
            print(messages.SQL_KEPT.say(name=options.output))
        if options.chart:
            try:
                display(HTML(chart(table)))
            except ValueError as error:
                raise UsageError(str(error)) from None


def fetch(frame: Any, rows: int) -> Table:
    """The first rows of a DataFrame, and whether there are more."""
    columns = [(field.name, field.dataType.simpleString()) for field in frame.schema.fields]
    got = frame.limit(rows + 1).collect() if columns else []
    return Table(columns, [tuple(row) for row in got[:rows]], more=len(got) > rows)


def executor_range(text: str) -> tuple[int, int]:
    """`4` or `0-4`. Raises ValueError."""
    low, dash, high = text.partition("-")
    try:
        return (int(low), int(high)) if dash else (0, int(low))
    except ValueError:
        raise ValueError(messages.WRONG_RANGE.say(text=text)) from None


def _words(line: str, magic: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise UsageError(messages.WRONG_OPTION.say(magic=magic, wrong=str(error))) from None


def load(shell: Any) -> None:
    """Register the magics and their completion with IPython."""
    shell.register_magics(EmberMagics)
    shell.Completer.custom_matchers.append(matcher(shell))
    print(messages.MAGICS_LOADED.say())
