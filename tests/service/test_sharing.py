"""Executors between users, through the real service: real HTTP, real agent sockets, drivers without Spark."""

import asyncio

from emberhub.wire import agent
from emberhub_spawner.fake import Script


def holds(count):
    return lambda driver: (
        sum(not e.decommissioning for e in driver.executors.values()) == count and (len(driver.executors) == count)
    )


async def test_a_cluster_gets_what_it_wants_when_there_is_room(running):
    cluster, driver = await running.start()
    await driver.work(wanted=3)
    await driver.until(holds(3))
    view = await running.until(cluster, lambda c: len(c["running"]) == 3)
    assert (view["state"], view["granted"], view["wanted"], view["unmet"]) == ("running", 3, 3, None)


async def test_two_busy_users_have_two_of_four_each(running):
    _, alice = await running.start("alice")
    _, bob = await running.start("bob")
    await asyncio.gather(alice.work(wanted=9), bob.work(wanted=9))
    await asyncio.gather(alice.until(holds(2)), bob.until(holds(2)))


async def test_who_stops_asking_lends_and_has_it_back_in_two_phases(running):
    _, alice = await running.start("alice")
    await alice.work(wanted=9)
    await alice.until(holds(4))
    _, bob = await running.start("bob")
    # Phase one, then two, and never the other way round.
    await bob.work(wanted=9)
    await asyncio.gather(alice.until(holds(2)), bob.until(holds(2)))
    named = [name for m in alice.heard if isinstance(m, agent.Reclaim) for name in m.executors]
    revoked = [name for m in alice.heard if isinstance(m, agent.Revoke) for name in m.executors]
    assert set(revoked) <= set(named)
    assert len(revoked) == 2
    first_reclaim = next(i for i, m in enumerate(alice.heard) if isinstance(m, agent.Reclaim))
    first_revoke = next(i for i, m in enumerate(alice.heard) if isinstance(m, agent.Revoke))
    assert first_reclaim < first_revoke
    # The other way.
    await alice.work(wanted=0, idle=5.0)
    await bob.until(holds(4))
    await alice.work(wanted=9)
    await asyncio.gather(alice.until(holds(2)), bob.until(holds(2)))


async def test_never_more_than_the_pool_is_counted_or_run(running, site):
    site.script = lambda spec: Script(executor_start=0.1, drain=0.2)
    over = []

    def check():
        lives = list(running.service.state.lives.values())
        counted = sum(len(live.held) + live.promised() for live in lives)
        run = sum(len(driver.executors) for driver in running.backend.drivers.values())
        if counted > 4 or run > 4:
            over.append((counted, run))

    cycle = running.service.controller.cycle

    def checked_cycle():
        cycle()
        check()

    running.service.controller.cycle = checked_cycle
    drivers = [(await running.start(who))[1] for who in ("alice", "bob", "carol")]
    for turn in range(6):
        for place, driver in enumerate(drivers):
            busy = (turn + place) % 3 != 0
            await driver.work(wanted=9 if busy else 0, idle=0 if busy else 9)
        busy = [d for d in drivers if d.wanted]
        for driver in busy:
            await driver.until(lambda d: len(d.executors) >= 1, seconds=20)
    assert over == []


async def test_an_unmet_demand_says_why(running):
    _, bob = await running.start("bob")
    await bob.work(wanted=9)
    cluster, alice = await running.start("alice")
    await alice.work(wanted=9)
    view = await running.until(cluster, lambda c: c["unmet"])
    assert view["unmet"]["executors"] > 0
    assert view["unmet"]["reason"] == view["message"]


async def test_how_far_an_estimate_was_off_is_recorded(running):
    _, bob = await running.start("bob")
    await bob.work(wanted=9)
    await bob.until(holds(4))
    cluster, alice = await running.start("alice")
    await alice.work(wanted=1)
    await running.until(cluster, lambda c: len(c["running"]) == 1)
    text = (await running.call("GET", "metrics", who="admin")).text
    numbers = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(numbers["emberhub_wait_seconds_count"]) >= 1
    assert float(numbers["emberhub_estimate_error_seconds_count"]) >= 1
    assert float(numbers["emberhub_plan_seconds_count"]) >= 1
    assert float(numbers["emberhub_plan_failures_total"]) == 0
    assert float(numbers['emberhub_pool{amount="capacity",pool="main",resource="millicores"}']) == 4000


async def test_an_idle_cluster_gives_its_executors_back(running):
    cluster, driver = await running.start()
    await driver.work(wanted=2)
    await driver.until(holds(2))
    await driver.work(wanted=0, idle=2.0)
    await driver.until(holds(0))
    view = await running.until(cluster, lambda c: not c["running"])
    assert view["granted"] == 0


async def test_a_driver_may_offer_another_executor(running, site):
    def offer(reclaim):
        if set(reclaim.executors) & {"0"}:
            return ()
        return [agent.Alternative(executor=reclaim.executors[0], instead="0")]

    site.script = lambda spec: Script(answer=offer if spec.user == "alice" else lambda _: ())
    _, alice = await running.start("alice")
    await alice.work(wanted=4)
    await alice.until(holds(4))
    _, bob = await running.start("bob")
    await bob.work(wanted=1)
    await bob.until(lambda d: len(d.executors) == 1)
    revoked = [name for m in alice.heard if isinstance(m, agent.Revoke) for name in m.executors]
    assert revoked == ["0"]


async def test_a_driver_may_ask_once_for_a_little_longer(running, site):
    def ask(reclaim):
        return [agent.Deferral(executor, "nearly done") for executor in reclaim.executors]

    site.script = lambda spec: Script(answer=ask if spec.user == "alice" else lambda _: ())
    _, alice = await running.start("alice")
    await alice.work(wanted=4)
    await alice.until(holds(4))
    _, bob = await running.start("bob")
    await bob.work(wanted=1)
    await bob.until(lambda d: len(d.executors) == 1)
    taken = next(name for m in alice.heard if isinstance(m, agent.Revoke) for name in m.executors)
    notices = [m for m in alice.heard if isinstance(m, agent.Reclaim) and taken in m.executors]
    assert len(notices) == 2
    assert notices[1].deadline > 0.3


async def test_granted_executors_that_never_come_are_withdrawn_and_said(running, site):
    site.set("stop_after: 30m", "stop_after: 30m, executor_start_timeout: 300ms")
    await running.service.watch.look()
    site.script = lambda spec: Script(executors_start=False)
    cluster, driver = await running.start()
    await driver.work(wanted=2)
    view = await running.until(cluster, lambda c: c["unmet"] and "did not start" in c["message"])
    assert view["granted"] == 0
    # The capacity is free again for others.
    site.script = lambda spec: Script()
    _, bob = await running.start("bob")
    await bob.work(wanted=4)
    await bob.until(holds(4))
