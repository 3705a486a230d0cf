"""Spark's own pages behind the hub's login, over a Spark that is a small server."""

import asyncio
import base64
import hmac
import json
from contextlib import suppress

import pytest
from emberhub.wire.agent import Endpoint, ShowUi
from emberhub.wire.driver import ui_key
from emberhub_spawner.fake import Script
from tornado.httpserver import HTTPServer
from tornado.iostream import StreamClosedError
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from tests.support.visiting import Browser


class Ui(RequestHandler):
    """Says what it was asked; redirects and streams as Spark's does."""

    def initialize(self, asked):
        self.asked = asked

    async def get(self):
        self.asked.append(self.request)
        self.request.sent, self.request.over = 0, asyncio.Event()
        self.set_header("Set-Cookie", "spark=1")
        self.set_header("Content-Security-Policy", "script-src 'nonce-1'")
        if self.request.path == "/":
            self.redirect(f"http://{self.request.host}{self.request.headers['X-Forwarded-Context']}/jobs/")
        elif self.request.path == "/large":
            for _ in range(64):
                self.write(b"x" * (1 << 16))
                await self.flush()
        elif self.request.path == "/huge":
            with suppress(StreamClosedError):
                while self.request.sent < HUGE:
                    self.write(b"x" * (1 << 18))
                    await self.flush()
                    self.request.sent += 1 << 18
            self.request.over.set()
        elif self.request.path == "/missing":
            self.send_error(404)
        else:
            self.finish(f"<p>{self.request.uri}</p>")


@pytest.fixture
async def ui():
    """The server, with what it was asked."""
    asked = []
    sockets = bind_sockets(0, "127.0.0.1")
    server = HTTPServer(Application([(".*", Ui, {"asked": asked})]))
    server.add_sockets(sockets)
    yield Endpoint("127.0.0.1", sockets[0].getsockname()[1]), asked
    server.stop()
    await server.close_all_connections()


async def test_the_owner_sees_the_pages_which_open_when_first_asked_for(site, ui):
    endpoint, asked = ui
    site.script = lambda _: Script(ui=endpoint)
    async with site.service() as running:
        cluster, driver = await running.start("alice")
        assert not any(isinstance(message, ShowUi) for message in driver.heard), "nobody has asked yet"
        alice = Browser(running, "alice")
        for name in (cluster, "main"):
            base = f"/services/emberhub/clusters/{name}/ui"
            first = await alice.get(f"clusters/{name}/ui")
            assert (first.code, first.headers["Location"]) == (302, f"{base}/")
            answer = await alice.get(f"clusters/{name}/ui/")
            assert (answer.code, answer.headers["Location"]) == (302, f"{base}/jobs/")
            answer = await alice.get(f"clusters/{name}/ui/stages/stage/?id=3&attempt=0")
            assert answer.body == b"<p>/stages/stage/?id=3&amp;attempt=0</p>" or b"/stages/stage/?id=3" in answer.body
            assert asked[-1].headers["X-Forwarded-Context"] == base
        assert [message for message in driver.heard if isinstance(message, ShowUi)] == [ShowUi()]
        assert len((await alice.get("clusters/main/ui/large")).body) == 4 << 20
        assert (await alice.get("clusters/main/ui/missing")).code == 404


async def test_nothing_of_the_visitor_reaches_spark_and_nothing_of_spark_the_page(site, ui):
    endpoint, asked = ui
    site.script = lambda _: Script(ui=endpoint)
    async with site.service() as running:
        cluster, driver = await running.start("alice")
        answer = await Browser(running, "alice").get(f"clusters/{cluster}/ui/jobs/")
        request = asked[-1]
        assert "Cookie" not in request.headers
        assert "alice-token" not in str(request.headers)
        header, claims, signature = request.headers["Authorization"].removeprefix("Bearer ").split(".")
        key = ui_key(driver.spec.connect_token)
        wanted = hmac.digest(key, f"{header}.{claims}".encode(), "sha256")
        assert base64.urlsafe_b64decode(signature + "=") == wanted
        assert json.loads(base64.urlsafe_b64decode(header + "=="))["alg"] == "HS256"
        assert "spark=1" not in str(answer.headers)
        policy, own = answer.headers.get_list("Content-Security-Policy")
        assert own == "script-src 'nonce-1'"
        here = f"http://127.0.0.1:{running.service.port}/services/emberhub/clusters/{cluster}/ui/"
        assert policy.startswith(f"connect-src {here} ")
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"


async def test_nobody_else_sees_them_but_admins_and_nobody_does_anything_there(site, ui, people):
    endpoint, asked = ui
    site.script = lambda _: Script(ui=endpoint)
    people["tess-token"] = people["bob-token"] | {"name": "tess", "groups": ["teachers"]}
    site.yaml.write_text(site.yaml.read_text() + "queues: {name: class, instructors: [teachers]}\n")
    async with site.service() as running:
        cluster, _ = await running.start("alice")
        where = f"clusters/{cluster}/ui/jobs/"
        for who in ("bob", "tess"):
            assert (await Browser(running, who).get(where)).code == 404, who
            assert (await Browser(running, who).get("clusters/main/ui/jobs/")).code == 404, who
        assert (await Browser(running, "nobody").get(where)).code == 302
        assert (await Browser(running, "alice").get(f"{where}?token=alice-token")).code == 400
        assert asked == []
        assert (await Browser(running, "admin").get(where)).code == 200
        alice = Browser(running, "alice")
        await alice.open()
        assert (await alice.act("POST", where, {})).status == 405


async def test_what_the_pages_load_comes_from_themselves_and_from_no_other_page(site, ui):
    endpoint, _ = ui
    site.script = lambda _: Script(ui=endpoint)
    async with site.service() as running:
        cluster, _ = await running.start("alice")
        alice = Browser(running, "alice")
        origin = running.base.rpartition("/services")[0]
        fetch = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}
        where = f"clusters/{cluster}/ui/api/v1/applications"
        inside = f"{running.base}clusters/{cluster}/ui/executors/"
        assert (await alice.get(where, **fetch, Referer=inside)).code == 200
        for referrer in (f"{origin}/user/bob/lab", running.base, "http://evil.example/", ""):
            assert (await alice.get(where, **fetch, Referer=referrer)).code == 401, referrer
        other = {**fetch, "Sec-Fetch-Site": "cross-site"}
        assert (await alice.get(where, **other, Referer=inside)).code == 401


async def test_a_cluster_that_does_not_run_or_whose_spark_is_silent_says_so_in_a_page(site, ui, monkeypatch):
    monkeypatch.setattr("emberhub_service.control.sparkui.PATIENCE", 0.3)
    async with site.service() as running:
        cluster, driver = await running.start("alice")
        alice = Browser(running, "alice")
        answer = await alice.get(f"clusters/{cluster}/ui/")
        assert answer.code == 504
        assert b"load this page again" in answer.body
        driver.ui = Endpoint("127.0.0.1", 1)
        await driver.report()
        assert (await alice.get(f"clusters/{cluster}/ui/")).code == 502
        await running.call("DELETE", f"api/clusters/{cluster}")
        await running.until(cluster, lambda c: c["state"] == "stopped")
        answer = await alice.get(f"clusters/{cluster}/ui/")
        assert answer.code == 409
        assert b"does not run" in answer.body


HUGE = 96 << 20


async def test_pages_come_no_faster_than_they_are_read(site, ui):
    endpoint, asked = ui
    site.script = lambda _: Script(ui=endpoint)
    received = ahead = 0

    async def read_slowly(chunk):
        nonlocal received, ahead
        received += len(chunk)
        ahead = max(ahead, asked[-1].sent - received)
        for _ in range(20):
            await asyncio.sleep(0)

    async with site.service() as running:
        cluster, _ = await running.start("alice")
        alice = Browser(running, "alice")
        await alice.get(f"clusters/{cluster}/ui/huge", streaming_callback=read_slowly)
    assert received == HUGE
    assert ahead < HUGE / 2


async def test_whoever_leaves_in_the_middle_leaves_nothing_behind(site, ui, caplog):
    endpoint, asked = ui
    site.script = lambda _: Script(ui=endpoint)

    async with site.service() as running:
        cluster, _ = await running.start("alice")
        lines = [f"GET /services/emberhub/clusters/{cluster}/ui/huge HTTP/1.1", "Host: localhost"]
        headers = Browser(running, "alice").headers(**{"Sec-Fetch-Mode": "navigate"})
        lines += [f"{name}: {value}" for name, value in headers.items()]
        reader, writer = await asyncio.open_connection("127.0.0.1", running.service.port)
        writer.write("\r\n".join([*lines, "", ""]).encode())
        assert (await reader.readline()).endswith(b" 200 OK\r\n")
        writer.close()
        await asyncio.wait_for(asked[-1].over.wait(), 30)
    assert asked[-1].sent == HUGE
    assert "Traceback" not in caplog.text
