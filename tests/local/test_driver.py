"""A driver on real Spark: how it starts, what it reports, and that it obeys."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from emberhub.wire import agent as wire

from tests.support.agents import ServiceInTest
from tests.support.spark import Place, command_lines, eventually, executors_of, python_of

pytestmark = [pytest.mark.spark, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]


def in_background(work: Any) -> asyncio.Future[Any]:
    return asyncio.ensure_future(asyncio.to_thread(work))


async def test_a_driver_starts_without_executors_and_gets_as_many_as_it_is_told(
    place: Place, service: ServiceInTest
) -> None:
    cluster = await place.start()
    endpoint = await cluster.ready()
    assert endpoint.host == "127.0.0.1"
    first = service.report(cluster.id)
    assert first.executors == () and first.wanted == 0 and first.target == 0

    session = await asyncio.to_thread(cluster.session, endpoint)
    wide = [f"max(id + {number})" for number in range(100)]
    counting = in_background(lambda: session.range(100, numPartitions=6).selectExpr("count(*)", *wide).first()[0])
    await cluster.until(lambda report: report.wanted == 1)  # planned, and no task yet
    await cluster.until(lambda report: report.wanted == 6)
    assert not counting.done(), "a query ran without an executor"
    await cluster.told(wire.Target(2))
    report = await cluster.has(2)
    assert await asyncio.wait_for(counting, 60) == 100
    assert {each.cores for each in report.executors} == {1}
    idle = await cluster.until(lambda report: report.wanted == 0 and all(e.idle > 0 for e in report.executors))
    assert len(idle.executors) == 2 and idle.target == 2, "executors stay until they are taken"

    # Raw Spark refuses this while dynamic allocation is on: a stage whose tasks all start together.
    def same(frames: Any) -> Any:
        yield from frames

    barrier = session.range(4, numPartitions=2).mapInPandas(same, "id long", barrier=True)
    assert await asyncio.wait_for(asyncio.to_thread(barrier.count), 60) == 4
    await asyncio.to_thread(session.stop)
    await place.backend.stop(cluster.id, 10)


async def test_only_the_clusters_own_token_opens_its_spark_connect(place: Place) -> None:
    cluster = await place.start()
    endpoint = await cluster.ready()
    for wrong in ("a-token-of-mine", cluster.spec.agent_token):
        with pytest.raises(Exception, match=r"(?i)unauthenticated|invalid token"):
            await asyncio.to_thread(lambda token=wrong: cluster.session(endpoint, token).version)
    session = await asyncio.to_thread(cluster.session, endpoint)
    assert await asyncio.to_thread(lambda: session.version) >= "4"
    await asyncio.to_thread(session.stop)
    await place.backend.stop(cluster.id, 10)


async def test_revoking_an_executor_moves_its_cached_blocks_and_nothing_is_computed_again(place: Place) -> None:
    cluster = await place.start()
    endpoint = await cluster.ready()
    await cluster.told(wire.Target(2))
    await cluster.has(2)
    session = await asyncio.to_thread(cluster.session, endpoint)
    marks = place.directory / "computed"
    marks.mkdir()
    path = str(marks)

    def leave_a_mark(frames: Any) -> Any:
        import uuid
        from pathlib import Path

        (Path(path) / uuid.uuid4().hex).touch()
        yield from frames

    def cache() -> Any:
        frame = session.range(80_000, numPartitions=8).mapInPandas(leave_a_mark, "id long").cache()
        assert frame.count() == 80_000
        return frame

    frame = await asyncio.to_thread(cache)
    computed = len(list(marks.iterdir()))
    assert computed == 8
    report = await cluster.until(lambda report: all(each.cached_bytes > 20_000 for each in report.executors))
    leaving, staying = sorted(each.id for each in report.executors)
    before = {each.id: each.cached_bytes for each in report.executors}

    await cluster.told(wire.Revoke((leaving,), 1, "somebody waits"))
    await cluster.until(lambda report: any(each.id == leaving and each.decommissioning for each in report.executors))
    report = await cluster.has(1)
    assert report.executors[0].id == staying and report.target == 1
    report = await cluster.until(lambda report: report.executors[0].cached_bytes > before[staying])
    assert await asyncio.to_thread(frame.count) == 80_000
    assert len(list(marks.iterdir())) == computed, "a cached partition was computed again"
    await asyncio.to_thread(session.stop)
    await place.backend.stop(cluster.id, 10)


@pytest.mark.timeout(400)
async def test_the_only_executor_goes_and_what_it_shuffled_is_there_for_the_next(place: Place) -> None:
    """Where users take turns with one executor each, no other of their own can take its shuffle blocks over."""
    cluster = await place.start()
    session = await asyncio.to_thread(cluster.session, await cluster.ready())
    marks, reached, gate = (place.directory / name for name in ("maps", "reached", "gate"))
    marks.mkdir()
    computed, arrived, opened = str(marks), str(reached), str(gate)

    def compute(rows: Any) -> Any:
        from pathlib import Path
        from uuid import uuid4

        Path(computed, uuid4().hex).touch()
        for each in rows:
            each["text"] = [f"{number:064}" for number in each.id]
            yield each

    def wait(rows: Any) -> Any:
        import time
        from pathlib import Path

        Path(arrived).touch()
        while not Path(opened).exists():
            time.sleep(0.05)
        yield from rows

    def work() -> Any:
        maps = session.range(80_000, numPartitions=8).mapInPandas(compute, "id long, text string")
        reduced = maps.repartition(4, "id").mapInPandas(wait, "id long, text string")
        return reduced.selectExpr("count(*)", "sum(id)", "sum(length(text))", "max(text)").first()

    query = in_background(work)
    await cluster.told(wire.Target(1))
    report = await cluster.has(1)
    first = report.executors[0].id
    await eventually(lambda: reached.exists() or query.done(), "every map has run, and a reduce task reads", 200)
    assert not query.done(), await query
    assert len(list(marks.iterdir())) == 8
    await cluster.told(wire.Revoke((first,), 0, "somebody waits"))
    await cluster.until(lambda report: any(each.decommissioning for each in report.executors))
    gate.touch()
    await cluster.has(0)
    await cluster.told(wire.Target(1))
    answer = await asyncio.wait_for(query, 90)
    assert tuple(answer) == (80_000, 79_999 * 40_000, 64 * 80_000, f"{79_999:064}")
    assert len(list(marks.iterdir())) == 8, "a map was computed again"
    await asyncio.to_thread(session.stop)
    await place.backend.stop(cluster.id, 10)


async def test_killing_the_drivers_python_ends_its_jvm_and_its_executors(place: Place) -> None:
    cluster = await place.start()
    await cluster.ready()
    await cluster.told(wire.Target(2))
    await cluster.has(2)
    await eventually(lambda: len(executors_of(cluster)) == 2, "two executors are processes of this driver")
    python_of(cluster).kill()
    end = await place.ended(cluster)
    assert not end.alive and "killed" in end.message
    assert cluster.processes() == []


async def test_a_driver_that_hears_nothing_gives_executors_back_and_later_stops(
    place: Place, service: ServiceInTest
) -> None:
    cluster = await place.start(lease=6.0)
    await cluster.ready()
    await cluster.told(wire.Welcome(lease=6.0, heartbeat=1.0, floor=1))
    await cluster.told(wire.Target(2))
    await cluster.has(2)
    service.silent = True
    try:
        service.sockets[cluster.id].close()
        await eventually(lambda: len(executors_of(cluster)) == 1, "down to its floor", within=40)
        end = await place.ended(cluster, within=60)
    finally:
        service.silent = False
    assert "not heard" in end.message
    assert cluster.processes() == []


async def test_no_secret_is_on_a_command_line_or_in_a_log(place: Place) -> None:
    cluster = await place.start()
    endpoint = await cluster.ready()
    await cluster.told(wire.Target(1))
    await cluster.has(1)
    session = await asyncio.to_thread(cluster.session, endpoint)
    await asyncio.to_thread(lambda: session.range(10).count())
    secret = (place.directory / "secret").read_text()
    assert len(secret) > 20
    shown = command_lines()
    assert "CoarseGrainedExecutorBackend" in shown
    logs = [each for pattern in ("**/*.log", "work/**/std*") for each in place.directory.glob(pattern)]
    assert len(logs) >= 5
    for hidden in (secret, cluster.spec.agent_token, cluster.spec.connect_token):
        assert hidden not in shown
        for log in logs:
            assert hidden not in log.read_text(), log
    readable = [each for each in place.directory.rglob("*") if each.is_file() and each.stat().st_mode & 0o077]
    private = place.directory.stat().st_mode & 0o777
    assert private == 0o700, "nobody else can come in"
    for name in ("secret", "engine.properties", "spark.properties", "config.json"):
        assert not [each for each in readable if each.name == name]
    await asyncio.to_thread(session.stop)
    await place.backend.stop(cluster.id, 10)
