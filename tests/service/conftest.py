"""A real service on a real port, over a fake backend, with a stub of the hub that knows a few tokens."""

import asyncio
import json
import logging
from contextlib import asynccontextmanager

import pytest
from emberhub_service.api.identity import ACCESS
from emberhub_service.service import Service
from emberhub_spawner.fake import FakeBackend, Script
from jupyterhub.services.auth import HubOAuth
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

PEOPLE = {
    "alice-token": {"kind": "user", "name": "alice", "groups": ["students"], "scopes": [ACCESS]},
    "bob-token": {"kind": "user", "name": "bob", "groups": [], "scopes": [ACCESS]},
    "carol-token": {"kind": "user", "name": "carol", "groups": [], "scopes": [ACCESS]},
    "admin-token": {"kind": "user", "name": "root", "groups": [], "admin": True, "scopes": [ACCESS, "admin:users"]},
    "scopeless-token": {"kind": "user", "name": "alice", "groups": [], "scopes": ["access:servers!user=alice"]},
    "robot-token": {"kind": "service", "name": "alice", "scopes": [ACCESS, "read:metrics"]},
}

FAST = """
pools: [{name: main, cores: 4, memory: 4G}]
profiles: [{name: small, title: Small, executor: {cores: 1, memory: 1G}, executors: {min: 0, max: 4}, default: true}]
rules: {rotation_quantum: 2s, min_hold: 0s, idle_after: 1s, reclaim_notice: 300ms, stop_after: 30m, deferral: 500ms}
heartbeat: 500ms
lease: 3s
"""


class Whoami(RequestHandler):
    """The hub's `/hub/api/user`."""

    def get(self):
        model = PEOPLE.get(self.request.headers.get("Authorization", "").removeprefix("token "))
        if model is None:
            self.set_status(403)
            self.finish({"status": 403, "message": "Forbidden"})
            return
        self.finish(json.dumps(model))


class Users(RequestHandler):
    """The hub's `/hub/api/users`: who has a server."""

    def initialize(self, place):
        self.place = place

    def get(self):
        assert self.request.headers["Authorization"] == "token service-token"
        assert self.get_query_argument("state") == "active"
        self.finish(json.dumps([{"name": name, "kind": "user"} for name in self.place.active]))


class Answer:
    def __init__(self, response):
        self.status = response.code
        self.headers = response.headers
        self.text = response.body.decode()

    @property
    def json(self):
        return json.loads(self.text)

    @property
    def message(self):
        """The sentence of a Problem; fails for anything else."""
        problem = self.json
        assert set(problem) == {"status", "message"}
        assert problem["status"] == self.status
        assert self.headers["Content-Type"] == "application/json"
        return problem["message"]


class Running:
    """One service, and requests to it."""

    def __init__(self, service, backend):
        self.service = service
        self.backend = backend
        self.base = f"http://127.0.0.1:{service.port}{service.prefix}"
        self.http = AsyncHTTPClient(force_instance=True)

    async def call(self, method, path, body=None, *, who="alice", headers=None, raw=None):
        given = {"Authorization": f"token {who}-token"} if who else {}
        data = raw if raw is not None else (None if body is None else json.dumps(body))
        response = await self.http.fetch(
            HTTPRequest(
                self.base + path,
                method=method,
                headers={**given, **(headers or {})},
                body=data,
                allow_nonstandard_methods=True,
                request_timeout=60,
            ),
            raise_error=False,
        )
        return Answer(response)

    async def start(self, who="alice", **body):
        """A cluster of this user, and its driver once it is connected."""
        answer = await self.call("POST", "api/clusters", body, who=who)
        assert answer.status in (200, 201), answer.text
        cluster = await self.until(answer.json["id"], lambda c: c["ready"], who=who)
        return cluster["id"], self.backend.drivers[cluster["id"]]

    async def until(self, cluster, true, who="alice", seconds=15):
        """The cluster's view, once something holds of it: by long polling, as clients do."""
        after, view = 0, None
        try:
            async with asyncio.timeout(seconds):
                while True:
                    view = (await self.call("GET", f"api/clusters/{cluster}?after={after}&wait=30", who=who)).json
                    if true(view):
                        return view
                    after = view["version"]
        except TimeoutError:
            raise AssertionError(f"did not come true within {seconds} s; at the end: {view}") from None

    async def stop(self):
        self.http.close()
        await self.service.stop()


class Site:
    """A place for services, one after another, over the same records and drivers."""

    def __init__(self, path, hub_url):
        self.path = path
        self.hub_url = hub_url
        self.yaml = path / "emberhub.yaml"
        self.yaml.write_text(FAST)
        self.script = lambda spec: Script()
        self.backends = []
        self.active = ["alice", "bob"]
        """Who has a notebook server."""

    def set(self, old, new):
        """Change the site's file."""
        text = self.yaml.read_text()
        assert old in text
        self.yaml.write_text(text.replace(old, new))

    def _script(self, spec):
        return self.script(spec)

    @asynccontextmanager
    async def service(self, port=0):
        def make_backend(directory, pools):
            backend = FakeBackend(directory=directory, pools=pools)
            backend.script = self._script
            self.backends.append(backend)
            return backend

        service = Service(
            site=self.yaml,
            state_dir=self.path / "state",
            make_backend=make_backend,
            auth=HubOAuth(
                api_url=self.hub_url,
                api_token="service-token",
                base_url="/services/emberhub/",
                oauth_client_id="service-emberhub",
                access_scopes={ACCESS},
                cache_max_age=60,
            ),
            host="127.0.0.1",
            port=port,
        )
        await service.start()
        running = Running(service, service.backend)
        try:
            yield running
        finally:
            await running.stop()


@pytest.fixture
def people():
    """Whom the hub knows, by token; what a test changes is undone after it."""
    before = dict(PEOPLE)
    yield PEOPLE
    PEOPLE.clear()
    PEOPLE.update(before)


@pytest.fixture
async def site(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    sockets = bind_sockets(0, "127.0.0.1")
    place = Site(tmp_path, f"http://127.0.0.1:{sockets[0].getsockname()[1]}/hub/api")
    hub = HTTPServer(Application([("/hub/api/user", Whoami), ("/hub/api/users", Users, {"place": place})]))
    hub.add_sockets(sockets)
    yield place
    for backend in place.backends:
        await backend.shutdown()
    hub.stop()
    await hub.close_all_connections()


@pytest.fixture
async def running(site):
    async with site.service() as service:
        yield service
