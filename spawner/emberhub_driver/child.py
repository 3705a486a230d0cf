"""An interpreter's process, as the driver's event loop has it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
from emberhub.wire.driver import ENV_MARK, DriverConfig, mark

from .interpreter import Begin, End, Order, decode_event
from .jvm import Gateway, python_environment
from .sessions import Listener

_GRACE = 3.0
"""Seconds that one may take to end by itself."""
_LAST_WORDS = 1.0
_LINE = 8 << 20
"""Bytes of one event: a result, and what JSON adds to it."""
_encode = msgspec.json.Encoder().encode


class Child:
    """Implements `sessions.Process`."""

    def __init__(
        self, session: int, listener: Listener, *, gateway: Gateway, directory: Path, environment: dict[str, str]
    ) -> None:
        self._listener = listener
        self._begin = Begin(session, gateway.port, gateway.secret)
        self._directory, self._environment = directory / f"livy-{session}", environment
        self._process: asyncio.subprocess.Process | None = None
        self._orders: list[Order] = [self._begin]
        self._running = asyncio.ensure_future(self._run())

    def send(self, order: Order) -> None:
        if self._process is None:
            self._orders.append(order)
        elif self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(_encode(order) + b"\n")

    def end(self) -> None:
        self.send(End())
        asyncio.get_running_loop().call_later(_GRACE, self._kill)

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def _run(self) -> None:
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "emberhub_driver.interpreter"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=self._directory,
                env=self._environment,
                limit=_LINE,
            )
        except OSError as error:
            self._listener.ended(f"The interpreter could not be started: {error.strerror or error}.")
            return
        self._process = process
        for order in self._orders:
            self.send(order)
        logging = asyncio.ensure_future(self._read_log(process))
        try:
            await self._hear(process)
        except (ValueError, msgspec.MsgspecError) as error:
            self._listener.note(f"The interpreter said what makes no sense: {error}.")
            process.kill()
        # What its code has started may hold the log open for longer.
        await asyncio.wait([logging], timeout=_LAST_WORDS)
        logging.cancel()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        status = await process.wait()
        killed = " It was killed, perhaps for want of memory." if status == -9 else ""
        self._listener.ended(f"The interpreter has ended with status {status}.{killed} Start another session.")

    async def _hear(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            self._listener.hear(decode_event(line))

    async def _read_log(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        # Not by lines: one without an end must not grow for ever.
        rest = ""
        while data := await process.stderr.read(1 << 14):
            *lines, rest = (rest + data.decode("utf-8", "replace")).split("\n")
            for line in lines:
                self._listener.note(line[:2000])
            rest = rest[-2000:]
        if rest:
            self._listener.note(rest)


def interpreters(config: DriverConfig, gateway: Gateway) -> Callable[[int, Listener], Child]:
    """Starts interpreters of this driver."""
    directory = Path(config.directory)
    environment = python_environment(config.host) | {
        ENV_MARK: mark(config.cluster, config.generation),
        "IPYTHONDIR": str(directory / "ipython"),
        "PYTHONUNBUFFERED": "1",
    }
    return lambda session, listener: Child(
        session, listener, gateway=gateway, directory=directory, environment=environment
    )
