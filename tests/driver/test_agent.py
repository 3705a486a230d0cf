"""What the agent tells the service, and that it does what the service says."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from emberhub.wire import agent as wire
from emberhub.wire import livy
from emberhub_driver.interpreter import Done, Ready

from tests.driver.conftest import Running
from tests.support.agents import ServiceInTest, service_in_test


async def test_it_shows_who_it_is_and_first_reports_its_whole_state(service: ServiceInTest, agent: Running) -> None:
    report = await service.until("c", wire.Report)
    assert service.heard["c"][0] == report
    assert report.endpoint == wire.Endpoint("127.0.0.1", 15002) and report.application == "app-1"
    headers = service.headers[0]
    assert headers["Authorization"] == "Bearer the-agents-token"
    assert (headers["Emberhub-Cluster"], headers["Emberhub-Generation"]) == ("c", "3")


async def test_it_reports_demand_when_it_changes_and_its_state_when_nothing_does(
    service: ServiceInTest, agent: Running
) -> None:
    await service.until("c", wire.Report)
    agent.spark.demand = 7
    await service.until("c", wire.Report, lambda report: report.wanted == 7)
    heard = service.count("c")
    again = await service.until("c", wire.Report, after=heard)
    assert again.wanted == 7, "a heartbeat is a whole report"


async def test_an_idle_driver_looks_at_once_when_spark_has_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emberhub_driver.pace.LOOK_QUIET", 1000.0)
    async with service_in_test(heartbeat=2000.0) as service:
        agent = Running(service)
        try:
            await service.until("c", wire.Report)
            agent.spark.demand = 7
            agent.spark.news.set()
            await service.until("c", wire.Report, lambda report: report.wanted == 7)
        finally:
            await agent.end()


async def test_a_query_that_is_being_planned_needs_an_executor_and_keeps_it(
    service: ServiceInTest, agent: Running
) -> None:
    await service.until("c", wire.Report)
    agent.spark.query = True
    agent.spark.news.set()
    await service.until("c", wire.Report, lambda report: report.wanted == 1)
    agent.spark.demand = 4
    await service.until("c", wire.Report, lambda report: report.wanted == 4)
    agent.spark.demand = 0  # between two of its jobs
    await service.until("c", wire.Report, lambda report: report.wanted == 1)
    agent.spark.query = False
    report = await service.until("c", wire.Report, lambda report: report.wanted == 0)
    assert report.idle < 1.0, "it counted as work"


async def test_a_target_is_applied_and_the_executors_reported(service: ServiceInTest, agent: Running) -> None:
    await service.until("c", wire.Report)
    await service.say("c", wire.Target(2))
    report = await service.until("c", wire.Report, lambda report: len(report.executors) == 2)
    assert report.target == 2
    await service.say("c", wire.Target(1))
    report = await service.until("c", wire.Report, lambda report: report.target == 1)
    assert len(report.executors) == 2, "a lower target takes nothing away"


async def test_a_revoked_executor_goes_and_the_target_with_it(service: ServiceInTest, agent: Running) -> None:
    await service.until("c", wire.Report)
    await service.say("c", wire.Target(2))
    await service.until("c", wire.Report, lambda report: len(report.executors) == 2)
    await service.say("c", wire.Revoke(("0",), 1, "somebody waits"))
    report = await service.until("c", wire.Report, lambda report: [each.id for each in report.executors] == ["1"])
    assert report.target == 1 and agent.spark.given_back == [("0",)]


async def test_asked_for_a_busy_executor_it_offers_an_idle_one(service: ServiceInTest, agent: Running) -> None:
    await service.until("c", wire.Report)
    await service.say("c", wire.Target(2))
    await service.until("c", wire.Report, lambda report: len(report.executors) == 2)
    agent.spark.busy("0")
    agent.spark.demand = 1
    await service.until("c", wire.Report, lambda report: any(each.active_tasks for each in report.executors))
    await service.say("c", wire.Reclaim(("0",), 5.0, "somebody waits"))
    assert await service.until("c", wire.Alternative) == wire.Alternative(executor="0", instead="1")


async def test_it_asks_once_for_longer_where_the_last_tasks_of_a_job_run(
    service: ServiceInTest, agent: Running
) -> None:
    await service.until("c", wire.Report)
    await service.say("c", wire.Target(1))
    await service.until("c", wire.Report, lambda report: len(report.executors) == 1)
    agent.spark.busy("0")
    agent.spark.demand = 1
    await service.until("c", wire.Report, lambda report: any(each.active_tasks for each in report.executors))
    for _ in range(2):
        await service.say("c", wire.Reclaim(("0",), 5.0, "somebody waits"))
    heard = service.count("c")
    await service.until("c", wire.Report, after=heard + 1)
    assert [type(each) for each in service.heard["c"]].count(wire.Deferral) == 1


async def test_it_connects_again_and_tells_its_whole_state_again(service: ServiceInTest, agent: Running) -> None:
    await service.until("c", wire.Report)
    await service.say("c", wire.Target(2))
    await service.until("c", wire.Report, lambda report: len(report.executors) == 2)
    heard = service.count("c")
    service.sockets["c"].close()
    report = await service.until("c", wire.Report, after=heard)
    assert len(report.executors) == 2 and report.target == 2
    assert len(service.headers) == 2


async def test_sparks_pages_open_when_asked_for_and_once_and_a_failure_is_tried_again(
    service: ServiceInTest, agent: Running
) -> None:
    first = await service.until("c", wire.Report)
    assert first.ui is None
    agent.spark.ui_fails = True
    await service.say("c", wire.ShowUi())
    await service.until("c", wire.Report, lambda report: agent.spark.ui_opened == 1, after=service.count("c"))
    agent.spark.ui_fails = False
    await service.say("c", wire.ShowUi())
    await service.say("c", wire.ShowUi())
    report = await service.until("c", wire.Report, lambda report: report.ui is not None)
    assert report.ui == wire.Endpoint("127.0.0.1", 4040)
    await service.say("c", wire.ShowUi())
    await service.until("c", wire.Report, after=service.count("c"))
    assert agent.spark.ui_opened == 2


async def test_told_to_stop_it_says_farewell_with_the_reason(service: ServiceInTest, agent: Running) -> None:
    await service.until("c", wire.Report)
    await service.say("c", wire.Stop("alice stopped it"))
    assert await agent.reason() == "alice stopped it"
    assert await service.until("c", wire.Farewell) == wire.Farewell("alice stopped it")


@pytest.mark.parametrize("code", [wire.CLOSE_PROTOCOL, wire.CLOSE_SUPERSEDED])
async def test_refused_for_good_it_stops(service: ServiceInTest, agent: Running, code: int) -> None:
    await service.until("c", wire.Report)
    service.sockets["c"].close(code)
    assert "service" in await agent.reason()


async def test_it_stops_when_spark_has_stopped_by_itself(service: ServiceInTest, agent: Running) -> None:
    await service.until("c", wire.Report)
    agent.spark.has_stopped = True
    assert "Spark stopped by itself" in await agent.reason()


async def test_without_a_word_for_its_lease_it_keeps_its_floor_and_then_stops(service: ServiceInTest) -> None:
    service.welcome = wire.Welcome(lease=1.0, heartbeat=0.4, floor=1)
    running = Running(service, lease=1.0)
    try:
        await service.until("c", wire.Report)
        await service.say("c", wire.Target(3))
        await service.until("c", wire.Report, lambda report: len(report.executors) == 3)
        running.spark.busy("0", cached=10)
        running.spark.demand = 1
        service.silent = True
        service.sockets["c"].close()
        assert "not heard" in await running.reason()
        assert running.spark.given_back == [("1", "2")], "idle ones first, once, and not the floor"
        assert running.spark.target == 1
    finally:
        await running.end()


async def test_nonsense_from_the_service_is_passed_over(service: ServiceInTest, agent: Running) -> None:
    await service.until("c", wire.Report)
    await service.sockets["c"].write_message('{"type": "Dance"}')
    await service.sockets["c"].write_message(b"\xff\xfe", binary=True)
    await service.say("c", wire.Target(1))
    await service.until("c", wire.Report, lambda report: len(report.executors) == 1)


async def test_a_driver_starts_to_work_before_its_service_is_there(service: ServiceInTest) -> None:
    service.silent = True
    running = Running(service)
    try:
        await asyncio.sleep(0)
        service.silent = False
        assert (await service.until("c", wire.Report)).endpoint is not None
    finally:
        await running.end()


@pytest.mark.parametrize("warm", [True, False])
async def test_it_knows_when_there_is_an_executor_and_no_user_to_warm_it_up_for(
    service: ServiceInTest, agent: Running, warm: bool
) -> None:
    await service.until("c", wire.Report)
    await service.say("c", wire.Welcome(60.0, 0.4, warm=warm))
    assert not agent.agent.spare.is_set()
    await service.say("c", wire.Target(1))
    await service.until("c", wire.Report, lambda report: len(report.executors) == 1)
    await service.until("c", wire.Report, after=service.count("c"))
    assert agent.agent.spare.is_set() == warm


async def test_a_statement_of_a_session_counts_as_work_and_asks_for_no_executor(
    service: ServiceInTest, agent: Running
) -> None:
    await service.until("c", wire.Report, lambda report: report.idle > 0.3)
    await service.say("c", wire.Question(1, 5, livy.Show()))
    await service.until("c", wire.Answer, lambda answer: answer.number == 1)
    agent.interpreters[5].listener.hear(Ready())
    await service.say("c", wire.Question(2, 5, livy.Run("1")))
    ran = await service.until("c", wire.Answer, lambda answer: answer.number == 2)
    assert (ran.status, msgspec.json.decode(ran.body)["state"]) == (201, "running")
    report = await service.until("c", wire.Report, lambda report: report.idle == 0, after=service.count("c"))
    assert (report.wanted, report.executors) == (0, ())
    agent.interpreters[5].listener.hear(Done(0, livy.Output("ok", 0, data={})))
    await service.until("c", wire.Report, lambda report: report.idle > 0.3, after=service.count("c"))
