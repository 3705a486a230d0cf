"""Every route of the service, in one table: the server, the OpenAPI document and the tests are made from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from emberhub.errors import RequestRefused
from emberhub.wire import rest

from ..alloc.model import Snapshot
from ..control.people import Person
from ..control.requests import Requests

MAX_WAIT = 60.0
"""Seconds that a request may wait for a change."""

MOST_EVENTS = 200
"""Events in one answer."""


@dataclass(frozen=True)
class Call:
    """One request, checked as far as its route says."""

    requests: Requests
    person: Person
    path: dict[str, str]
    query: dict[str, str]
    body: Any = None


@dataclass(frozen=True)
class Answer:
    """What goes back: a struct as JSON, or bytes as they are."""

    body: msgspec.Struct | bytes
    status: int = 200
    content_type: str = "application/json"


@dataclass(frozen=True)
class Operation:
    """One method on one route."""

    method: str
    summary: str
    call: Callable[[Call], Answer | Awaitable[Answer]]
    answer: type | None = None
    """None: not JSON."""
    body: type | None = None
    query: tuple[tuple[str, str], ...] = ()
    """Names and descriptions."""
    public: bool = False
    """Whether it is answered to people who do not say who they are."""


@dataclass(frozen=True)
class Route:
    """One path under the service's prefix; `{id}` stands for a part of it."""

    path: str
    operations: tuple[Operation, ...]


class Health(rest.Body, frozen=True):
    """`GET health`."""

    status: str = "ok"


def _list(call: Call) -> Answer:
    return Answer(call.requests.clusters(call.person, everybody=call.query.get("all", "") not in ("", "0", "false")))


def _create(call: Call) -> Answer:
    cluster, new = call.requests.create(call.person, call.body)
    return Answer(cluster, 201 if new else 200)


async def _read(call: Call) -> Answer:
    after = int(number(call, "after", 0, 2**63))
    wait = number(call, "wait", 0, MAX_WAIT)
    return Answer(await call.requests.cluster(call.person, call.path["id"], after, wait))


def _events(call: Call) -> Answer:
    before = int(number(call, "before", 0, 2**63)) or 2**63 - 1
    most = int(number(call, "most", 0, MOST_EVENTS)) or MOST_EVENTS
    return Answer(call.requests.events(call.person, before, most))


async def _change_queue(call: Call) -> Answer:
    return Answer(await call.requests.queues.change(call.person, call.body))


def number(call: Call, name: str, least: float, most: float) -> float:
    """A number of the query; 0 if it is not there. Raises RequestRefused."""
    text = call.query.get(name, "0")
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not least <= number <= most:
        raise RequestRefused(f"'{name}' must be a number from {least:g} to {most:g}; correct it.", 400)
    return number


ROUTES: tuple[Route, ...] = (
    Route(
        "health",
        (Operation("GET", "Whether the service runs.", lambda _: Answer(Health()), Health, public=True),),
    ),
    Route(
        "metrics",
        (
            Operation(
                "GET",
                "Numbers in Prometheus' text format; for admins, and tokens with the scope read:metrics.",
                lambda call: Answer(call.requests.metrics(call.person), content_type="text/plain; version=0.0.4"),
            ),
        ),
    ),
    Route(
        "api/profiles",
        (
            Operation(
                "GET",
                "The profiles that I may use.",
                lambda call: Answer(call.requests.profiles(call.person)),
                rest.Profiles,
            ),
        ),
    ),
    Route(
        "api/clusters",
        (
            Operation(
                "GET",
                "My clusters.",
                _list,
                rest.Clusters,
                query=(("all", "1: everybody's clusters for admins, the class's for its instructors."),),
            ),
            Operation(
                "POST",
                "Start my cluster of this name, or find it again. 201 if it was not known before.",
                _create,
                rest.Cluster,
                body=rest.CreateCluster,
            ),
        ),
    ),
    Route(
        "api/clusters/{id}",
        (
            Operation(
                "GET",
                "One cluster.",
                _read,
                rest.Cluster,
                query=(
                    ("after", "Answer once the version is above this one,"),
                    ("wait", f"or after so many seconds, at most {MAX_WAIT:g}."),
                ),
            ),
            Operation(
                "PATCH",
                "Change how many executors it may have.",
                lambda call: Answer(call.requests.scale(call.person, call.path["id"], call.body)),
                rest.Cluster,
                body=rest.ScaleCluster,
            ),
            Operation(
                "DELETE",
                "Stop it. It can be started again.",
                lambda call: Answer(call.requests.stop(call.person, call.path["id"])),
                rest.Cluster,
            ),
        ),
    ),
    Route(
        "api/clusters/{id}/connection",
        (
            Operation(
                "GET",
                "How to reach Spark Connect; for its owner alone.",
                lambda call: Answer(call.requests.connection(call.person, call.path["id"])),
                rest.Connection,
            ),
        ),
    ),
    Route(
        "api/clusters/{id}/reclaims/{executor}",
        (
            Operation(
                "POST",
                "Keep an executor that is asked back a little longer, once, or give another; for its owner alone.",
                lambda call: Answer(call.requests.wish(call.person, call.path["id"], call.path["executor"], call.body)),
                rest.Cluster,
                body=rest.Wish,
            ),
        ),
    ),
    Route(
        "api/pool",
        (
            Operation(
                "GET", "The pools and their use.", lambda call: Answer(call.requests.pool(call.person)), rest.Pools
            ),
        ),
    ),
    Route(
        "api/queues",
        (
            Operation(
                "GET",
                "The queues' settings; for admins.",
                lambda call: Answer(call.requests.queues.all(call.person)),
                rest.Queues,
            ),
            Operation(
                "PATCH",
                "Change a queue's settings, over the configuration file's; for admins.",
                _change_queue,
                rest.Queue,
                body=rest.ChangeQueue,
            ),
        ),
    ),
    Route(
        "api/events",
        (
            Operation(
                "GET",
                "What was decided and done, the latest first; for admins.",
                _events,
                rest.Events,
                query=(
                    ("before", "Only events before this id,"),
                    ("most", f"and so many of them, at most {MOST_EVENTS}."),
                ),
            ),
        ),
    ),
    Route(
        "api/pool/snapshot",
        (
            Operation(
                "GET",
                "What the allocator is told at this moment, for `emberhub plan`; for admins.",
                lambda call: Answer(call.requests.snapshot(call.person)),
                Snapshot,
            ),
        ),
    ),
)
