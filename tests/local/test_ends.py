"""What a driver's end is taken for, and which process is which: without Spark."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import msgspec
import psutil
import pytest
from emberhub.wire.driver import ENV_AGENT_TOKEN, ENV_CONFIG, ENV_CONNECT_TOKEN, FILE_REASON, DriverConfig
from emberhub_driver import __main__ as main
from emberhub_spawner.backend import Driver, DriverSpec, StartFailed
from emberhub_spawner.local import LocalBackend, driver
from emberhub_spawner.local import backend as backend_module
from emberhub_spawner.local.engine import EngineClient
from emberhub_spawner.local.processes import Identity
from emberhub_spawner.local.reasons import why

from tests.support.spark import SHAPE, command_lines, eventually

SPEC = DriverSpec("c-1", 1, "alice", "main", "main", "ws://localhost/", "a", "b", SHAPE, {}, 60.0)


def launch_a_sleeper(_spec: object, directory: Path, *_: object) -> subprocess.Popen[bytes]:
    """A process in a driver's place."""
    directory.mkdir()
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(99)"])


@pytest.mark.parametrize("step", [3600, -3600])
def test_a_process_is_known_again_after_the_clock_was_set(monkeypatch: pytest.MonkeyPatch, step: float) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        known = Identity.of(child.pid)
        # The kernel's word for when the machine was started follows the clock, and psutil's for a process with it.
        of_psutil = psutil.Process.create_time
        monkeypatch.setattr(psutil.Process, "create_time", lambda process: of_psutil(process) + step)
        assert known == Identity.of(child.pid)
        assert known is not None
        assert known.alive()
        assert not Identity(child.pid, known.started - 1).alive()
        child.communicate(b"\n")
    assert not known.alive()
    assert Identity.of(child.pid) is None


@pytest.mark.parametrize(
    ("reason", "status", "says"),
    [
        ("", -9, "killed by signal 9"),
        ("Spark's Java process ended with status -9", 1, "Spark's Java process ended with status -9. Start"),
        ("", None, "killed, or ended without saying why"),
    ],
)
def test_an_end_is_told_with_what_to_do_next(tmp_path: Path, reason: str, status: int | None, says: str) -> None:
    if reason:
        (tmp_path / FILE_REASON).write_text(reason)
    assert says in why(tmp_path, status)
    assert why(tmp_path, status).endswith("Start the cluster again to go on.")


def test_a_driver_that_ended_on_a_full_disk_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1 << 30, 1 << 30, 0))
    assert "disk that it writes to is full" in why(tmp_path, 1)
    assert "administrator" in why(tmp_path, 1)


async def test_a_driver_s_end_is_told_while_an_engine_that_was_lost_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[asyncio.Event] = []

    async def ensure(*_: object, **__: object) -> None:
        begun.append(asyncio.Event())
        if len(begun) > 1:
            await begun[-1].wait()

    monkeypatch.setattr(EngineClient, "ensure", ensure)
    monkeypatch.setattr(EngineClient, "alive", lambda _: False)
    monkeypatch.setattr(driver, "launch", launch_a_sleeper)
    backend, told = LocalBackend(tmp_path, {"main": SHAPE}), list[Driver]()
    await backend.open(told.append)
    try:
        await backend.start(SPEC)
        await eventually(lambda: len(begun) > 1, "the engine is started again")
        (running,) = backend._drivers.values()
        running.identity.send(signal.SIGKILL)
        await eventually(lambda: told, "the service hears of the driver's end")
        assert [(each.cluster, each.alive) for each in told] == [("c-1", False)]
    finally:
        await backend.close()


async def test_a_driver_whose_start_cannot_be_noted_is_not_left_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = LocalBackend(tmp_path / "b", {"main": SHAPE})
    monkeypatch.setattr(backend, "_opened", lambda: None)
    (tmp_path / "b" / "drivers").mkdir(parents=True)
    started = []

    def launch(_spec: object, directory: Path, *_: object) -> subprocess.Popen[bytes]:
        directory.mkdir()
        started.append(subprocess.Popen([sys.executable, "-c", f"import time; time.sleep(99)  # {tmp_path}"]))
        return started[0]

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(driver, "launch", launch)
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StartFailed, match=r"No space left on device.*administrator"):
        await backend.start(SPEC)
    assert started[0].returncode is not None
    assert str(tmp_path) not in command_lines()
    assert list((tmp_path / "b" / "drivers").iterdir()) == []


def test_a_driver_that_cannot_write_leaves_the_reason_where_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def drive(*_: object) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "spark.properties")

    config = DriverConfig("c-1", 1, "alice", "main", "ws://localhost/", "spark://localhost:1", SHAPE, str(tmp_path))
    (tmp_path / "config.json").write_bytes(msgspec.json.encode(config))
    monkeypatch.setattr(main, "drive", drive)
    monkeypatch.setattr(os, "umask", lambda _: 0)
    for name, value in ((ENV_CONFIG, str(tmp_path / "config.json")), (ENV_AGENT_TOKEN, "a"), (ENV_CONNECT_TOKEN, "b")):
        monkeypatch.setenv(name, value)
    assert main.main() == 1
    assert (tmp_path / FILE_REASON).read_text() == "No space left on device (spark.properties)"


async def test_a_fault_while_an_end_is_looked_for_or_cleared_up_after_is_not_the_last_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = [OSError(errno.EMFILE, os.strerror(errno.EMFILE)) for _ in range(3)]
    ended, clear = driver.Running.ended, backend_module.clear

    def looked_at(running: driver.Running) -> bool:
        if len(faults) > 1:
            raise faults.pop()
        return ended(running)

    async def cleared(mark: str, patience: float) -> None:
        if faults:
            raise faults.pop()
        await clear(mark, patience)

    async def ensure(*_: object, **__: object) -> None: ...

    monkeypatch.setattr(backend_module, "AFTER_FAILURE", 0.01)
    monkeypatch.setattr(EngineClient, "ensure", ensure)
    monkeypatch.setattr(EngineClient, "alive", lambda _: True)
    monkeypatch.setattr(driver, "launch", launch_a_sleeper)
    backend, told = LocalBackend(tmp_path, {"main": SHAPE}), list[Driver]()
    await backend.open(told.append)
    try:
        await backend.start(SPEC)
        monkeypatch.setattr(driver.Running, "ended", looked_at)
        monkeypatch.setattr(backend_module, "clear", cleared)
        await asyncio.wait_for(backend.stop("c-1", 5.0), 30)
        assert faults == [] and [each.alive for each in told] == [False]
    finally:
        await backend.close()
