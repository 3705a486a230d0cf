"""The programs whose starts are measured: each as short as what a person would type, in a Python of its own.

A *fresh* kernel's time begins with its first statement; a *warm* kernel has used a session before, and starts another.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from emberhub.errors import EmberhubError

EMBER_FRESH = """
import time
began = time.monotonic()
import emberhub
cluster = emberhub.cluster(quiet=True)
assert cluster.spark.range(1000).count() == 1000
print(time.monotonic() - began, flush=True)
input()
STOP
"""
EMBER_WARM = """
import time
import emberhub
while True:
    name = input()
    began = time.monotonic()
    cluster = emberhub.cluster(name=name, quiet=True)
    assert cluster.spark.range(1000).count() == 1000
    print(time.monotonic() - began, flush=True)
    input()
    STOP
"""
STOP, LEAVE = "cluster.stop()", "pass"
"""What a probe does with its cluster in the end."""

SPARK_FRESH = """
import time
began = time.monotonic()
from pyspark.sql import SparkSession
spark = SparkSession.builder.MASTER.getOrCreate()
assert spark.range(1000).count() == 1000
print(time.monotonic() - began, flush=True)
input()
spark.stop()
"""
SPARK_WARM = """
import time
from pyspark.sql import SparkSession
while True:
    input()
    began = time.monotonic()
    spark = SparkSession.builder.MASTER.getOrCreate()
    assert spark.range(1000).count() == 1000
    print(time.monotonic() - began, flush=True)
    input()
    spark.stop()
"""
LOCAL = 'master("local[2]")'
DEFAULTS = 'appName("untuned")'
"""The master stands in Spark's own settings file, with a secret that no command line may show."""

PATIENCE = 180.0


class Kernel:
    """A Python that runs a probe."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    async def measured(self, name: str | None = None) -> float:
        """Seconds that the probe took; `name` starts it where it waits for that. Raises EmberhubError."""
        if name is not None:
            self._say(name)
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), PATIENCE)
        try:
            return float(line)
        except ValueError:
            raise EmberhubError(f"a start failed; see the end of {self._log}") from None

    def go_on(self) -> None:
        """Let it do what comes after its measurement."""
        self._say("")

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")


@asynccontextmanager
async def kernel(program: str, environment: Mapping[str, str], directory: Path) -> AsyncIterator[Kernel]:
    """Run a probe; it has ended afterwards."""
    log = directory / "probes.log"
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            program,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
            cwd=directory,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    try:
        yield Kernel(process, log)
        assert process.stdin is not None
        process.stdin.close()  # what reads on ends
        await asyncio.wait_for(process.wait(), PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def fresh(program: str, environment: Mapping[str, str], directory: Path) -> float:
    """Seconds that one start takes in a kernel of its own."""
    async with kernel(program, environment, directory) as one:
        seconds = await one.measured()
        one.go_on()
        return seconds
