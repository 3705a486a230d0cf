"""A cluster's life: starting, stopping, failing, idling, and the restart of the service under running drivers."""

import asyncio
import errno
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from emberhub.wire import agent
from emberhub_spawner.fake import Script

from tests.support.spark import eventually


def holds(count):
    return lambda driver: len(driver.executors) == count


async def test_asking_again_finds_the_same_cluster(running):
    cluster, _ = await running.start()
    answer = await running.call("POST", "api/clusters", {})
    assert (answer.status, answer.json["id"], answer.json["generation"]) == (200, cluster, 1)
    assert len(running.backend.started) == 1


async def test_many_requests_at_once_start_one_driver(running):
    answers = await asyncio.gather(*(running.call("POST", "api/clusters", {}) for _ in range(8)))
    assert len({answer.json["id"] for answer in answers}) == 1
    await running.until(answers[0].json["id"], lambda c: c["ready"])
    assert len(running.backend.started) == 1


async def test_a_stopped_cluster_is_started_again_and_says_why_it_had_stopped(running):
    cluster, first = await running.start(executors={"min": 0, "max": 2}, conf={"spark.sql.ansi.enabled": "false"})
    await running.call("DELETE", f"api/clusters/{cluster}")
    stopped = await running.until(cluster, lambda c: c["state"] == "stopped")
    assert stopped["message"] == "It was stopped by alice."
    assert not first.alive
    assert (await running.call("GET", f"api/clusters/{cluster}/connection")).status == 409
    again, second = await running.start()
    view = (await running.call("GET", f"api/clusters/{cluster}")).json
    assert again == cluster
    assert (view["generation"], view["restarted"]) == (2, "It was stopped by alice.")
    assert view["executors"] == {"min": 0, "max": 2}
    assert second.spec.conf == {"spark.sql.ansi.enabled": "false"}
    assert second.spec.agent_token != first.spec.agent_token
    assert second.spec.connect_token != first.spec.connect_token


async def test_asking_while_it_is_being_stopped_starts_it_again(running):
    cluster, _ = await running.start()
    stop, may_end = running.backend.stop, asyncio.Event()

    async def slow_stop(name, grace):
        await may_end.wait()
        await stop(name, grace)

    running.backend.stop = slow_stop
    await running.call("DELETE", f"api/clusters/{cluster}")
    await running.until(cluster, lambda c: c["state"] == "stopping")
    assert (await running.call("POST", "api/clusters", {})).status == 200
    assert len(running.backend.started) == 1
    may_end.set()
    view = await running.until(cluster, lambda c: c["ready"])
    assert (view["generation"], view["restarted"]) == (2, "It was stopped by alice.")


async def test_sessions_of_a_cluster_that_its_user_stopped_or_that_failed_do_not_go_on(running):
    cluster, _ = await running.start()
    await running.call("DELETE", f"api/clusters/{cluster}")
    stopped = await running.until(cluster, lambda c: c["state"] == "stopped")
    assert stopped["resumable"] > stopped["generation"]
    await running.start()
    view = (await running.call("GET", f"api/clusters/{cluster}")).json
    assert view["resumable"] == view["generation"] == 2, "the new start's sessions do"


async def test_a_parked_cluster_that_its_user_then_stops_is_stopped(running, site):
    site.set("stop_after: 30m", "stop_after: 600ms")
    await running.service.watch.look()
    cluster, driver = await running.start()
    await driver.work(wanted=0, idle=5.0)
    await running.until(cluster, lambda c: c["state"] == "stopped")
    await running.call("DELETE", f"api/clusters/{cluster}")
    view = (await running.call("GET", f"api/clusters/{cluster}")).json
    assert view["resumable"] > view["generation"] and view["message"] == "It was stopped by alice."


async def test_a_cluster_without_work_is_parked_and_starts_again(running, site):
    site.set("stop_after: 30m", "stop_after: 600ms")
    await running.service.watch.look()
    cluster, driver = await running.start()
    await driver.work(wanted=0, idle=5.0)
    stopped = await running.until(cluster, lambda c: c["state"] == "stopped")
    assert "parked after" in stopped["message"] and stopped["resumable"] <= stopped["generation"]
    again, _ = await running.start()
    assert again == cluster
    assert (await running.call("GET", f"api/clusters/{cluster}")).json["restarted"] == stopped["message"]


async def test_a_driver_that_does_not_start_is_told(running, site):
    site.script = lambda spec: Script(refuse="There is no Java on this machine.")
    answer = await running.call("POST", "api/clusters", {})
    failed = await running.until(answer.json["id"], lambda c: c["state"] == "failed")
    assert failed["message"] == "There is no Java on this machine."
    site.script = lambda spec: Script()
    await running.start()


async def test_a_driver_that_dies_frees_its_executors_and_says_why(running):
    cluster, driver = await running.start()
    await driver.work(wanted=4)
    await driver.until(holds(4))
    _, bob = await running.start("bob")
    driver.die("Its process was killed (signal 9).")
    failed = await running.until(cluster, lambda c: c["state"] == "failed")
    assert failed["message"] == "Its process was killed (signal 9)."
    assert (failed["granted"], failed["running"]) == (0, [])
    await bob.work(wanted=4)
    await bob.until(holds(4))


async def test_a_driver_that_never_gets_ready_is_given_up(running, site):
    site.set("stop_after: 30m", "stop_after: 30m, driver_start_timeout: 300ms")
    await running.service.watch.look()
    site.script = lambda spec: Script(connect=False)
    answer = await running.call("POST", "api/clusters", {})
    failed = await running.until(answer.json["id"], lambda c: c["state"] == "failed")
    assert "not ready after 0.3 seconds" in failed["message"]
    assert running.backend.drivers == {}


async def test_scaling_down_and_up_is_followed(running):
    cluster, driver = await running.start()
    await driver.work(wanted=9)
    await driver.until(holds(4))
    answer = await running.call("PATCH", f"api/clusters/{cluster}", {"executors": {"min": 1, "max": 1}})
    assert answer.json["executors"] == {"min": 1, "max": 1}
    await driver.until(holds(1))
    welcomes = [m for m in driver.heard if isinstance(m, agent.Welcome)]
    assert welcomes[-1].floor == 1
    await running.call("PATCH", f"api/clusters/{cluster}", {"executors": {"min": 0, "max": 3}})
    await driver.until(holds(3))


async def test_a_lost_connection_costs_nothing(running):
    cluster, driver = await running.start()
    await driver.work(wanted=3)
    await driver.until(holds(3))
    before = set(driver.executors)
    driver.hang_up()
    await running.until(cluster, lambda c: c["state"] == "disconnected")
    await running.until(cluster, lambda c: c["state"] == "running")
    assert set(driver.executors) == before


async def test_a_restart_of_the_service_takes_no_executor_and_grants_none_too_early(site):
    async with site.service() as first:
        a, alice = await first.start("alice")
        b, bob = await first.start("bob")
        await alice.work(wanted=2)
        await bob.work(wanted=1)
        await asyncio.gather(alice.until(holds(2)), bob.until(holds(1)))
        port = first.service.port
        before = set(alice.executors), set(bob.executors)
        bob.script.backoff = 3.0  # Bob's driver is not heard for a while.
        heard = len(alice.heard)
    await alice.work(wanted=4)
    async with site.service(port) as second:
        view = await second.until(a, lambda c: c["state"] == "running" and c["unmet"])
        assert "just restarted" in view["message"]
        assert second.service.controller.settling()
        assert (set(alice.executors), set(bob.executors)) == before
        # Bob is heard, and only then the fourth executor is granted.
        await bob.until(lambda d: d.connected.is_set())
        await alice.until(lambda d: len(d.executors) >= 3)
        assert before[0] <= set(alice.executors)
        assert before[1] <= set(bob.executors)
        assert not second.service.controller.settling()
        taken = [m for m in alice.heard[heard:] if isinstance(m, agent.Revoke | agent.Reclaim)]
        assert taken == []
        assert (await second.call("GET", f"api/clusters/{b}", who="bob")).json["generation"] == 1


async def test_after_a_restart_a_silent_driver_holds_the_others_up_for_one_lease_only(site):
    async with site.service() as first:
        _, alice = await first.start("alice")
        _, bob = await first.start("bob")
        port = first.service.port
        bob.script.backoff = 3600
    started = time.monotonic()
    async with site.service(port) as second:
        second.service.controller._settled_at = second.service.state.clock() + 1.0
        await alice.until(lambda d: d.connected.is_set())
        await alice.work(wanted=4)
        await alice.until(holds(4))
        assert time.monotonic() - started >= 1.0
        bob._life.cancel()
        bob._life = None


async def test_what_died_while_the_service_was_down_is_told(site):
    async with site.service() as first:
        cluster, driver = await first.start()
        port = first.service.port
    site.backends[0].drivers.pop(cluster)
    driver.die()
    await driver.ended()
    async with site.service(port) as second:
        failed = await second.until(cluster, lambda c: c["state"] == "failed")
        assert "while the hub's service was not running" in failed["message"]
        await second.start()


async def test_versions_grow_across_a_restart(site):
    async with site.service() as first:
        cluster, _ = await first.start()
        version = (await first.call("GET", f"api/clusters/{cluster}")).json["version"]
        port = first.service.port
    async with site.service(port) as second:
        view = await second.call("GET", f"api/clusters/{cluster}?after={version}&wait=30")
        assert view.json["version"] > version


async def test_waiting_ends_when_nothing_happens(running):
    cluster, _ = await running.start()
    view = await running.until(cluster, lambda c: len(c["running"]) == 1)
    again = await running.call("GET", f"api/clusters/{cluster}?after={view['version']}&wait=0.2")
    assert again.json["version"] == view["version"]


async def test_while_the_records_are_locked_changes_are_refused_and_a_death_is_told_afterwards(running, site):
    cluster, driver = await running.start()
    await driver.work(wanted=4)
    await driver.until(holds(4))
    with closing(sqlite3.connect(site.path / "state" / "emberhub.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        refused = await running.call("POST", "api/clusters", {}, who="bob")
        assert refused.status == 503
        assert "records cannot be written" in refused.message
        assert (await running.call("GET", f"api/clusters/{cluster}")).status == 200
        driver.die("Its process was killed (signal 9).")
        # What it held is free before its end can be written down.
        await eventually(lambda: not running.service.state.lives, "nothing is held")
    running.service.reconciler.enqueue(cluster)
    failed = await running.until(cluster, lambda c: c["state"] == "failed")
    assert failed["message"] == "Its process was killed (signal 9)."
    assert running.service.reconciler._reasons == {}


async def test_a_disk_too_full_for_a_copy_of_the_configuration_keeps_the_older_copy(running, site, monkeypatch):
    copy = site.path / "state" / "site.last-good.yaml"
    before = copy.read_text()

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    site.set("stop_after: 30m", "stop_after: 40m")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        await running.service.watch.look()
    assert running.service.state.site.service.stop_after == 2400
    assert copy.read_text() == before


@pytest.mark.parametrize("step", [3600, -3600])
async def test_a_service_that_starts_after_the_clock_was_set_counts_on_from_what_was_written_down(
    site, monkeypatch, step
):
    async with site.service() as first:
        cluster, driver = await first.start()
        await driver.work(wanted=2)
        await driver.until(holds(2))
        port, before = first.service.port, first.service.state.clock()
    monkeypatch.setattr(
        "emberhub_service.control.state.time",
        SimpleNamespace(time=lambda: time.time() + step, monotonic=time.monotonic),
    )
    async with site.service(port) as second:
        assert second.service.state.clock() >= before
        await second.until(cluster, lambda c: c["state"] == "running")
        await driver.work(wanted=0, idle=2.0)
        await driver.until(holds(0))


async def test_time_in_which_the_whole_machine_stood_still_is_nobody_s_silence(running):
    cluster, driver = await running.start()
    await driver.work(wanted=2)
    await driver.until(holds(2))
    heard = len(driver.heard)
    running.service.state.clock._offset += 100
    await driver.until(lambda d: sum(isinstance(m, agent.Ping) for m in d.heard[heard:]) >= 2)
    view = (await running.call("GET", f"api/clusters/{cluster}")).json
    assert (view["state"], driver.close_code, len(driver.executors)) == ("running", None, 2)
