"""Reads scenarios from YAML. Pools, queues and rules are written as in the site's configuration, and read by it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import yaml
from emberhub.errors import ConfigError
from emberhub.wire.resources import Resources
from emberhub_spawner.reading import Reader, read_file, read_text

from emberhub_service.alloc.model import Queue, Reservation
from emberhub_service.config import Site, leaves, read_site

from .scenario import CellSpec, Costs, Scenario, SparkDynamic, Spread, StageSpec, UserSpec

_SITE = ("pools", "queues", "rules")
_KEYS = ("title", "shows", *_SITE, "users", "reservations", "costs", "spark_dynamic", "fifo_idle", "seed", "horizon")
MOST_TASKS = 2_000_000
"""In one scenario; more would take hours, and is more likely a slip of the keyboard."""


def load(path: str | Path) -> Scenario:
    """The scenario in a YAML file. Raises ConfigError, which names the file, the line and the key."""
    path = Path(path)
    return _scenario(read_file(path), path.name)


def parse(text: str, source: str = "scenario.yaml") -> Scenario:
    """As `load`, from text. Raises ConfigError."""
    return _scenario(read_text(text, source), source)


def _scenario(reader: Reader | None, source: str) -> Scenario:
    if reader is None:
        raise ConfigError(f"{source}: is empty; a scenario has the keys title, shows, pools, queues and users")
    fields = reader.fields(_KEYS)
    for key in ("title", "shows", "pools", "queues", "users"):
        _need(reader, fields, key)
    site = _site(reader)
    given: dict[str, object] = {}
    if "spark_dynamic" in fields:
        given["spark_dynamic"] = _spark(fields["spark_dynamic"])
    if "costs" in fields:
        given["costs"] = _costs(fields["costs"])
    if "reservations" in fields:
        given["reservations"] = tuple(_reservation(item, site.queues) for item in fields["reservations"].items())
    if "fifo_idle" in fields:
        given["fifo_idle"] = fields["fifo_idle"].seconds()
    if "horizon" in fields:
        given["horizon"] = fields["horizon"].seconds(least=1)
    if "seed" in fields:
        given["seed"] = fields["seed"].count(most=2**31)
    scenario = Scenario(
        name=Path(source).stem,
        title=fields["title"].text(),
        shows=" ".join(fields["shows"].text().split()),
        pools=site.pools,
        queues=site.queues,
        users=tuple(_user(item, site) for item in fields["users"].items()),
        **given,  # type: ignore[arg-type]
    )
    _check_users(fields["users"], scenario)
    start = {"executor_start": scenario.costs.executor_start}
    return msgspec.structs.replace(scenario, rules=msgspec.structs.replace(site.rules, **start))


def _need(reader: Reader, fields: dict[str, Reader], key: str) -> Reader:
    if key not in fields:
        raise reader.error(f"lacks the key {key!r}")
    return fields[key]


def _site(reader: Reader) -> Site:
    node = reader.node
    assert isinstance(node, yaml.MappingNode)
    pairs = [pair for pair in node.value if pair[0].value in _SITE]
    part = yaml.MappingNode(node.tag, pairs, node.start_mark, node.end_mark)
    return read_site(Reader(part, "", reader.source))


def _check_users(reader: Reader, scenario: Scenario) -> None:
    if not scenario.users:
        raise reader.error("must hold at least one user")
    names = [user.name for user in scenario.users]
    for name in names:
        if names.count(name) > 1:
            raise reader.error(f"the name {name!r} comes twice")
    tasks = sum(
        user.count * cell.repeat * (stage.gang or stage.tasks)
        for user in scenario.users
        for cell in user.cells
        for stage in cell.stages
    )
    if tasks > MOST_TASKS:
        raise reader.error(f"{tasks:,} tasks in all; at most {MOST_TASKS:,} can be simulated")


_USER = ("name", "queue", "executor", "executors", "count", "arrives", "priority", "slots", "asks", "cells")


def _user(reader: Reader, site: Site) -> UserSpec:
    fields = reader.fields(_USER)
    queue = _need(reader, fields, "queue")
    names = [leaf.name for leaf in leaves(site.queues)]
    if queue.text() not in names:
        raise queue.error(f"{queue.text()!r} is not a leaf of the tree of queues; the leaves are {', '.join(names)}")
    executor = _need(reader, fields, "executor").resources()
    room = sum(executor.how_many(pool.capacity) for pool in site.pools)
    if not room:
        raise fields["executor"].error(f"an executor of {executor} fits in no pool")
    floor, ceiling = _range(fields["executors"]) if "executors" in fields else (0, 4)
    cells = tuple(_cell(item, min(room, ceiling)) for item in _need(reader, fields, "cells").items())
    if not cells:
        raise fields["cells"].error("must hold at least one cell")
    return UserSpec(
        name=_need(reader, fields, "name").text(),
        queue=queue.text(),
        executor=executor,
        cells=cells,
        count=_count(fields, "count", 1, 10_000),
        floor=floor,
        ceiling=ceiling,
        arrives=_spread(fields, "arrives"),
        priority=_count(fields, "priority", 0, 1_000, least=-1_000),
        slots=_count(fields, "slots", max(1, executor.millicores // 1000), 1_000),
        asks=_count(fields, "asks", 1, 1_000),
    )


def _count(fields: dict[str, Reader], key: str, default: int, most: int, least: int = 1) -> int:
    return fields[key].count(least=least, most=most) if key in fields else default


def _range(reader: Reader) -> tuple[int, int]:
    fields = reader.fields(("min", "max"))
    low, high = _count(fields, "min", 0, 100_000, least=0), _count(fields, "max", 4, 100_000)
    if low > high:
        raise reader.error(f"min is {low}, more than max, {high}")
    return low, high


def _spread(fields: dict[str, Reader], key: str) -> Spread:
    if key not in fields:
        return Spread()
    reader = fields[key]
    if not isinstance(reader.node, yaml.SequenceNode):
        return Spread(reader.seconds(), reader.seconds())
    items = reader.items()
    if len(items) != 2:
        raise reader.error("a range is two times, such as [10s, 40s]")
    low, high = (item.seconds() for item in items)
    if low > high:
        raise reader.error("the range ends before it starts: turn it round")
    return Spread(low, high)


def _cell(reader: Reader, most: int) -> CellSpec:
    fields = reader.fields(("think", "repeat", "stages"))
    stages = tuple(_stage(item, most) for item in _need(reader, fields, "stages").items())
    if not stages:
        raise fields["stages"].error("must hold at least one stage")
    return CellSpec(stages, _spread(fields, "think"), _count(fields, "repeat", 1, 10_000))


def _stage(reader: Reader, most: int) -> StageSpec:
    fields = reader.fields(("tasks", "lasts", "gang", "cached"))
    _need(reader, fields, "lasts")
    if "gang" in fields and "tasks" in fields:
        raise fields["tasks"].error("a gang runs one task on each of its executors: leave tasks out")
    gang = _count(fields, "gang", 0, 100_000)
    if gang > most:
        raise fields["gang"].error(f"{gang} executors at once can never be had here: at most {most}")
    cached = fields["cached"].amount("memory") if "cached" in fields else 0
    return StageSpec(_spread(fields, "lasts"), _count(fields, "tasks", 1, MOST_TASKS), gang, cached)


def _reservation(reader: Reader, root: Queue) -> Reservation:
    fields = reader.fields(("name", "queue", "amount", "start", "end", "lead"))
    queue = _need(reader, fields, "queue")
    if queue.text() not in _names(root):
        raise queue.error(f"there is no queue {queue.text()!r}")
    start, end = _need(reader, fields, "start").seconds(), _need(reader, fields, "end").seconds()
    if end <= start:
        raise fields["end"].error("must be after start")
    amount: Resources = _need(reader, fields, "amount").resources()
    lead = fields["lead"].seconds() if "lead" in fields else 60.0
    return Reservation(_need(reader, fields, "name").text(), queue.text(), amount, start, end, lead=lead)


def _names(queue: Queue) -> list[str]:
    return [queue.name, *(name for child in queue.children for name in _names(child))]


def _spark(reader: Reader) -> SparkDynamic:
    fields = reader.fields(("initial", "backlog", "idle"))
    own = SparkDynamic()
    return SparkDynamic(
        _count(fields, "initial", own.initial, 100_000, least=0),
        fields["backlog"].seconds(least=0.1) if "backlog" in fields else own.backlog,
        fields["idle"].seconds() if "idle" in fields else own.idle,
    )


def _costs(reader: Reader) -> Costs:
    given: dict[str, float | int] = {}
    for key, item in reader.fields(Costs.__struct_fields__).items():
        given[key] = item.amount("memory") if key == "bandwidth" else item.seconds()
    if given.get("bandwidth", 1) <= 0:
        raise reader.error("bandwidth must be more than 0 bytes a second")
    return Costs(**given)  # type: ignore[arg-type]
