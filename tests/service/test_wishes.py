"""When an executor is asked back, its user may ask for a little longer, once, or give another: the service decides."""

from emberhub.wire import agent


async def asked_back(running):
    """Alice has all executors and bob wants one: alice's cluster, her driver, and the notice that she reads."""
    cluster, alice = await running.start("alice")
    await alice.work(wanted=4)
    await alice.until(lambda driver: len(driver.executors) == 4)
    _, bob = await running.start("bob")
    await bob.work(wanted=1)
    view = await running.until(cluster, lambda c: c["reclaims"])
    return cluster, alice, view["reclaims"][0]


def slow(site):
    site.set("reclaim_notice: 300ms", "reclaim_notice: 60s")


async def wish(running, cluster, executor, what, who="alice"):
    return await running.call("POST", f"api/clusters/{cluster}/reclaims/{executor}", {"wish": what}, who=who)


async def test_a_little_longer_is_granted_once(running, site):
    slow(site)
    await running.service.watch.look()
    cluster, alice, notice = await asked_back(running)
    assert notice["deferred"] is False
    answer = await wish(running, cluster, notice["executor"], "later")
    assert answer.status == 200
    assert answer.json["reclaims"][0]["deferred"] is True
    assert answer.json["version"] > 0
    again = await wish(running, cluster, notice["executor"], "later")
    assert again.status == 409
    assert "done once; give another instead" in again.message
    notices = [m for m in alice.heard if isinstance(m, agent.Reclaim)]
    assert len(notices) == 2, "the driver was told the later date"


async def test_another_is_given_and_it_is_the_one_that_costs_least(running, site):
    slow(site)
    await running.service.watch.look()
    cluster, alice, notice = await asked_back(running)
    idle = next(name for name in alice.executors if name != notice["executor"])
    alice.executors[idle] = agent.ExecutorReport(id=idle, active_tasks=0, idle=1.0)
    await alice.report()
    await running.until(cluster, lambda c: any(e["id"] == idle and not e["active_tasks"] for e in c["running"]))
    answer = await wish(running, cluster, notice["executor"], "another")
    assert answer.status == 200
    assert [each["executor"] for each in answer.json["reclaims"]] == [idle]
    await alice.until(lambda d: any(isinstance(m, agent.Reclaim) and m.executors == (idle,) for m in d.heard))
    assert any(isinstance(m, agent.CallOff) and m.executors == (notice["executor"],) for m in alice.heard)


async def test_a_deferral_is_not_won_again_by_giving_another(running, site):
    slow(site)
    await running.service.watch.look()
    cluster, _, notice = await asked_back(running)
    await wish(running, cluster, notice["executor"], "later")
    swapped = await wish(running, cluster, notice["executor"], "another")
    (now,) = swapped.json["reclaims"]
    assert now["executor"] != notice["executor"]
    assert now["deferred"] is True
    assert (await wish(running, cluster, now["executor"], "later")).status == 409


async def test_what_is_not_asked_back_any_more_is_said(running):
    cluster, driver = await running.start()
    await driver.work(wanted=1)
    await running.until(cluster, lambda c: c["running"])
    answer = await wish(running, cluster, "0", "later")
    assert answer.status == 409
    assert answer.message == "Executor 0 is not asked back any more; there is nothing to do."


async def test_nobody_wishes_about_anothers_executors_not_even_an_admin(running, site):
    slow(site)
    await running.service.watch.look()
    cluster, _, notice = await asked_back(running)
    for who in ("bob", "admin"):
        assert (await wish(running, cluster, notice["executor"], "later", who=who)).status == 404
    assert (await wish(running, cluster, notice["executor"], "never")).status == 400


async def test_a_profile_says_for_how_many_executors_there_is_room(running):
    (before,) = (await running.call("GET", "api/profiles")).json["profiles"]
    assert (before["free"], before["room"], before["gang"]) == (4, 4, 1)
    _, driver = await running.start("bob")
    await driver.work(wanted=3)
    await driver.until(lambda d: len(d.executors) == 3)
    (after,) = (await running.call("GET", "api/profiles")).json["profiles"]
    assert (after["free"], after["room"]) == (1, 4)
