"""The agent: one WebSocket to the service, by which a driver reports what it needs and obeys what is decided.

Four loops run side by side: one keeps the socket, one looks at Spark and reports, one waits for Spark's news so that
an idle driver need not look often, one watches the lease. Each ends only to stop the driver, and returns the reason.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import msgspec
from emberhub.wire import agent as wire
from emberhub.wire.driver import DriverConfig
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, websocket_connect

from .pace import LOOK_BUSY, Pace, quiet
from .reclaims import Reclaims, surplus
from .sessions import Sessions
from .spark import SparkApplication
from .ui import WebUi
from .watch import Watch, worth_telling

log = logging.getLogger("emberhub.agent")
T = TypeVar("T")

NEWS_TIMEOUT = 30.0
"""Seconds for which one call waits for news."""
CHECK_STOPPED = 1.0
"""Seconds between looks at whether Spark has stopped by itself."""
HEARTBEAT = 5.0
"""Seconds, until the service says its own."""
RETRY_FIRST, RETRY_LONGEST = 0.2, 10.0
CONNECT_TIMEOUT = 10.0
SILENT_HEARTBEATS = 3
"""A connection on which nothing was heard for so many heartbeats is taken to be dead."""
FAREWELL_TIMEOUT = 2.0
_REFUSED = {
    wire.CLOSE_PROTOCOL: "the service does not speak this driver's protocol: the two are of different versions",
    wire.CLOSE_SUPERSEDED: "the service no longer knows this driver: its cluster was stopped or started anew",
}


class Agent:
    """One driver's side of the agreement with the service."""

    def __init__(
        self,
        config: DriverConfig,
        token: str,
        spark: SparkApplication,
        sessions: Sessions,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._token = token
        self._spark = spark
        self._clock = clock
        self._sessions = sessions
        self._watch = Watch(spark, clock, lambda: sessions.busy)
        # Spark is asked from one thread: calls block, and their order is the order of the service's messages.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spark")
        self._socket: WebSocketClientConnection | None = None
        self._report: wire.Report | None = None
        self._sent: wire.Report | None = None
        self._sent_at = 0.0
        self._look_now = asyncio.Event()
        self._looking = False
        self._reclaims = Reclaims()
        self._lease, self._heartbeat, self._floor = config.lease, HEARTBEAT, 0
        self._silence = 0.0
        """Seconds of this process's own running time without a word from the service."""
        self._gave_back, self._backoff = False, RETRY_FIRST
        self._ui = WebUi(spark, self._watch, self._look_now.set)
        self.warm = asyncio.Event()
        """Set while the driver is nobody's yet."""
        self.spare = asyncio.Event()
        """Set once it has an executor while it is nobody's."""

    async def run(self, stop: asyncio.Future[str]) -> str:
        """Serve until something says to stop: the service, the lease, Spark, or `stop`. Returns why, as a sentence.

        Spark itself is left running; the caller stops it.
        """
        loops = [
            asyncio.ensure_future(loop)
            for loop in (self._keep_looking(), self._keep_hearing(), self._keep_connected(), self._keep_lease())
        ]
        try:
            done, _ = await asyncio.wait([stop, *loops], return_when=asyncio.FIRST_COMPLETED)
            reason = done.pop().result()
            await self._say_farewell(reason)
            return reason
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            if self._socket is not None:
                self._socket.close()
            self._thread.shutdown(wait=False, cancel_futures=True)

    # --- looking and reporting -----------------------------------------------------------------------------------

    async def _keep_looking(self) -> str:
        checked, pace = self._clock(), Pace()
        while True:
            if self._clock() - checked >= CHECK_STOPPED:
                checked = self._clock()
                if await self._ask(self._spark.stopped):
                    return "Spark stopped by itself; the driver's log says why"
            self._looking = True
            self._report = await self._ask(self._watch.look)
            self._looking = False
            self._tell(self._report)
            if self.warm.is_set() and self._report.executors:
                self.spare.set()
            pause = pace.after(self._report, executing=self._watch.executing, heartbeat=self._heartbeat)
            try:
                await asyncio.wait_for(self._look_now.wait(), pause)
            except TimeoutError:
                continue
            self._look_now.clear()
            pace.hurry()

    async def _keep_hearing(self) -> str:
        while True:
            news = await asyncio.to_thread(self._spark.await_news, NEWS_TIMEOUT)
            # A look under way may have been too early to see it. A job of many short stages has news all the time, and
            # is looked at anyway.
            if news and (self._looking or (self._report is not None and quiet(self._report))):
                self._look_now.set()
            await asyncio.sleep(LOOK_BUSY)

    def _tell(self, report: wire.Report) -> None:
        """Send the report if it says something new, or if nothing was said for a heartbeat."""
        if self._socket is None:
            return
        if worth_telling(report, self._sent, self._clock() - self._sent_at, self._heartbeat):
            self._send(report)
            self._sent, self._sent_at = report, self._clock()

    async def _ask(self, call: Callable[[], T]) -> T:
        """Call Spark, off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _send(self, message: wire.FromDriver) -> None:
        if self._socket is None:
            return
        try:
            # The write goes on by itself; a failure shows as the connection's end.
            sent = asyncio.ensure_future(self._socket.write_message(wire.encode(message)))
            sent.add_done_callback(lambda done: done.cancelled() or done.exception())
        except WebSocketClosedError:
            log.debug("not sent, the connection is closing: %s", type(message).__name__)

    async def _say_farewell(self, reason: str) -> None:
        if self._socket is None:
            return
        try:
            await asyncio.wait_for(
                self._socket.write_message(wire.encode(wire.Farewell(reason=reason))), FAREWELL_TIMEOUT
            )
        except (WebSocketClosedError, TimeoutError):
            log.debug("the service was not told that this driver stops")

    # --- the connection ------------------------------------------------------------------------------------------

    async def _keep_connected(self) -> str:
        while True:
            if reason := await self._connect_once():
                # The connection stays for the farewell.
                return reason
            if self._socket is not None:
                self._socket.close()
            self._socket, self._sent = None, None
            await asyncio.sleep(self._backoff * random.uniform(0.5, 1.0))  # noqa: S311 (spreads drivers in time)
            self._backoff = min(self._backoff * 2, RETRY_LONGEST)

    async def _connect_once(self) -> str:
        """Connect, listen until the connection ends. Returns the reason if the driver is to stop, else nothing."""
        request = HTTPRequest(
            self._config.agent_url,
            headers={
                "Authorization": f"Bearer {self._token}",
                wire.HEADER_CLUSTER: self._config.cluster,
                wire.HEADER_GENERATION: str(self._config.generation),
                wire.HEADER_PROTOCOL: str(wire.PROTOCOL),
            },
            connect_timeout=CONNECT_TIMEOUT,
            request_timeout=CONNECT_TIMEOUT,
        )
        try:
            socket = await websocket_connect(request, max_message_size=wire.MAX_MESSAGE)
        except (OSError, HTTPClientError, WebSocketClosedError, TimeoutError) as error:
            log.info("the service does not answer: %s", error)
            return ""
        log.info("connected to the service")
        self._socket, self._sent = socket, None
        self._sessions.resume()
        if self._report is not None:
            self._tell(self._report)
        self._look_now.set()
        return await self._listen(socket)

    async def _listen(self, socket: WebSocketClientConnection) -> str:
        while True:
            try:
                data = await asyncio.wait_for(socket.read_message(), max(self._heartbeat * SILENT_HEARTBEATS, 1.0))
            except TimeoutError:
                log.warning("nothing heard from the service for %g heartbeats; connecting anew", SILENT_HEARTBEATS)
                return ""
            if data is None:
                log.info("the service closed the connection (%s)", socket.close_code)
                return _REFUSED.get(socket.close_code or 0, "")
            self._heard()
            try:
                message = wire.decode_from_service(data)
            except msgspec.MsgspecError as error:
                log.warning("a message from the service makes no sense and is passed over: %s", error)
                continue
            if reason := await self._obey(message):
                return reason

    def _heard(self) -> None:
        self._silence, self._gave_back, self._backoff = 0.0, False, RETRY_FIRST

    # --- what the service says -----------------------------------------------------------------------------------

    async def _obey(self, message: wire.FromService) -> str:
        """Do as told. Returns the reason if that is to stop, else nothing."""
        match message:
            case wire.Welcome():
                self._lease, self._heartbeat, self._floor = message.lease, message.heartbeat, message.floor
                (self.warm.set if message.warm else self.warm.clear)()
            case wire.Target():
                await self._ask(lambda: self._watch.hold(message.executors))
                self._look_now.set()
            case wire.Reclaim():
                for answer in self._reclaims.answer(message, self._report) if self._report else ():
                    self._send(answer)
            case wire.CallOff():
                self._reclaims.forget(message.executors)
            case wire.Revoke():
                log.info("giving back executors %s: %s", ", ".join(message.executors), message.reason)
                await self._give_back(message.executors, message.target)
            case wire.ShowUi():
                self._ui.show()
            case wire.Question():
                self._send(self._sessions.answer(message))
            case wire.Ping():
                self._sessions.tend()
            case wire.Stop():
                return message.reason or "the service said so"
        return ""

    async def _give_back(self, executors: Sequence[str], target: int) -> None:
        await self._ask(lambda: self._watch.give_back(executors, target))
        self._reclaims.forget(executors)
        self._look_now.set()

    # --- the lease -----------------------------------------------------------------------------------------------

    async def _keep_lease(self) -> str:
        """Count the silence. Time in which this process itself stood still does not count for more than a tick: what
        the service said meanwhile is waiting to be read.
        """
        last = self._clock()
        while True:
            tick = min(5.0, self._lease / 20)
            await asyncio.sleep(tick)
            now = self._clock()
            self._silence += min(now - last, 2 * tick)
            last = now
            if self._silence > 2 * self._lease:
                return f"the service was not heard for {self._silence:.0f} seconds"
            if self._silence > self._lease and not self._gave_back:
                self._gave_back = True
                await self._down_to_floor()

    async def _down_to_floor(self) -> None:
        report = await self._ask(self._watch.look)
        going = surplus(report, self._floor)
        target = min(self._watch.target, self._floor)
        log.warning(
            "the service was not heard for %.0f seconds: giving back %d executors of %d",
            self._silence,
            len(going),
            len(report.executors),
        )
        await self._give_back(going, target)
