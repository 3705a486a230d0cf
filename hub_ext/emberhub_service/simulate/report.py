"""Metrics as text: a table for a terminal, Markdown for the documentation, JSON for everything else."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from .metrics import DEFINITIONS, Metrics
from .scenario import Scenario

COLUMNS = (
    "policy",
    "first executor: worst / p95 / median",
    "first result: worst / median",
    "longest wait",
    "makespan",
    "slowest ÷ fastest",
    "Jain",
    "busy",
    "pool",
    "moved",
    "again",
)


def row(metrics: Metrics) -> list[str]:
    """One policy's cells, in the order of `COLUMNS`."""
    return [
        metrics.policy,
        several(metrics.first_executor_worst, metrics.first_executor_p95, metrics.first_executor_median),
        several(metrics.first_result_worst, metrics.first_result_median),
        seconds(metrics.longest_wait),
        seconds(metrics.makespan) if not metrics.unfinished else f"{metrics.unfinished} never end",
        number(metrics.slowest_to_fastest),
        number(metrics.jain),
        f"{metrics.busy:.1%}",
        f"{metrics.pool:.1%}",
        str(metrics.moved),
        seconds(metrics.again),
    ]


def seconds(value: float | None) -> str:
    """A time in seconds, as short as it may be."""
    if value is None:
        return "-"
    return f"{value:.1f} s" if 0 < value < 9.95 else f"{value:,.0f} s"


def several(*values: float | None) -> str:
    """Times in seconds, the unit once."""
    return " / ".join(seconds(value).removesuffix(" s") for value in values) + " s"


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def remarks(results: Sequence[Metrics]) -> list[str]:
    """What to read out of a scenario's rows, as sentences."""
    found = {metrics.policy: metrics for metrics in results}
    ember, spark = found.get("ember"), found.get("spark-dynamic")
    said = []
    if ember is not None and ember.bound is not None and ember.first_executor_worst is not None:
        worst = ember.first_executor_worst
        kept = "kept" if worst <= ember.bound else "kept, with the ends of tasks"
        if worst > ember.bound + ember.drain:
            kept = "NOT KEPT"
        said.append(
            f"Bound on the first wait under ember, first turn * ⌈waiting users ÷ executors⌉ + notice + start: "
            f"{seconds(ember.bound)}, and up to {seconds(ember.drain)} more where the tasks of executors that leave "
            f"must end first. The worst was {seconds(worst)}: {kept}."
        )
    if ember is not None and spark is not None and not spark.unfinished and spark.pool:
        gain = ember.pool / spark.pool - 1
        said.append(
            f"Use of the pool under ember: {abs(gain):.0%} {'above' if gain >= 0 else 'below'} spark-dynamic's; "
            f"share of executor-seconds that ran tasks: {ember.busy:.1%} against {spark.busy:.1%}."
        )
    return said


def table(scenario: Scenario, results: Sequence[Metrics]) -> str:
    """For a terminal: one column a policy, one line a number, for few policies are compared on many."""
    rows = list(zip(COLUMNS, *(row(metrics) for metrics in results), strict=True))
    widths = [max(len(cells[i]) for cells in rows) for i in range(len(results) + 1)]
    lines = [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(cells, widths, strict=True))
        )
        for cells in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([f"{scenario.name}: {scenario.title}", *lines, *remarks(results)])


def markdown(played: Sequence[tuple[Scenario, Sequence[Metrics], str | None]], command: str) -> str:
    """The whole page; each scenario comes with its results and the path of its picture, if it has one."""
    parts = [
        "# Scenarios\n",
        "What the allocator does to people, next to what Spark's own ways would. A simulator plays each scenario under "
        "four policies with the very same work. This page is its output; do not edit it, run\n",
        f"```\n{command}\n```\n",
        "## Policies\n",
        "* `ember`: Emberhub's allocator, through the function that the service calls. What is taken back is named "
        "first, then decommissioned after the notice.\n"
        "* `fifo`: one line for the pool. Who asks first gets all they ask for before the next gets any; executors go "
        "back after some idle time, or at the end of the session.\n"
        "* `static`: the pool divided by the number of users, at least one executor each, kept from start to end; who "
        "comes when all is taken waits for a session to end.\n"
        "* `spark-dynamic`: Spark's dynamic allocation, each application for itself on a standalone pool: initial "
        "executors, then 1, 2, 4, … more while tasks wait, back after the idle time.\n\n"
        "An idle time shorter than the users' think time would let `spark-dynamic` and `fifo` pass executors on "
        "between cells, and cost every cell a new start; the settings used are said with each scenario.\n\n"
        "Only `ember` knows queues, guarantees and reservations. Executors take time to start and to decommission; "
        "cached blocks take time to move.\n",
        "## Numbers\n",
        "".join(f"* *{name}*: {meaning}.\n" for name, meaning in DEFINITIONS.items()),
    ]
    for scenario, results, picture in played:
        parts.append(f"## {scenario.title}\n")
        spark = scenario.spark_dynamic
        parts.append(f"`{scenario.name}.yaml`, seed {results[0].seed}. {scenario.shows}\n")
        parts.append(
            f"Under `spark-dynamic`: {spark.initial} initial executors, idle time {seconds(spark.idle)}. Under `fifo`: "
            f"idle time {seconds(scenario.fifo_idle)}.\n"
        )
        parts.append(_grid(results))
        parts.extend(f"{remark}\n" for remark in remarks(results))
        if picture is not None:
            parts.append(f"![Executors of each user over time, {scenario.name}]({picture})\n")
    return "\n".join(parts)


def _grid(results: Sequence[Metrics]) -> str:
    lines = [COLUMNS, ["---"] * len(COLUMNS), *(row(metrics) for metrics in results)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def as_json(results: Sequence[Metrics]) -> bytes:
    """All metrics, users included."""
    return msgspec.json.format(msgspec.json.encode(list(results)), indent=2) + b"\n"
