"""Warm drivers: started before anybody asks, taken over by one cluster for good, kept behind everybody who waits."""

import asyncio

import pytest
from emberhub_service.control import warm as warming
from emberhub_service.control.line import Line
from emberhub_spawner.backend import StartFailed
from emberhub_spawner.fake import FakeBackend, Script


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(warming, "_TICK", 0.05)
    monkeypatch.setattr(warming, "_PEOPLE_FIRST", 0.2)


@pytest.fixture
def warm_site(site):
    site.set("default: true", "default: true, warm: 2")
    site.active = ["alice", "bob", "carol", "dave"]
    return site


async def true(condition, seconds=10.0):
    """Return once it holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (what it looks at tells nobody when it changes)
            await asyncio.sleep(0.02)


def warm_drivers(running):
    waiting = {record.driver for record in running.service.state.records() if record.warm}
    return [d for name, d in running.backend.drivers.items() if name in waiting and d.alive]


def ready(running, count):
    """So many warm drivers are ready."""
    lives = running.service.state.lives.values()
    return lambda: sum(live.record.warm and live.record.status == "running" for live in lives) == count


async def test_a_cluster_takes_over_a_warm_driver_and_is_ready_without_a_start(warm_site):
    async with warm_site.service() as running:
        await true(ready(running, 2))
        warm = {driver.spec.cluster for driver in warm_drivers(running)}
        answer = await running.call("POST", "api/clusters", {})
        view = await running.until(answer.json["id"], lambda c: c["ready"])
        assert (view["generation"], view["user"], view["name"]) == (1, "alice", "main")
        assert running.service.state.record(view["id"]).driver in warm
        assert view["id"] not in running.backend.drivers


async def test_the_tokens_of_a_warm_driver_are_its_own_and_nobody_else_gets_them(warm_site):
    async with warm_site.service() as running:
        await true(ready(running, 2))
        specs = {d.spec.cluster: d.spec for d in warm_drivers(running)}
        tokens = {}
        for who in ("alice", "bob"):
            answer = await running.call("POST", "api/clusters", {}, who=who)
            view = await running.until(answer.json["id"], lambda c: c["ready"], who=who)
            path = f"api/clusters/{view['id']}/connection"
            tokens[who] = (await running.call("GET", path, who=who)).json["token"]
            assert specs[running.service.state.record(view["id"]).driver].connect_token == tokens[who]
        assert tokens["alice"] != tokens["bob"]


async def test_a_used_driver_is_never_used_again(warm_site):
    async with warm_site.service() as running:
        await true(ready(running, 2))
        first = await running.call("POST", "api/clusters", {})
        cluster = (await running.until(first.json["id"], lambda c: c["ready"]))["id"]
        used = running.backend.drivers[running.service.state.record(cluster).driver]
        await running.call("DELETE", f"api/clusters/{cluster}")
        await running.until(cluster, lambda c: c["state"] == "stopped")
        assert not used.alive
        again = await running.call("POST", "api/clusters", {})
        view = await running.until(again.json["id"], lambda c: c["ready"])
        assert (view["id"], view["generation"], view["restarted"]) == (cluster, 2, "It was stopped by alice.")
        assert running.backend.drivers[running.service.state.record(cluster).driver] is not used


async def test_one_that_was_taken_is_replaced(warm_site):
    async with warm_site.service() as running:
        await true(ready(running, 2))
        await running.call("POST", "api/clusters", {})
        await true(lambda: len(running.backend.started) == 3)
        await true(ready(running, 2))


async def test_nothing_is_started_ahead_of_need_while_somebodys_first_query_runs(warm_site, monkeypatch):
    monkeypatch.setattr(warming, "_PEOPLE_FIRST", 3600.0)
    async with warm_site.service() as running:
        await true(ready(running, 2))
        await running.start(conf={"spark.sql.ansi.enabled": "false"})
        answer = await running.call("POST", "api/clusters", {}, who="bob")
        await running.until(answer.json["id"], lambda c: c["ready"], who="bob")
        running.service.warm.tend(running.service.state.clock())
        assert len(warm_drivers(running)) == 1


async def test_settings_of_ones_own_need_a_driver_of_ones_own(warm_site):
    async with warm_site.service() as running:
        await true(ready(running, 2))
        cluster, driver = await running.start(conf={"spark.sql.ansi.enabled": "false"})
        assert driver.spec.cluster == cluster
        assert len(warm_drivers(running)) == 2


async def test_warm_drivers_of_a_profile_that_changed_go_and_new_ones_come(warm_site):
    async with warm_site.service() as running:
        await true(ready(running, 2))
        old = warm_drivers(running)
        warm_site.set("executor: {cores: 1, memory: 1G}", "executor: {cores: 2, memory: 1G}")
        await running.service.watch.look()
        await true(lambda: not any(driver.alive for driver in old))
        await true(ready(running, 2))
        assert {d.spec.executor.millicores for d in warm_drivers(running)} == {2000}
        warm_site.set("warm: 2", "warm: 0")


async def test_the_next_service_takes_them_over(warm_site):
    async with warm_site.service() as first:
        await true(ready(first, 2))
        answer = await first.call("POST", "api/clusters", {})
        cluster = (await first.until(answer.json["id"], lambda c: c["ready"]))["id"]
        await true(ready(first, 2))
        drivers, port = dict(first.backend.drivers), first.service.port
    async with warm_site.service(port) as second:
        second.backend.drivers.update(drivers)
        await second.until(cluster, lambda c: c["ready"])
        await true(ready(second, 2))
        assert not second.backend.started


async def test_one_that_does_not_start_is_not_tried_again_at_once(warm_site, caplog):
    warm_site.script = lambda spec: Script(refuse="There is no Java on this machine.")
    async with warm_site.service() as running:
        await true(lambda: "There is no Java" in caplog.text and not running.service.state.records())
        tries = len(running.backend.started)
        running.service.warm.tend(running.service.state.clock())
        assert len(running.backend.started) == tries


async def test_whoever_took_one_over_that_cannot_be_made_reads_why(warm_site, monkeypatch):
    go_on = asyncio.Event()

    async def refuse(*_):
        await go_on.wait()
        raise StartFailed("The namespace's quota is used up.")

    monkeypatch.setattr(FakeBackend, "start", refuse)
    async with warm_site.service() as running:
        await true(lambda: any(record.status == "starting" for record in running.service.state.records()))
        cluster = (await running.call("POST", "api/clusters", {})).json["id"]
        view = await running.until(cluster, lambda c: c["state"] == "starting")
        assert running.service.state.record(cluster).driver != cluster, "it took no warm driver over"
        go_on.set()
        view = await running.until(cluster, lambda c: c["state"] == "failed")
        assert "quota is used up" in view["message"]


async def test_one_spare_executor_is_held_only_where_nobody_else_could_use_it(warm_site):
    async with warm_site.service() as running:
        await true(ready(running, 2))
        await true(lambda: sum(len(d.executors) for d in warm_drivers(running)) == 1)
        answer = await running.call("POST", "api/clusters", {})
        view = await running.until(answer.json["id"], lambda c: c["ready"])
        assert len(view["running"]) == 1, "the driver with the executor is taken first"
        mine = running.backend.drivers[running.service.state.record(view["id"]).driver]
        await true(lambda: sum(len(d.executors) for d in warm_drivers(running)) == 1)
        await mine.work(4)
        await mine.until(lambda d: len(d.executors) == 4)
        assert not any(d.executors for d in warm_drivers(running))


async def test_whoever_takes_over_a_spare_executor_has_its_idle_time_to_use_it(warm_site):
    warm_site.set("idle_after: 1s", "idle_after: 30s")
    async with warm_site.service() as running:
        await true(lambda: sum(len(d.executors) for d in warm_drivers(running)) == 1)
        (holder,) = [d for d in warm_drivers(running) if d.executors]
        await holder.work(0, idle=100.0)
        answer = await running.call("POST", "api/clusters", {})
        await running.until(answer.json["id"], lambda c: c["ready"])
        running.service.controller.cycle()
        assert not running.service.state.lives[answer.json["id"]].reclaiming


async def test_warm_drivers_are_nobodys_clusters(warm_site):
    async with warm_site.service() as running:
        await true(ready(running, 2))
        name = warm_drivers(running)[0].spec.cluster
        assert (await running.call("GET", "api/clusters?all=1", who="admin")).json["clusters"] == []
        for who in ("alice", "robot"):
            assert (await running.call("GET", f"api/clusters/{name}", who=who)).status == 404
            assert (await running.call("GET", f"api/clusters/{name}/connection", who=who)).status == 404
            assert (await running.call("GET", "api/clusters", who=who)).json["clusters"] == []


async def test_as_many_are_kept_as_people_are_logged_in_without_a_cluster(site):
    site.set("default: true", "default: true, warm: 5")
    site.active = ["alice", "bob", "carol"]
    async with site.service() as running:
        await true(ready(running, 3))
        answer = await running.call("POST", "api/clusters", {})
        await running.until(answer.json["id"], lambda c: c["ready"])
        profile = running.service.state.site.profiles[0]
        assert running.service.warm.wanted(profile) == 2


async def test_starts_are_admitted_a_few_at_a_time_and_each_sees_their_place(site):
    site.set("heartbeat: 500ms", "heartbeat: 500ms\nstarts_at_once: 1")
    site.script = lambda spec: Script(connect=False)
    async with site.service() as running:
        ids = {}
        for who in ("alice", "bob", "carol"):
            ids[who] = (await running.call("POST", "api/clusters", {}, who=who)).json["id"]
        await running.until(ids["alice"], lambda c: c["state"] == "starting")
        bob = await running.until(ids["bob"], lambda c: "line" in c["message"] or c["state"] == "pending", who="bob")
        carol = await running.until(ids["carol"], lambda c: "number 2 in line" in c["message"], who="carol")
        assert (bob["state"], carol["state"]) == ("pending", "pending")
        assert len(running.backend.started) == 1
        running.backend.drivers[ids["alice"]].die("It fell.")
        await running.until(ids["bob"], lambda c: c["state"] == "starting", who="bob")
        await running.call("DELETE", f"api/clusters/{ids['bob']}", who="bob")
        await running.until(ids["carol"], lambda c: c["state"] == "starting", who="carol")


async def test_a_start_that_hangs_does_not_hold_up_the_line_for_ever(site, monkeypatch):
    monkeypatch.setattr("emberhub_service.control.reconciler._START_HOLDS", 0.3)
    site.set("heartbeat: 500ms", "heartbeat: 500ms\nstarts_at_once: 1")
    site.script = lambda spec: Script(connect=False)
    async with site.service() as running:
        await running.call("POST", "api/clusters", {})
        second = (await running.call("POST", "api/clusters", {}, who="bob")).json["id"]
        await running.until(second, lambda c: c["state"] == "starting", who="bob")


def test_people_are_before_warm_drivers_and_keep_their_places():
    line = Line()
    line.join("w-1", warm=True)
    line.join("a", warm=False)
    line.join("b", warm=False)
    line.join("a", warm=False)
    assert [line.place(each) for each in ("a", "b", "w-1", "c")] == [1, 2, 3, 0]
    assert line.first(2) == ["a", "b"]
    line.leave("a")
    line.leave("a")
    assert line.place("w-1") == 2


async def test_warm_drivers_whose_pods_would_be_others_now_go_and_new_ones_come(warm_site):
    async with warm_site.service() as first:
        await true(ready(first, 2))
        drivers, port = dict(first.backend.drivers), first.service.port
    warm_site.yaml.write_text(warm_site.yaml.read_text() + "kubernetes: {image: 'spark:2'}\n")
    async with warm_site.service(port) as second:
        second.backend.drivers.update(drivers)
        await true(lambda: {d.spec.executor_pod.image for d in warm_drivers(second)} == {"spark:2"})
        assert not any(driver.alive for driver in drivers.values())


async def test_a_warm_driver_whose_pods_name_another_queue_is_not_taken_over(warm_site):
    warm_site.yaml.write_text(
        warm_site.yaml.read_text()
        + "kubernetes: {labels: {queue-name: '{queue}'}}\n"
        + "queues: {name: all, children: [{name: class, groups: [students]}, {name: others}]}\n"
    )
    async with warm_site.service() as running:
        await true(ready(running, 2))
        _, driver = await running.start("alice")
        assert driver.spec.executor_pod.labels == {"queue-name": "class"}
        bobs = (await running.call("POST", "api/clusters", {}, who="bob")).json["id"]
        await running.until(bobs, lambda c: c["ready"], who="bob")
        taken = running.backend.drivers[running.service.state.record(bobs).driver]
        assert taken.spec.cluster != bobs
        assert taken.spec.executor_pod.labels == {"queue-name": "others"}


async def test_whoever_takes_one_over_has_as_long_as_anybody_until_it_is_ready(warm_site):
    warm_site.set("stop_after: 30m", "stop_after: 30m, driver_start_timeout: 60s")
    warm_site.script = lambda spec: Script(connect=False)
    async with warm_site.service() as running:
        await true(lambda: running.service.state.lives)
        state = running.service.state
        (live,) = state.lives.values()
        live.born -= 59
        cluster = (await running.call("POST", "api/clusters", {})).json["id"]
        view = await running.until(cluster, lambda c: c["state"] == "starting")
        assert state.record(cluster).driver != cluster
        state.clock._offset += 30
        running.service.controller.cycle()
        assert (await running.call("GET", f"api/clusters/{view['id']}")).json["state"] == "starting"
