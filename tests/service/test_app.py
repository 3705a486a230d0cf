"""The service as the hub starts it: a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

PREFIX = "/services/emberhub/"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Started:
    def __init__(self, tmp_path, port, *, wrap=(), options=(), **env):
        self.port = port
        self.log = tmp_path / f"service-{time.monotonic_ns()}.log"
        command = [sys.executable, "-m", "emberhub_service", "--backend=fake", f"--state-dir={tmp_path / 'state'}"]
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [*wrap, *command, f"--site={tmp_path / 'emberhub.yaml'}", *options],
                env={
                    **os.environ,
                    "JUPYTERHUB_SERVICE_NAME": "emberhub",
                    "JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:{port}",
                    "JUPYTERHUB_SERVICE_PREFIX": PREFIX,
                    "JUPYTERHUB_API_TOKEN": "very-secret-hub-token",
                    "JUPYTERHUB_API_URL": "http://127.0.0.1:1/hub/api",
                    **env,
                },
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def healthy(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{PREFIX}health", timeout=5) as answer:
                return json.load(answer) == {"status": "ok"}
        except OSError:
            return False

    def until(self, true, seconds=60):
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)


@pytest.fixture
def start(tmp_path):
    started = []

    def start(port, **kwargs):
        started.append(Started(tmp_path, port, **kwargs))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.wait()
        each.process.stdin.close()


def test_it_serves_until_sigterm_and_a_successor_waits_for_it(start):
    port = free_port()
    first = start(port)
    first.until(first.healthy)
    second = start(port)
    with pytest.raises(subprocess.TimeoutExpired):
        second.process.wait(2)
    first.process.send_signal(signal.SIGTERM)
    assert first.process.wait(30) == 0
    second.until(second.healthy)
    assert "DEBUG" not in first.log.read_text()
    assert "very-secret-hub-token" not in first.log.read_text() + second.log.read_text()
    assert "Traceback" not in first.log.read_text()


def test_it_ends_when_the_hub_that_started_it_is_killed(start, tmp_path):
    port = free_port()
    pid_file = tmp_path / "pid"
    # A stand-in for the hub: starts the service, and is then killed.
    hub = (
        "import subprocess, sys; p = subprocess.Popen(sys.argv[2:]); open(sys.argv[1], 'w').write(str(p.pid)); p.wait()"
    )
    started = start(port, wrap=[sys.executable, "-c", hub, str(pid_file)])
    started.until(started.healthy)
    started.process.kill()
    started.process.wait()
    started.until(lambda: not started.healthy(), seconds=20)
    started.until(lambda: not Path(f"/proc/{pid_file.read_text()}").exists(), seconds=20)


def test_a_wrong_file_at_the_first_start_is_told(start, tmp_path):
    (tmp_path / "emberhub.yaml").write_text("pools:\n  - {name: main, cores: many, memory: 1G}\n")
    started = start(free_port())
    assert started.process.wait(60) == 1
    said = started.log.read_text()
    assert "emberhub service: emberhub.yaml, line 2: pools[0].cores: must be a number" in said
    assert "Traceback" not in said


def test_shutdown_ends_what_the_backend_started_and_does_not_serve(start):
    started = start(free_port(), options=["--shutdown"])
    assert started.process.wait(60) == 0
    assert "Traceback" not in started.log.read_text()
