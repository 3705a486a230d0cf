"""An hour of a class: thirty people join, work, think, leave and crash at random, and what must hold holds throughout.

Time is driven, drivers are the fake backend's; the service, its records, its API and its agents' sockets are real.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from emberhub.wire.resources import Resources
from emberhub_service.alloc.rotation import wait_bound
from emberhub_service.api.identity import ACCESS
from emberhub_service.records import Records, open_records
from emberhub_service.service import Service
from emberhub_spawner.fake import FakeBackend, FakeDriver, Script
from tornado.httpclient import AsyncHTTPClient, HTTPRequest

from tests.support.driven import run

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

PEOPLE, EXECUTORS = 30, 8
HOUR, PACE = 900, 4
"""Seconds of driven time, in which all but computing goes so many times as fast as in a class."""
QUANTUM, NOTICE, DEFERRAL, HOLD, START = 20, 2, 2, 5, 2
SITE = f"""
pools: [{{name: main, cores: {EXECUTORS}, memory: {EXECUTORS}G}}]
profiles: [{{name: small, executor: {{cores: 1, memory: 1G}}, executors: {{min: 0, max: {EXECUTORS}}}, default: true}}]
rules:
  rotation_quantum: {QUANTUM}s
  min_hold: {HOLD}s
  idle_after: 10s
  reclaim_notice: {NOTICE}s
  deferral: {DEFERRAL}s
  executor_start: {START}s
  stop_after: 1m
heartbeat: 10s
lease: 30s
"""
CALM = QUANTUM * math.ceil((PEOPLE - EXECUTORS) / EXECUTORS) + NOTICE + DEFERRAL
"""Seconds after which a service that was started again has served whoever had waited before."""
HAND_OVERS = 4 * (HOLD + START + 1)
"""Seconds: until executors that are just starting or just granted may be taken, at each of the turns."""


class Hub:
    """What the service asks of a hub: whose token is this? Here a token is its owner's name."""

    access_scopes = frozenset({ACCESS})

    async def user_for_token(self, token: str, **_: Any) -> dict[str, Any]:
        return {"kind": "user", "name": token, "scopes": [ACCESS]}

    def check_scopes(self, *_: Any) -> bool:
        return True


@dataclass
class Student:
    """Somebody in the class, and what they are about."""

    name: str
    cluster: str = ""
    doing: str = "away"
    until: float = 0.0
    work: float = 0.0
    """Executor-seconds left of the present query."""
    wanted: int = 0
    waiting: float | None = None
    """Since when they have wanted an executor and had none, without any fault of their own driver's."""
    bound: float = 0.0  # how long this wait may take by rule D, with starts as they have been measured in its course
    waits: list[float] = field(default_factory=list)
    queries: int = 0


class Class:
    """The class, minute by minute, from one seed."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.directory = directory
        self.yaml = directory / "emberhub.yaml"
        self.yaml.write_text(SITE)
        self.students = [Student(f"student-{number:02}") for number in range(PEOPLE)]
        self.loop = asyncio.get_running_loop()
        self.http = AsyncHTTPClient(force_instance=True, max_clients=100)
        self.port = 0
        self.calm_at = 0.0  # until when waits may be longer, for the service was just restarted
        self.conflicts = self.restarts = self.crashes = 0
        self.sizes: list[int] = []

    # --- the service ---

    async def open(self) -> None:
        def make(directory: Path, pools: dict[str, Resources]) -> FakeBackend:
            backend = FakeBackend(directory, pools)
            backend.script = lambda _: Script(executor_start=START, drain=0.5)
            return backend

        self.service = Service(
            site=self.yaml,
            state_dir=self.directory / "state",
            make_backend=make,
            auth=Hub(),  # type: ignore[arg-type]
            host="127.0.0.1",
            port=self.port,
        )
        await self.service.start()
        self.port = self.service.port
        self.backend: FakeBackend = self.service.backend  # type: ignore[assignment]

    async def restart(self) -> None:
        self.restarts += 1
        await self.service.stop()
        await self.open()
        self.calm_at = self.loop.time() + CALM + HAND_OVERS

    async def call(self, student: Student, method: str, path: str, body: Any = None) -> Any:
        answer = await self.http.fetch(
            HTTPRequest(
                f"http://127.0.0.1:{self.port}{self.service.prefix}api/{path}",
                method=method,
                headers={"Authorization": f"token {student.name}"},
                body=None if body is None else json.dumps(body),
                allow_nonstandard_methods=True,
            ),
            raise_error=False,
        )
        assert answer.code in (200, 201), (student, answer.code, answer.body)
        return json.loads(answer.body)

    def driver(self, student: Student) -> FakeDriver | None:
        driver = self.backend.drivers.get(student.cluster)
        return driver if driver is not None and driver.alive else None

    # --- what people do ---

    async def second(self) -> None:
        """One second of everybody's life."""
        now, chance = self.loop.time(), self.random.random
        for student in self.students:
            driver = self.driver(student)
            if student.doing == "away":
                if now >= student.until and chance() < PACE / 60:
                    student.cluster = (await self.call(student, "POST", "clusters", {}))["id"]
                    student.doing, student.until = "thinking", now + 30 / PACE * chance()
            elif driver is None:
                # It was stopped for being idle, or crashed: whoever wants to go on asks again.
                student.waiting, student.work, student.wanted = None, 0.0, 0
                if chance() < 1 / 10:
                    await self.call(student, "POST", "clusters", {})
                    student.doing, student.until = "thinking", now + 10
            else:
                await self.go_on(student, driver, now)
        await self.go_wrong(now)

    async def go_on(self, student: Student, driver: FakeDriver, now: float) -> None:
        staying = sum(not each.decommissioning for each in driver.executors.values())
        if student.doing == "working":
            student.work -= staying
            if staying and student.waiting is not None:
                student.waits.append(now - student.waiting)
            student.waiting = None if staying else (now if student.waiting is None else student.waiting)
            if student.work <= 0:
                student.queries += 1
                student.doing, student.wanted, student.waiting = "thinking", 0, None
                student.until = now + self.random.expovariate(PACE / 60)
                await driver.work(0)
        elif now >= student.until:
            if self.random.random() < 1 / 30:
                await self.call(student, "DELETE", f"clusters/{student.cluster}")
                student.doing, student.until = "away", now + 60 / PACE
            else:
                student.doing, student.work = "working", 5 + self.random.expovariate(1 / 20)
                student.wanted = self.random.randint(1, 2 * EXECUTORS)
                await driver.work(student.wanted)
        elif int(now) % 5 == 0:
            await driver.work(0, idle=driver.idle + 5)

    async def go_wrong(self, now: float) -> None:
        """Whatever may, now and then."""
        chance = self.random.random
        for driver in [each for each in self.backend.drivers.values() if each.alive]:
            if chance() < PACE / 1200:
                self.crashes += 1
                driver.die("Its process was killed (signal 9).")
            elif chance() < PACE / 600 and driver.executors:
                await driver.lose(self.random.choice(sorted(driver.executors)))
            elif chance() < PACE / 600:
                driver.hang_up()
        if chance() < PACE / 100:
            self.conflicts += self.write_behind_its_back()
        if chance() < PACE / 600 and now > self.calm_at:
            await self.restart()

    def write_behind_its_back(self) -> int:
        """Somebody else writes a record, as an administrator's script might: the service's own is out of date."""
        others: Records = open_records(self.service.db_url)
        try:
            mine = others.clusters()
            if mine:
                record = self.random.choice(mine)
                others.update(record, last_active=record.last_active)
            return len(mine[:1])
        finally:
            others.close()

    # --- what must hold ---

    def check(self) -> None:
        state = self.service.state
        counted = {name: len(live.held) + live.promised() for name, live in state.lives.items()}
        assert sum(counted.values()) <= EXECUTORS, f"more is given than there is: {counted}"
        real = {name: len(driver.executors) for name, driver in self.backend.drivers.items() if driver.alive}
        assert sum(real.values()) <= EXECUTORS, f"more runs than there is: {real}"
        settling = self.service.controller.settling()
        for name, count in real.items():
            assert settling or count <= counted.get(name, 0), f"{name} runs {count}, counted are {counted.get(name)}"
        now, bound = self.loop.time(), wait_bound(PEOPLE - EXECUTORS, EXECUTORS, state.rules()) + DEFERRAL + HAND_OVERS
        for student in self.students:
            student.bound = 0.0 if student.waiting is None else max(student.bound, bound)
            if student.waiting is not None and now > self.calm_at:
                assert now - student.waiting <= student.bound, (student, self.service.controller.snapshot())

    def remembered(self) -> int:
        """Entries in the service's maps."""
        state, reconciler = self.service.state, self.service.reconciler
        maps: list[Any] = [state.lives, state._waiters, state._essences, state._versions, state._records, state.users]
        maps += [reconciler._tasks, reconciler._again, reconciler._reasons, self.service.controller._unheard]
        return sum(len(each) for each in maps)

    async def until(self, holds: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
        end = self.loop.time() + seconds
        while not holds():
            assert self.loop.time() < end, f"not within {seconds:g} s: {what}"
            await asyncio.sleep(0.5)

    async def leave(self) -> None:
        """Everybody goes home."""
        for student in self.students:
            if student.cluster:
                await self.call(student, "DELETE", f"clusters/{student.cluster}")
        state = self.service.state
        await self.until(lambda: not self.backend.drivers and not state.lives, "all is stopped")
        await self.until(lambda: not self.service.reconciler._tasks, "nothing is left to do")
        assert not any(state._waiters.values())
        assert {record.status for record in state.records()} <= {"stopped", "failed"}
        assert {record.id for record in state.records()} == {s.cluster for s in self.students if s.cluster}
        stored = open_records(self.service.db_url)
        assert {(r.id, r.status, r.goal) for r in stored.clusters()} == {
            (r.id, r.status, r.goal) for r in state.records()
        }
        stored.close()


@pytest.mark.parametrize("seed", [1])
def test_an_hour_of_a_class_of_thirty_with_everything_that_goes_wrong(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)

    async def hour() -> None:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr("emberhub_service.service.Clock", lambda *_: lambda: 1.7e9 + loop.time())
        room = Class(tmp_path, seed)
        await room.open()
        try:
            sizes = []
            for second in range(HOUR):
                await room.second()
                await asyncio.sleep(1)
                room.check()
                if second % 100 == 99:
                    sizes.append(room.remembered())
            await room.leave()
            room.check()
            # Six entries a person at most, however often they came and went.
            assert max(sizes) <= 6 * PEOPLE + 10, sizes
            assert sum(student.queries for student in room.students) > 5 * PEOPLE
            assert min(room.conflicts, room.restarts, room.crashes) > 0
            longest = max((max(student.waits, default=0.0) for student in room.students), default=0.0)
            print(
                f"longest wait {longest:g} s, {sum(s.queries for s in room.students)} queries, {room.crashes} crashes"
            )
        finally:
            room.http.close()
            await room.service.stop()
            await room.backend.shutdown()

    run(hour())
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR and r.name.startswith("emberhub")]
