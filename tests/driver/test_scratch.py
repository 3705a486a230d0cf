"""Blocks of executors stay for as long as one of them lives, and no longer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from emberhub_driver import scratch


def test_what_a_process_still_has_stays_until_it_has_ended(tmp_path: Path) -> None:
    before, present, left = (scratch.fresh(tmp_path, name) for name in ("worker-1", "worker-1", "worker-2"))
    (before / "blockmgr").mkdir()
    environment = {**os.environ, scratch.ENV_SCRATCH: str(before)}
    executor = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(executor, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        process.stdout.readline()
        scratch.clear(tmp_path, [present])
        assert (before / "blockmgr").exists() and present.exists() and not left.exists()
        process.communicate(b"\n")
    scratch.clear(tmp_path, [present])
    assert list(tmp_path.iterdir()) == [present]
