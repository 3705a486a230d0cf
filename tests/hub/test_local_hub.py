"""What `emberhub up` checks before it starts anything, and how it ends what is left."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from emberhub import cli
from emberhub.errors import EmberhubError
from emberhub_service.commands import leftovers
from emberhub_service.commands.localhub import prepare
from emberhub_spawner.profiles import load_profiles

STUBBORN = """
import signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
signal.pause()
"""


@pytest.fixture
def stubborn(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the hub in `tmp_path` that does not listen to SIGTERM."""
    environment = {**os.environ, leftovers.ENV_STATE: str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", STUBBORN], env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"deaf\n"
        yield process
        process.kill()


def test_a_new_state_directory_has_a_site_file_that_loads_and_secrets_of_its_own(tmp_path: Path) -> None:
    hub = prepare(tmp_path / "state", 0, executors=3)
    assert [(profile.name, profile.max) for profile in load_profiles(hub.site)] == [("small", 3)]
    assert stat.S_IMODE(hub.password_file.stat().st_mode) == 0o600
    passwords = (hub.password_file.read_text(), hub.admin_password_file.read_text())
    again = prepare(tmp_path / "state", 0, executors=8)
    assert (again.password_file.read_text(), again.admin_password_file.read_text()) == passwords
    assert load_profiles(again.site)[0].max == 3, "a site file that is there stays as it is"
    written = (hub.state / "jupyterhub_config.py").read_text()
    assert not any(password.strip() in written for password in passwords)


def test_a_port_in_use_is_refused_with_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert cli.main(["up", "--port", str(port), "--state", str(tmp_path / "state")]) == 1
    assert f"port {port} is in use" in capsys.readouterr().err
    assert not (tmp_path / "state").exists()


def test_a_site_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmberhubError, match="there is no file"):
        prepare(tmp_path / "state", 0, executors=4, site=tmp_path / "none.yaml")


@pytest.mark.parametrize("wrong", ["0", "-1", "many", "1001", "1.5"])
def test_a_number_of_executors_that_is_none_is_refused(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["up", f"--executors={wrong}"])
    assert "is not a whole number from 1 to 1000" in capsys.readouterr().err


def test_a_second_hub_in_the_same_directory_is_refused(tmp_path: Path, stubborn: subprocess.Popen[bytes]) -> None:
    with pytest.raises(EmberhubError, match=rf"already runs .*process {stubborn.pid}"):
        prepare(tmp_path, 0, executors=4)


def test_what_does_not_end_when_asked_is_ended_by_force_and_nothing_else_is(
    tmp_path: Path, stubborn: subprocess.Popen[bytes]
) -> None:
    assert [process.pid for process in leftovers.processes(tmp_path)] == [stubborn.pid]
    assert leftovers.processes(tmp_path / "other") == []
    assert leftovers.end(tmp_path, grace=0.5) == 1
    assert stubborn.poll() is not None
    assert leftovers.processes(tmp_path) == []
