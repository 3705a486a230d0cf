"""Executors ahead of need: for who is about to ask, and only where nobody else could use the room."""

from emberhub_service.control import ahead


def holds(count):
    return lambda driver: len(driver.executors) == count


async def test_who_has_just_started_has_an_executor_before_the_first_query(running):
    _, driver = await running.start()
    await driver.until(holds(1))
    assert driver.wanted == 0


async def test_nobody_loses_an_executor_to_somebody_who_has_not_asked_yet(running):
    _, alice = await running.start("alice")
    await alice.work(wanted=9)
    await alice.until(holds(4))
    _, bob = await running.start("bob")
    running.service.controller.cycle()
    assert not running.service.state.lives[bob.spec.cluster].promised()
    assert holds(4)(alice)


async def test_a_first_that_is_expected_comes_before_anybodys_second(running):
    clusters = [await running.start(who) for who in ("alice", "bob", "carol")]
    for _, driver in clusters:
        await driver.until(holds(1))
    (_, alice), (_, bob), _ = clusters
    await alice.work(wanted=9)
    await alice.until(holds(2))
    await bob.work(wanted=1)
    running.service.controller.cycle()
    assert holds(2)(alice)


async def test_after_the_first_query_an_executor_is_held_for_work_alone(running):
    _, driver = await running.start()
    await driver.until(holds(1))
    await driver.work(wanted=1)
    await driver.work(wanted=0, idle=5.0)
    await driver.until(holds(0))


async def test_a_first_query_is_not_expected_for_ever(running, monkeypatch):
    _, driver = await running.start()
    await driver.until(holds(1))
    monkeypatch.setattr(ahead, "_FIRST_QUERY", 0.0)
    await driver.work(wanted=0, idle=5.0)
    await driver.until(holds(0))
