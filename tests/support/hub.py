"""A real hub, started as an operator would, with people who log in over HTTP and use the real client."""

from __future__ import annotations

import functools
import http.cookiejar
import json
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import emberhub
import msgspec
import psutil
import pytest
from emberhub.wire import rest
from emberhub_service.commands import leftovers

from .processes import line_of

T = TypeVar("T")


def eventually(look: Callable[[], T], what: str, within: float = 60.0, seen_last: Callable[[], object] = str) -> T:
    """Wait until `look` returns something true, and return that. After so many seconds, fail with what is seen then."""
    until = time.monotonic() + within
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < until, f"not within {within:g} s: {what}\n{seen_last()}"
        time.sleep(0.1)


def a_site(executors: int, rest: str = "") -> str:
    """A site file with so many executors of one core to share, which start as quickly as they can."""
    return f"""
pools: [{{name: main, cores: {executors}, memory: {executors}G}}]
profiles:
  - name: small
    executor: {{cores: 1, memory: 1G}}
    executors: {{min: 0, max: {executors}}}
    conf: {{spark.executor.extraJavaOptions: "-XX:TieredStopAtLevel=1"}}
{rest}"""


class Place(Protocol):
    """Where people are: a hub, or a service by itself."""

    service: str

    def make_token(self, user: str) -> str: ...


class Person:
    """Somebody who has logged in, with a token of their own."""

    def __init__(self, hub: Place, name: str) -> None:
        self.hub, self.name = hub, name
        self.token = hub.make_token(name)

    def cluster(self, **options: Any) -> emberhub.Cluster:
        """What `emberhub.cluster()` gives in this person's notebook."""
        with self.environment():
            return emberhub.cluster(**{"quiet": True, **options})

    def see(self, cluster: emberhub.Cluster) -> rest.Cluster:
        """The cluster as the API shows it."""
        status, body = self.ask("GET", f"clusters/{cluster.id}")
        assert status == 200, body
        return msgspec.convert(body, rest.Cluster)

    def ask(self, method: str, path: str, body: Any = None, *, under: str = "api") -> tuple[int, Any]:
        """Status and body of one request to the API."""
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.hub.service}/{under}/{path}",
            method=method,
            data=data,
            headers={"Authorization": f"token {self.token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                text = error.read()
                # Where the service is away, the hub's proxy answers with a page of its own.
                return error.code, text if text.lstrip().startswith(b"<") else json.loads(text or b"null")

    @contextmanager
    def environment(self) -> Iterator[None]:
        """The variables that this person's notebook server has."""
        mine = {"EMBERHUB_URL": self.hub.service, "JUPYTERHUB_API_TOKEN": self.token}
        with pytest.MonkeyPatch.context() as patch:
            for key, value in mine.items():
                patch.setenv(key, value)
            yield


def log_in(url: str, user: str, password: str) -> tuple[urllib.request.OpenerDirector, http.cookiejar.CookieJar]:
    """Log in with the password over HTTP, as a browser does that knows no scripts."""
    jar = http.cookiejar.CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    with browser.open(f"{url}/hub/login", timeout=60):
        pass
    form = {"username": user, "password": password, "_xsrf": _xsrf(jar)}
    with browser.open(f"{url}/hub/login?next=/hub/token", urllib.parse.urlencode(form).encode(), timeout=60):
        pass
    return browser, jar


def ask_for_token(url: str, user: str, password: str) -> str:
    """Log in, and make a token as the hub's token page does."""
    browser, jar = log_in(url, user, password)
    request = urllib.request.Request(
        f"{url}/hub/api/users/{user}/tokens",
        data=json.dumps({"note": "test"}).encode(),
        headers={"X-XSRFToken": _xsrf(jar), "Content-Type": "application/json"},
    )
    with browser.open(request, timeout=60) as answer:
        return str(json.load(answer)["token"])


def _xsrf(jar: http.cookiejar.CookieJar) -> str:
    return next(str(cookie.value) for cookie in jar if cookie.name == "_xsrf" and cookie.path.startswith("/hub"))


class Hub:
    """`emberhub up`, run as a process."""

    def __init__(self, directory: Path, site: str) -> None:
        self.state = directory / "state"
        self.site = directory / "emberhub.yaml"
        self.site.write_text(site)
        self.output = directory / "up.log"
        with self.output.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "emberhub", "up", "--port=0", f"--state={self.state}", f"--site={self.site}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            # The first hub on a machine prepares Java's archives first.
            text = eventually(self._welcome, "the hub tells its address", 300)
        except BaseException:
            self.end()
            raise
        self.url = next(line.split()[1] for line in text.splitlines() if line.split()[:1] == ["Open"])
        self.service = f"{self.url}/services/emberhub"

    def _welcome(self) -> str:
        assert self.process.poll() is None, self.output.read_text()
        text = self.output.read_text()
        return text if "Log in as" in text else ""

    def make_token(self, user: str) -> str:
        """A token with which this person reaches the service."""
        return ask_for_token(self.url, user, self.password(user))

    def password(self, user: str) -> str:
        """What this person logs in with."""
        return (self.state / ("admin-password" if user == "admin" else "password")).read_text().strip()

    def look(self, user: str, path: str) -> str:
        """The text of a page, to somebody who has logged in with a browser."""
        browser, _ = log_in(self.url, user, self.password(user))
        with browser.open(f"{self.url}{path}", timeout=60) as answer:
            return str(answer.read().decode())

    @functools.cache  # noqa: B019 (a hub lives as long as the tests of its module)
    def person(self, name: str) -> Person:
        """Somebody who uses this hub."""
        return Person(self, name)

    def story(self) -> str:
        """What the hub and its service have said, and every cluster as the service sees it."""
        clusters = self.person("admin").ask("GET", "clusters?all=1")[1]
        return f"{self.output.read_text()[-10_000:]}\n{json.dumps(clusters, indent=1)}"

    def processes(self) -> list[psutil.Process]:
        """Everything that this hub has started, by the mark in its environment."""
        return leftovers.processes(self.state)

    def service_process(self) -> psutil.Process | None:
        """The service's process, if it runs."""
        return next((each for each in self.processes() if line_of(each)[1:3] == ["-m", "emberhub_service"]), None)

    def end(self) -> None:
        """Ctrl-C, and nothing may be left."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(120)
        finally:
            left = self.processes()
            for process in left:
                process.kill()
        assert left == [], f"left behind: {left}"


class Work:
    """Keeps a cluster busy, in a thread of its own, with queries whose every task counts once in the result."""

    def __init__(
        self,
        cluster: emberhub.Cluster,
        tasks: int,
        seconds: float,
        *,
        again: bool = False,
        query: Callable[[emberhub.Cluster, int, float], int] | None = None,
    ) -> None:
        """One query of `tasks` tasks of `seconds` each; with `again`, one after another until `finish`."""
        self.queries = 0
        self._error: BaseException | None = None
        self._enough = not again
        self._ask = (cluster, tasks, seconds)
        self._query = query or busy
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self.queries or not self._enough:
                assert self._query(*self._ask) == sum(range(self._ask[1]))
                self.queries += 1
        except BaseException as error:  # what went wrong is the test's to judge
            self._error = error

    def running(self) -> bool:
        """Whether it still runs. A query that failed fails the test at once."""
        if self._error is not None:
            raise AssertionError(f"the query failed: {self._error}") from self._error
        return self._thread.is_alive()

    def finish(self, within: float = 180.0) -> None:
        """Wait for the end of the present query."""
        self._enough = True
        self._thread.join(within)
        assert not self.running(), f"the query did not end within {within:g} s"


def busy(cluster: emberhub.Cluster, tasks: int, seconds: float) -> int:
    """Run `tasks` tasks of `seconds` each on the cluster, and return the sum of their numbers."""

    def nap(numbers: Iterator[Any]) -> Iterator[Any]:
        import time

        for each in numbers:
            time.sleep(seconds)
            yield each

    rows = cluster.spark.range(0, tasks, 1, tasks).mapInPandas(nap, "id long").collect()
    return sum(row.id for row in rows)


def doze(cluster: emberhub.Cluster, tasks: int, seconds: float) -> int:
    """As `busy`, without Python workers, whose start costs more than all else where executors come and go."""
    nap = f"reflect('java.lang.Thread', 'sleep', bigint({seconds * 1000:.0f})) AS slept"
    rows = cluster.spark.range(0, tasks, 1, tasks).selectExpr("id", nap).collect()
    return sum(row.id for row in rows)


def remember(cluster: emberhub.Cluster, marks: Path, partitions: int) -> Any:
    """A cached table, each of whose partitions leaves a mark in a shared directory whenever it is computed."""
    directory = str(marks)

    def compute(rows: Iterator[Any]) -> Iterator[Any]:
        from pathlib import Path
        from uuid import uuid4

        for each in rows:
            for number in each.id:
                Path(directory, f"{number}-{uuid4().hex}").touch()
            yield each

    table = cluster.spark.range(0, partitions, 1, partitions).mapInPandas(compute, "id long").cache()
    assert table.count() == partitions
    return table
