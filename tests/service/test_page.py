"""The hub's page: who is let in, and what each is sent."""

import asyncio
import re
from contextlib import AsyncExitStack

import pytest
from emberhub_service.web.feed import PAUSE
from tornado.httpclient import HTTPClientError

from tests.support.visiting import Browser

SITE = """
pools: [{name: main, cores: 6, memory: 12G}]
queues:
  name: everyone
  children:
    - {name: class, guaranteed: {cores: 2, memory: 2G}, groups: [students], instructors: [teachers]}
    - {name: research, max: {cores: 4}}
profiles: [{name: small, title: Small, executor: {cores: 1, memory: 1G}, executors: {min: 0, max: 4}, default: true}]
rules: {rotation_quantum: 2s, min_hold: 0s, idle_after: 30s, reclaim_notice: 300ms}
heartbeat: 500ms
lease: 3s
"""


@pytest.fixture
def site(site, people):
    """Alice and dora are students, bob does research, tess teaches the class."""
    for name, groups in (("dora", ["students"]), ("tess", ["teachers"])):
        people[f"{name}-token"] = people["bob-token"] | {"name": name, "groups": groups}
    site.yaml.write_text(SITE)
    return site


async def opened(running, who):
    browser = Browser(running, who)
    await browser.open()
    return browser


async def busy_class(running):
    """Alice, bob and dora at work, with two executors each."""
    clusters = {}
    for who in ("alice", "bob", "dora"):
        clusters[who], driver = await running.start(who)
        await driver.work(2)
        await running.until(clusters[who], lambda c: len(c["running"]) == 2, who=who)
    return clusters


async def test_without_a_login_the_page_sends_the_browser_to_the_hub_and_tells_nothing(running):
    await running.start("alice")
    stranger = Browser(running, "stranger")
    for cookies in ({}, {"service-emberhub": "forged"}, stranger.cookies):
        stranger.cookies = cookies
        answer = await stranger.get()
        assert answer.code == 302
        assert answer.headers["Location"].startswith("/hub/api/oauth2/authorize?client_id=service-emberhub")
        assert b"alice" not in answer.body
        refused = await stranger.act("GET", "api/clusters")
        assert refused.status == 401, refused.text
        with pytest.raises(HTTPClientError) as wrong:
            async with stranger.live():
                pass
        assert wrong.value.code == 401


async def test_the_slash_at_the_end_may_be_left_out(running):
    answer = await running.http.fetch(running.base.rstrip("/"), follow_redirects=False, raise_error=False)
    assert (answer.code, answer.headers["Location"]) == (302, "/services/emberhub/")


async def test_who_lacks_the_scope_is_told_so_in_a_page(running):
    answer = await Browser(running, "scopeless").get()
    assert answer.code == 403
    assert answer.headers["Content-Type"].startswith("text/html")
    assert b"Ask your administrator for access" in answer.body


async def test_the_page_allows_nothing_inline_and_no_frame_around_it(running):
    browser = Browser(running, "alice")
    answer = await browser.get()
    policy = dict(part.split(None, 1) for part in answer.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    text = answer.body.decode()
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=|javascript:", text) == []
    cookies = answer.headers.get_list("Set-Cookie")
    assert [cookie for cookie in cookies if "httponly" not in cookie.lower()] == []
    files = re.findall(r'(?:src|href)="/services/emberhub/(static/[^"]+)"', text)
    assert files
    for file in files:
        assert (await browser.get(file)).code == 200, file
    assert (await browser.get("static/../pages.py")).code == 404


async def test_each_is_sent_their_own_and_of_others_only_numbers(site):
    async with site.service() as running:
        clusters = await busy_class(running)
        alice = await opened(running, "alice")
        async with alice.live() as seen:
            await seen.until(lambda s: s.pool is not None)
            assert (seen.me["name"], seen.me["admin"], seen.me["instructs"]) == ("alice", False, [])
            assert list(seen.rows) == [clusters["alice"]]
            assert [(h["user"], h["executors"]) for h in seen.pool["holders"]] == [("", 2)] * 3
            assert not {"bob", "dora", clusters["bob"], clusters["dora"]} & set(re.findall(r"[\w-]+", seen.text))


async def test_with_show_names_everybody_sees_who_has_what_and_still_no_cluster_of_others(site):
    site.set("heartbeat:", "show_names: true\nheartbeat:")
    async with site.service() as running:
        clusters = await busy_class(running)
        alice = await opened(running, "alice")
        async with alice.live() as seen:
            await seen.until(lambda s: s.pool is not None)
            assert seen.names() == ["alice", "bob", "dora"]
            assert list(seen.rows) == [clusters["alice"]]


async def test_an_instructor_sees_the_class_and_changes_it_and_nothing_else(site):
    async with site.service() as running:
        clusters = await busy_class(running)
        tess = await opened(running, "tess")
        async with tess.live() as seen:
            await seen.until(lambda s: s.pool is not None)
            assert seen.me["instructs"] == ["class"]
            assert seen.users() == ["alice", "dora"]
            assert seen.names() == ["", "alice", "dora"]
            assert "bob" not in seen.text
            hers, his = f"api/clusters/{clusters['alice']}", f"api/clusters/{clusters['bob']}"
            smaller = {"executors": {"min": 0, "max": 1}}
            assert (await tess.act("PATCH", hers, smaller)).status == 200
            await seen.until(lambda s: s.rows[clusters["alice"]]["executors"]["max"] == 1)
            assert (await tess.act("DELETE", hers)).status == 200
            await seen.until(lambda s: s.rows[clusters["alice"]]["state"] == "stopped")
            assert seen.rows[clusters["alice"]]["message"] == "It was stopped by tess."
            for method, body in (("GET", None), ("PATCH", smaller), ("DELETE", None)):
                assert (await tess.act(method, his, body)).status == 404
            assert (await tess.act("GET", f"api/clusters/{clusters['dora']}/connection")).status == 404
            assert (await tess.act("GET", "api/pool/snapshot")).status == 403
            listed = (await tess.act("GET", "api/clusters?all=1")).json["clusters"]
            assert sorted(cluster["user"] for cluster in listed) == ["alice", "dora"]


async def test_an_admin_sees_all_with_reasons_and_the_queues_with_what_they_borrow(site):
    async with site.service() as running:
        clusters = await busy_class(running)
        await running.backend.drivers[clusters["dora"]].work(4)
        admin = await opened(running, "admin")
        async with admin.live() as seen:
            await seen.until(lambda s: s.pool is not None and any(row["unmet"] for row in s.rows.values()))
            assert seen.users() == seen.names() == ["alice", "bob", "dora"]
            row = seen.rows[clusters["dora"]]
            assert row["unmet"]["executors"] == 2
            assert row["unmet"]["reason"].endswith(".")
            assert row["fair"] == 2
            tree = seen.pool["queues"]
            used = {queue["name"]: (queue["used"], queue["borrowed"]) for queue in tree["children"]}
            two, four = ({"millicores": 1000 * n, "memory": n << 30} for n in (2, 4))
            assert used == {"class": (four, two), "research": (two, two)}
            assert tree["used"]["millicores"] == 6000
            assert tree["lacking"] == 2
            site.yaml.write_text("pools: 7")
            await seen.until(lambda s: "pools" in s.pool["config_error"], 15)


async def test_a_page_is_sent_what_changes_a_few_times_a_second_at_most_and_nothing_when_nothing_does(site):
    async with site.service() as running:
        cluster, driver = await running.start("alice")
        alice = await opened(running, "alice")
        async with alice.live() as seen:
            await seen.until(lambda s: s.rows and s.rows[cluster]["state"] == "running")
            while await seen.hear(4 * PAUSE):
                pass
            assert not await seen.hear(8), "nothing changes, and nothing is sent"
            before, loop = seen.messages, asyncio.get_running_loop()
            started = loop.time()
            for wanted in [1, 2, 3] * 10:
                await driver.work(wanted)
                await asyncio.sleep(0.02)
            await seen.until(lambda s: s.rows[cluster]["wanted"] == 3)
            assert seen.messages - before <= (loop.time() - started) / PAUSE + 2


async def test_the_socket_tells_nothing_without_the_pages_token_or_to_another_sites_page(running):
    await running.start("alice")
    alice = await opened(running, "alice")
    other = await opened(running, "bob")
    for hello in ({"xsrf": ""}, {"xsrf": other.xsrf}, {}, ["xsrf"], {"xsrf": 7}):
        async with alice.live(hello) as seen:
            assert not await seen.hear()
            assert seen.socket.close_code == 4401
    for origin, query, status in (("http://evil.example", "", 403), (None, "?token=alice-token", 400)):
        with pytest.raises(HTTPClientError) as wrong:
            async with alice.live(origin=origin, query=query):
                pass
        assert wrong.value.code == status


async def test_a_cookie_alone_changes_nothing_and_reads_nothing(running):
    cluster, _ = await running.start("alice")
    alice, bob = await opened(running, "alice"), await opened(running, "bob")
    path = f"api/clusters/{cluster}"
    for method, where in (("GET", "api/clusters"), ("DELETE", path)):
        for token in ("", bob.xsrf, "guess"):
            answer = await alice.act(method, where, **{"X-XSRFToken": token})
            assert answer.status == 401, (method, token)
    assert (await bob.act("DELETE", path)).status == 404
    assert (await alice.act("GET", path)).json["state"] == "running"
    assert (await alice.act("DELETE", path)).status == 200


async def test_who_has_logged_out_is_sent_nothing_more(running, people, monkeypatch):
    monkeypatch.setattr("emberhub_service.web.pages._HELLO", 0.2)
    monkeypatch.setattr("emberhub_service.web.pages._RECHECK", 0.2)
    alice = await opened(running, "alice")
    async with alice.live() as seen:
        await seen.until(lambda s: s.pool is not None)
        del people["alice-token"]
        while await seen.hear():
            pass
        assert seen.socket.close_code == 4401


async def test_nobody_opens_pages_without_end(running, monkeypatch):
    monkeypatch.setattr("emberhub_service.web.feed.MOST_PAGES", 2)
    alice, bob = await opened(running, "alice"), await opened(running, "bob")
    async with alice.live() as first, alice.live() as second:
        assert await first.hear()
        assert await second.hear()
        async with alice.live() as third:
            assert not await third.hear()
            assert third.socket.close_code == 4429
        async with bob.live() as other:
            assert await other.hear()
    async with alice.live() as later:
        assert await later.hear()


async def test_a_page_that_asks_whether_anybody_is_there_is_answered_and_told_when_the_service_ends(site):
    async with AsyncExitStack() as stack:
        async with site.service() as running:
            alice = await opened(running, "alice")
            seen = await stack.enter_async_context(alice.live())
            await seen.until(lambda s: s.pool is not None)
            await seen.socket.write_message("{}")
            assert await seen.hear()
            assert seen.text.endswith("{}")
        while await seen.hear():
            pass
        assert seen.text.endswith('{"bye":true}')


async def test_a_login_outlives_the_service(site):
    async with site.service() as running:
        alice = await opened(running, "alice")
        port = running.service.port
    async with site.service(port) as running:
        alice.running = running
        assert (await alice.act("GET", "api/clusters")).status == 200


async def test_what_a_page_is_told_of_names_is_text_in_it(running, people):
    people["hostile-token"] = people["bob-token"] | {"name": '<b onclick="x">'}
    text = await Browser(running, "hostile").open()
    assert "<b" not in text.replace("<body", "").replace("<button", "")
    assert "&lt;b onclick" in text


async def test_what_is_decided_and_done_is_told_to_admins_and_is_there_after_a_restart(site):
    async with site.service() as running:
        cluster, driver = await running.start("alice")
        admin, alice = await opened(running, "admin"), await opened(running, "alice")
        async with admin.live() as seen, alice.live() as other:
            await driver.work(2)
            await running.until(cluster, lambda c: len(c["running"]) == 2)
            await running.call("PATCH", f"api/clusters/{cluster}", {"executors": {"min": 0, "max": 3}})
            await running.call("DELETE", f"api/clusters/{cluster}", who="admin")
            await seen.until(lambda s: any(event["kind"] == "stopped" for event in s.events))
            told = [(event["kind"], event["actor"], event["text"]) for event in seen.events]
            assert told[0] == ("start", "alice", "It was asked for: 0 to 4 executors.")
            assert ("running", "", "Its driver takes work.") in told
            assert ("scale", "alice", "It may have 0 to 3 executors.") in told
            assert told[-2:] == [
                ("stop", "root", "It was stopped by root."),
                ("stopped", "", "It was stopped by root."),
            ]
            granted = [event for event in seen.events if event["kind"] == "grant"]
            assert granted
            assert (granted[0]["user"], granted[0]["cluster"], bool(granted[0]["rule"])) == ("alice", cluster, True)
            assert [event["id"] for event in seen.events] == sorted({event["id"] for event in seen.events})
            await other.until(lambda s: any(row["state"] == "stopped" for row in s.rows.values()))
            assert "events" not in other.text
        before = (await running.call("GET", "api/events?most=200", who="admin")).json["events"]
        assert (await running.call("GET", "api/events", who="alice")).status == 403
    async with site.service() as running:
        after = (await running.call("GET", f"api/events?before={before[3]['id']}&most=2", who="admin")).json["events"]
        assert after == before[4:6]
