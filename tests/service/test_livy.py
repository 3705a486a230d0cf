"""The Livy-compatible endpoint over drivers that the test speaks for: whose sessions they are, and what lasts."""

import asyncio

import msgspec
from emberhub.wire import agent, livy

IDLE = livy.SessionDocument("idle", ("a line",))


async def asked(driver, about, after=0):
    """The first question of this kind that the driver was asked from there on."""

    def questions():
        return [m for m in driver.heard[after:] if isinstance(m, agent.Question) and isinstance(m.about, about)]

    await driver.until(lambda _: bool(questions()))
    return questions()[0]


async def answered(driver, request, about, document, status=200):
    """What a client hears, as the driver answers the question that its request becomes."""
    after = len(driver.heard)
    waiting = asyncio.ensure_future(request)
    question = await asked(driver, about, after)
    await driver.say(agent.Answer(question.number, msgspec.Raw(msgspec.json.encode(document)), status))
    return await waiting, question


async def a_session(running, who="alice", **body):
    made = await running.call("POST", "livy/sessions", {"kind": "pyspark", **body}, who=who)
    assert made.status == 201, made.text
    return made.json["id"]


async def test_a_session_starts_its_users_cluster_and_is_asked_of_its_driver(running):
    made = await running.call("POST", "livy/sessions", {"kind": "pyspark", "heartbeatTimeoutInSecond": 60})
    assert (made.status, made.json["state"], made.json["kind"], made.json["owner"]) == (
        201,
        "starting",
        "pyspark",
        "alice",
    )
    number = made.json["id"]
    clusters = (await running.call("GET", "api/clusters")).json["clusters"]
    assert [each["name"] for each in clusters] == ["main"]
    _, driver = await running.start()
    shown, question = await answered(driver, running.call("GET", f"livy/sessions/{number}"), livy.Show, IDLE)
    assert question.about == livy.Show(60.0)
    assert (shown.json["state"], shown.json["log"], shown.json["id"]) == ("idle", ["a line"], number)
    statement = livy.Statement(0, "1 + 1", "running", progress=0.5)
    request = running.call("POST", f"livy/sessions/{number}/statements", {"code": "1 + 1"})
    ran, question = await answered(driver, request, livy.Run, statement, 201)
    assert (question.session, question.about) == (number, livy.Run("1 + 1", "pyspark"))
    assert (ran.status, ran.json) == (201, msgspec.to_builtins(statement))


async def test_only_the_owner_reaches_a_session_and_only_with_a_token(running):
    number = await a_session(running)
    for who in ("bob", "admin", "robot"):
        for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/log"), ("GET", "/statements/0")):
            refused = await running.call(method, f"livy/sessions/{number}{path}", who=who)
            assert (refused.status, refused.message[:21]) == (404, f"You have no session {number}"), (who, path)
        listed = await running.call("GET", "livy/sessions", who=who)
        assert listed.json == {"from": 0, "total": 0, "sessions": []}
    assert (await running.call("GET", "livy/sessions", who=None)).status == 401
    assert (await running.call("POST", "livy/sessions", {"kind": "pyspark"}, who="robot")).status == 403


async def test_what_is_not_offered_is_refused_with_a_sentence(running):
    for kind in ("spark", "sparkr", "shared"):
        refused = await running.call("POST", "livy/sessions", {"kind": kind})
        assert (refused.status, "choose the kind pyspark" in refused.message) == (400, True)
    refused = await running.call("POST", "livy/sessions", {"kind": "pyspark", "proxyUser": "bob"})
    assert (refused.status, refused.message) == (400, "proxyUser: that cannot be chosen here; leave it out.")
    refused = await running.call("POST", "livy/sessions", {"conf": {"spark.master": "local"}})
    assert refused.status == 400
    assert "spark.master" in refused.message
    assert (await running.call("GET", "api/clusters")).json["clusters"] == []
    number = await a_session(running, executorMemory="8G", numExecutors=50)
    _, driver = await running.start()
    shown, _ = await answered(driver, running.call("GET", f"livy/sessions/{number}"), livy.Show, IDLE)
    assert shown.json["log"][0] == "Not taken over, since the cluster's profile decides: executorMemory, numExecutors."


async def test_there_are_four_sessions_at_most(running):
    numbers = [await a_session(running) for _ in range(4)]
    refused = await running.call("POST", "livy/sessions", {"kind": "pyspark"})
    assert refused.status == 400
    assert refused.message.startswith(f"You have 4 sessions ({', '.join(map(str, numbers))})")
    assert await a_session(running, "bob") not in numbers


async def test_a_session_ends_with_its_cluster_and_says_so(running):
    number = await a_session(running)
    cluster, _ = await running.start()
    await running.call("DELETE", f"api/clusters/{cluster}")
    seen = (await running.call("GET", f"livy/sessions/{number}")).json
    assert (seen["state"], seen["log"][0]) == ("dead", "The cluster main has ended. It was stopped by alice.")
    await running.until(cluster, lambda c: c["state"] == "stopped")
    again = await a_session(running)
    assert again > number
    gone = await running.call("GET", f"livy/sessions/{number}")
    assert (gone.status, "Start another" in gone.message) == (404, True)
    await running.start()
    assert (await running.call("GET", "livy/sessions?size=0")).json["total"] == 1


async def test_a_restart_of_the_service_loses_no_session(site):
    async with site.service() as first:
        _, driver = await first.start()
        number = await a_session(first)
        port = first.service.port
    async with site.service(port) as second:
        early = await second.call("GET", f"livy/sessions/{number}")
        assert early.status in (200, 503)
        await second.start()
        driver = next(iter(second.backend.drivers.values()))
        done = livy.Statement(0, "a", "available", livy.Output("ok", 0, data={"text/plain": "1"}), 1.0)
        request = second.call("GET", f"livy/sessions/{number}/statements/0")
        read, _ = await answered(driver, request, livy.Read, done)
        assert read.json["output"]["data"] == {"text/plain": "1"}


async def test_what_another_driver_says_is_nobody_s_answer(running):
    number = await a_session(running)
    _, driver = await running.start()
    theirs, other = await running.start("bob")
    waiting = asyncio.ensure_future(running.call("GET", f"livy/sessions/{number}"))
    question = await asked(driver, livy.Show)
    forged = livy.SessionDocument("dead", ("forged",))
    await other.say(agent.Answer(question.number, msgspec.Raw(msgspec.json.encode(forged)), 200))
    await other.work(wanted=1)
    await running.until(theirs, lambda c: c["running"], who="bob")
    assert not waiting.done()
    await driver.say(agent.Answer(question.number, msgspec.Raw(msgspec.json.encode(IDLE)), 200))
    assert (await waiting).json["log"] == ["a line"]
