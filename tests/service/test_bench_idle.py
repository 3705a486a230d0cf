"""`emberhub bench idle` adds up what it sees of a driver's processes."""

import threading
from pathlib import Path

import psutil
import pytest
from emberhub.cli import main
from emberhub_service.commands import bench_idle


def test_without_a_driver_it_says_what_to_do(monkeypatch, capsys):
    monkeypatch.setattr(bench_idle, "drivers", list)
    assert main(["bench", "idle", "--seconds", "0.1"]) == 1
    assert "emberhub.cluster()" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are read in /proc")
def test_it_tells_the_threads_that_work(monkeypatch, capsys):
    me, enough = psutil.Process(), threading.Event()
    monkeypatch.setattr(bench_idle, "drivers", lambda: [bench_idle.Driver("c-1-1", me, me)])

    def work():
        while not enough.is_set():
            sum(range(1000))

    worker = threading.Thread(target=work)
    worker.start()
    try:
        assert main(["bench", "idle", "--seconds", "0.5"]) == 0
    finally:
        enough.set()
        worker.join()
    told = capsys.readouterr().out
    assert "c-1-1: 0.00 %" not in told and "MiB of its own" in told and "Python" in told
