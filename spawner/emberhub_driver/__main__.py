"""`python -m emberhub_driver`: one Spark driver and its agent, from start to end."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec
from emberhub.errors import EmberhubError
from emberhub.wire.driver import (
    ENV_AGENT_TOKEN,
    ENV_CONFIG,
    ENV_CONNECT_TOKEN,
    ENV_HOST,
    FILE_APPLICATION,
    FILE_REASON,
    DriverConfig,
    ui_key,
)

from .agent import Agent
from .child import interpreters
from .jvm import Gateway, Jvm, SparkFailed
from .sessions import Sessions
from .spark import Py4jSpark
from .start import start_jvm

log = logging.getLogger("emberhub.driver")

START_TIMEOUT = 180.0
"""Seconds for the JVM to answer; long, since many drivers may start at once on a small machine."""
STOP_TIMEOUT = 5.0
EXIT_TIMEOUT = 5.0
EXIT_NOTICED = 1.0


def main() -> int:
    """Run a driver; returns its exit status: 0 if it was told to stop, 1 if it failed."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # py4j logs a failed call with all that was sent; the error that it raises says enough.
    logging.getLogger("py4j").setLevel(logging.CRITICAL)
    os.umask(0o077)
    try:
        config = read_config()
    except EmberhubError as error:
        log.error("%s", error)
        return 2
    directory = Path(config.directory)
    try:
        reason, status = asyncio.run(drive(config, _take(ENV_AGENT_TOKEN), _take(ENV_CONNECT_TOKEN))), 0
    except EmberhubError as error:
        reason, status = str(error), 1
    except OSError as error:
        reason, status = f"{error.strerror or error} ({error.filename})", 1
    log.info("stopped: %s", reason)
    # On a full disk the backend sees for itself why.
    with contextlib.suppress(OSError):
        (directory / FILE_REASON).write_text(reason)
    return status


def read_config() -> DriverConfig:
    """The config that EMBERHUB_DRIVER_CONFIG names, with this driver's address. Raises EmberhubError."""
    path = os.environ.get(ENV_CONFIG)
    if not path:
        raise EmberhubError(f"{ENV_CONFIG} is not set: a driver is started by a backend, which sets it")
    try:
        config = msgspec.json.decode(Path(path).read_bytes(), type=DriverConfig)
    except (OSError, msgspec.MsgspecError) as error:
        raise EmberhubError(f"the driver's config in {path} cannot be read: {error}") from error
    return msgspec.structs.replace(config, host=os.environ.get(ENV_HOST) or config.host)


def _take(name: str) -> str:
    """The value of an environment variable, which no child process is to inherit. Raises EmberhubError."""
    value = os.environ.pop(name, "")
    if not value:
        raise EmberhubError(f"{name} is not set: a driver is started by a backend, which sets it")
    return value


async def drive(config: DriverConfig, agent_token: str, connect_token: str) -> str:
    """Start Spark, obey the service until something ends it, stop Spark. Returns why it ended.

    Raises EmberhubError if Spark does not start or its JVM ends.
    """
    stop: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _settle, stop, "its backend stopped it")
    jvm = start_jvm(config, connect_token)
    try:
        starting = asyncio.ensure_future(asyncio.to_thread(_start_spark, jvm, config, connect_token))
        either: set[asyncio.Future[Any]] = {starting, stop}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.add_done_callback(lambda task: task.cancelled() or task.exception())
            return stop.result()
        spark, gateway = starting.result()
        log.info("Spark application %s takes work at %s", spark.application(), spark.endpoint())
        (Path(config.directory) / FILE_APPLICATION).write_text(spark.application())
        sessions = Sessions(interpreters(config, gateway))
        agent = Agent(config, agent_token, spark, sessions)
        warming = asyncio.ensure_future(_warm_up(agent, spark.endpoint().port, connect_token))
        try:
            return await _serve(jvm, agent, spark, stop)
        finally:
            warming.cancel()
            sessions.close()
    finally:
        await asyncio.to_thread(jvm.end, EXIT_TIMEOUT)


async def _serve(jvm: Jvm, agent: Agent, spark: Py4jSpark, stop: asyncio.Future[str]) -> str:
    serving = asyncio.ensure_future(agent.run(stop))
    try:
        reason = await serving
    except EmberhubError:
        raise
    except Exception as error:
        # A call fails as soon as the JVM's sockets are closed, a moment before it is gone.
        if await asyncio.to_thread(jvm.ended, EXIT_NOTICED) is None:
            log.exception("the agent failed")
            first = next(iter(str(error).splitlines()), "")
            raise SparkFailed(f"the agent failed: {type(error).__name__}: {first}") from error
        raise SparkFailed(f"Spark's Java process ended with status {jvm.poll()}") from error
    stopping = asyncio.ensure_future(asyncio.to_thread(_stop_quietly, spark))
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(stopping), STOP_TIMEOUT)
    return reason


async def _warm_up(agent: Agent, port: int, connect_token: str) -> None:
    """While there is no user, plan what users run first; once there is an executor too, run it: then theirs is not
    the first.
    """
    await agent.warm.wait()
    await _rehearse("plan", port, connect_token)
    await agent.spare.wait()
    await _rehearse("run", port, connect_token)


async def _rehearse(what: str, port: int, connect_token: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "emberhub_driver.workload", what, str(port)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        env=os.environ | {ENV_CONNECT_TOKEN: connect_token},
    )
    try:
        status = await process.wait()
        log.info("warming up (%s) ended with status %d", what, status)
    finally:
        if process.returncode is None:
            process.kill()


def _settle(future: asyncio.Future[str], reason: str) -> None:
    if not future.done():
        future.set_result(reason)


def _start_spark(jvm: Jvm, config: DriverConfig, connect_token: str) -> tuple[Py4jSpark, Gateway]:
    key = base64.urlsafe_b64encode(ui_key(connect_token)).decode()
    gateway = jvm.gateway(START_TIMEOUT)
    return Py4jSpark(gateway, config.host, key), gateway


def _stop_quietly(spark: Py4jSpark) -> None:
    """Spark may be gone already; then there is nothing to stop."""
    with contextlib.suppress(Exception):
        spark.stop()


if __name__ == "__main__":
    sys.exit(main())
