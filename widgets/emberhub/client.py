"""My clusters: start one, find it again, use it, stop it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

import msgspec

from . import session as sessions
from .errors import ClusterFailed, EmberhubError, RequestRefused, ServiceUnavailable
from .http import ENV_PROFILE, Service, from_environment
from .notebook import widgets
from .notebook.feed import Feed
from .progress import Progress, progress
from .status import ENDED, Status, ended_line, ready_line, waiting_for
from .wire import rest

if TYPE_CHECKING:
    from pyspark.sql.connect.session import SparkSession

    from .channel import Move
    from .notebook.panel_widget import Panel

_TICK = 1
"""Seconds that one look may last: how often the progress line counts on."""
_FRESH = 2.0
"""Seconds for which `spark` trusts its last look at the cluster."""
_STOPPING = 60.0
"""Seconds that a cluster may take to stop, before it is started with another profile."""
_TIMEOUT = 300.0
"""Seconds that a parked cluster may take to come back."""


def cluster(
    profile: str | None = None,
    executors: tuple[int, int] | int | None = None,
    name: str = "main",
    conf: dict[str, str] | None = None,
    *,
    wait: bool = True,
    timeout: float = 300.0,
    quiet: bool = False,
) -> Cluster:
    """Start my cluster called `name`, or find it again if it runs: from any notebook, as often as you like.

    `executors` is `(min, max)`: the hub gives at least `min` and at most `max`, as there is work and room. A single
    number is the most. `profile` is one that the hub offers, `conf` holds `spark.*` settings that it allows; to
    change either, stop the cluster first. Returns when the cluster takes work, which may be before it has its first
    executor; with `wait=False`, at once. `timeout` is in seconds; `quiet` shows no progress line.

    Raises NotInHub outside a hub, RequestRefused for a wrong request, ServiceUnavailable while the hub's service is
    away, ClusterFailed if the cluster stops or is not ready in time.
    """
    service = from_environment()
    line = progress(quiet)
    ask = rest.CreateCluster(name=name, profile=profile, executors=_range(executors), conf=conf or {})
    mine = begin(service, ask, line, quiet=quiet, timeout=timeout)
    if wait:
        mine._wait(timeout, line)
    return mine


def begin(
    service: Service, ask: rest.CreateCluster, line: Progress, *, quiet: bool = False, timeout: float = 300.0
) -> Cluster:
    """Ask for a cluster, telling `line`, and do not wait for it. Raises RequestRefused, ServiceUnavailable."""
    line.say(f"Cluster {ask.name}: asking the hub")
    try:
        if ask.profile is None:
            ask = msgspec.structs.replace(ask, profile=_profile_of_server(service, ask.name, line))
        # Asking twice is asking once: the service finds the cluster again.
        seen = service.send("POST", "clusters", rest.Cluster, ask, patience=min(timeout, 60.0), tell=line.say)
    except EmberhubError:
        line.done(f"Cluster {ask.name}: not started")
        raise
    return Cluster(service, seen, quiet)


def clusters() -> list[Cluster]:
    """All my clusters, the stopped ones too. Raises as `cluster` does."""
    service = from_environment()
    return [Cluster(service, seen) for seen in service.get("clusters", rest.Clusters).clusters]


class Cluster:
    """One of my clusters. Made by `cluster()` and `clusters()`."""

    def __init__(self, service: Service, seen: rest.Cluster, quiet: bool = False) -> None:
        self._service = service
        self._seen = seen
        self._seen_at = time.monotonic()
        self._quiet = quiet
        self._session: SparkSession | None = None
        self._feed = Feed(service, seen)

    @property
    def name(self) -> str:
        """The name that I gave it."""
        return self._seen.name

    @property
    def id(self) -> str:
        """Its id, for ever."""
        return self._seen.id

    @property
    def spark(self) -> SparkSession:
        """Its Spark session (Spark Connect), the same one each time; a new one after the cluster was restarted.

        With no executor yet, a query waits for one. A cluster that was parked, stopped for want of work, comes back
        with its session's next query. Raises ClusterFailed if the cluster does not run.
        """
        live = self._session is not None and not self._session.is_stopped
        if not live or time.monotonic() - self._seen_at > _FRESH:
            try:
                self._look(patience=0 if live else 10)
            except (ServiceUnavailable, RequestRefused):
                # Queries need the driver, not the service: what is open stays in use while the service restarts, and
                # while a hub that restarts knows of no such service.
                if not live:
                    raise
        if self._seen.state in {"pending", "starting"}:
            self.wait()
        if self._session is not None and live and sessions.generation(self._session) >= self._seen.resumable:
            return self._session
        if self._seen.state not in {"running", "disconnected"}:
            if self._seen.generation < self._seen.resumable or self._seen.state == "failed":
                raise ClusterFailed(
                    f"{ended_line(self._seen)}. Start it again with emberhub.cluster(name={self.name!r})"
                )
            line = progress(self._quiet)
            self._start_again(line)
            self._wait(_TIMEOUT, line)
        if self._session is not None:
            sessions.drop(self._session)
        self._session = sessions.connect(self._connection(), self._seen, self._resume)
        if not self._quiet:
            from .notebook.bars import bars_for  # noqa: PLC0415 (a look at a cluster needs no bars)

            if (bars := bars_for(self._feed)) is not None:
                sessions.watch(self._session, bars)
        return self._session

    def _resume(self, generation: int) -> Move | None:
        """Where a session of this start goes on after a pause; None if it may stay. Raises ClusterFailed."""
        try:
            seen = self._look(patience=0)
        except (ServiceUnavailable, RequestRefused):
            return None  # Queries need the driver, not the service.
        ended = seen.state in {"stopping", "stopped", "failed"}
        if generation == seen.generation and not ended:
            return None
        if generation < seen.resumable:
            what = ended_line(seen) if ended else f"The cluster {self.name} was stopped, and started anew, since then"
            raise ClusterFailed(f"{what}. Get a new session with emberhub.cluster(name={self.name!r}).spark")
        line = progress(self._quiet)
        if ended:
            self._start_again(line)
        seen = self._until_ready(_TIMEOUT, line)
        here = f"Cluster {self.name} is back"
        back = f"{here}. {seen.restarted}".rstrip()
        from .channel import Move  # noqa: PLC0415 (needs Spark's client, which a session has loaded)

        return Move(
            self._connection(),
            seen.generation,
            lambda doing: line.say(f"{here}: {doing}"),
            lambda kept: line.done(f"{back} {kept}"),
        )

    def _start_again(self, line: Progress) -> None:
        line.say(f"Cluster {self.name} was parked: starting it again")
        ask = rest.CreateCluster(name=self.name)
        self._saw(self._service.send("POST", "clusters", rest.Cluster, ask, patience=60.0, tell=line.say))

    def _connection(self) -> rest.Connection:
        return self._service.get(f"{self._path}/connection", rest.Connection)

    def status(self) -> Status:
        """What it has, what it lacks and why. Raises RequestRefused, ServiceUnavailable."""
        return Status(self._look())

    def why(self) -> str:
        """Why it has no more executors, or why it does not run, in sentences."""
        return self.status().why()

    def scale(self, min: int, max: int) -> Status:  # noqa: A002 (what people call them)
        """Ask for at least `min` and at most `max` executors from now on. Raises RequestRefused, ServiceUnavailable."""
        body = rest.ScaleCluster(rest.ExecutorRange(min, max))
        return Status(self._saw(self._service.send("PATCH", self._path, rest.Cluster, body, patience=10)))

    def stop(self) -> None:
        """Stop it: its executors go to others, and what is cached in it is lost. `emberhub.cluster()` starts it again.

        Raises RequestRefused, ServiceUnavailable.
        """
        if self._session is not None:
            sessions.drop(self._session)
            self._session = None
        self._service.send("DELETE", self._path, bytes, patience=10)

    def panel(self) -> Panel:
        """A live view of it, for a notebook: what it has and lacks, and what can be done.

        Raises EmberhubError where ipywidgets and anywidget are not installed.
        """
        self._look()
        panel: Panel = widgets().Panel(self)
        return panel

    def _wish(self, executor: str, wish: Literal["later", "another"]) -> None:
        """What its user would rather have, as an executor is asked back."""
        path = f"{self._path}/reclaims/{quote(executor, safe='')}"
        self._saw(self._service.send("POST", path, rest.Cluster, rest.Wish(wish)))

    def _start(self, profile: str | None = None) -> None:
        """Start it again, with another profile if one is given."""
        if profile is not None:
            self.stop()
            seen, until = self._look(), time.monotonic() + _STOPPING
            while seen.state not in ENDED and time.monotonic() < until:
                seen = self._saw(
                    self._service.get(f"{self._path}?after={seen.version}&wait={_TICK}", rest.Cluster, wait=_TICK)
                )
        ask = rest.CreateCluster(name=self.name, profile=profile)
        self._saw(self._service.send("POST", "clusters", rest.Cluster, ask, patience=10))

    def wait(self, timeout: float = 300.0, quiet: bool = False) -> Cluster:
        """Wait until it takes work, for `timeout` seconds. Raises ClusterFailed, ServiceUnavailable."""
        self._wait(timeout, progress(quiet))
        return self

    @property
    def _path(self) -> str:
        return f"clusters/{quote(self.id, safe='')}"

    def _saw(self, seen: rest.Cluster) -> rest.Cluster:
        self._seen, self._seen_at = seen, time.monotonic()
        return seen

    def _look(self, patience: float = 30.0) -> rest.Cluster:
        return self._saw(self._service.get(self._path, rest.Cluster, patience=patience))

    def _wait(self, timeout: float, line: Progress) -> None:
        line.done(ready_line(self._until_ready(timeout, line)))

    def _until_ready(self, timeout: float, line: Progress) -> rest.Cluster:
        seen = self._seen
        while not seen.ready:
            if seen.state in ENDED:
                line.done(f"Cluster {self.name}: {seen.state}")
                raise ClusterFailed(f"{ended_line(seen)}. Start it again with emberhub.cluster(name={self.name!r})")
            if line.elapsed > timeout:
                line.done(f"Cluster {self.name}: not ready")
                raise ClusterFailed(
                    f"The cluster {self.name} is not ready after {timeout:.0f} s ({waiting_for(seen)}). It goes on "
                    "starting: call emberhub.cluster() again to go on waiting, or see emberhub.clusters()"
                )
            line.say(waiting_for(seen))
            path = f"{self._path}?after={seen.version}&wait={_TICK}"
            left = max(1.0, timeout - line.elapsed)
            seen = self._saw(self._service.get(path, rest.Cluster, wait=_TICK, patience=min(60.0, left), tell=line.say))
        return seen

    def __repr__(self) -> str:
        return repr(Status(self._seen))

    def _repr_html_(self) -> str:
        return Status(self._seen)._repr_html_()


def _profile_of_server(service: Service, name: str, line: Progress) -> str | None:
    """The profile picked when this notebook server was started, for a cluster that does not run; else None."""
    picked = os.environ.get(ENV_PROFILE)
    if not picked:
        return None
    mine = service.get("clusters", rest.Clusters, patience=60.0, tell=line.say).clusters
    running = any(each.name == name and each.state not in {"stopped", "failed"} for each in mine)
    return None if running else picked


def _range(executors: tuple[int, int] | int | None) -> rest.ExecutorRange | None:
    if executors is None:
        return None
    low, high = (0, executors) if isinstance(executors, int) else executors
    try:
        return msgspec.convert({"min": low, "max": high}, rest.ExecutorRange)
    except msgspec.ValidationError as error:
        raise ValueError(
            f"executors is {executors!r}: give a number, or (min, max) with whole numbers from 0 to "
            f"{rest.MAX_EXECUTORS} ({error})"
        ) from None
