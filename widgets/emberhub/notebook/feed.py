"""News of one cluster, as they happen: the service holds a request open until there is something to tell."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from ..errors import EmberhubError, ServiceUnavailable
from ..http import Service
from ..wire import rest

HOLD = 25.0
"""Seconds for which the service may hold a request open."""
PAUSE = 0.25
"""Seconds between two looks at a busy cluster: four a second."""
RETRY = 2.0
"""Seconds before the next attempt while the service is away."""


@dataclass(frozen=True)
class News:
    """What was last heard."""

    cluster: rest.Cluster
    problem: str = ""
    """Why nothing newer can be heard, as a sentence; empty while all is well."""


Listener = Callable[[News], None]


class Feed:
    """Tells its listeners, from one thread, what changes about a cluster. Nothing is asked while nobody listens."""

    def __init__(self, service: Service, seen: rest.Cluster) -> None:
        self._service, self._news = service, News(seen)
        self._path = f"clusters/{quote(seen.id, safe='')}"
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        self._wake = threading.Event()
        self._runs = False

    @property
    def news(self) -> News:
        """What was last heard."""
        return self._news

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell this listener from now on; returns what ends it."""
        with self._lock:
            self._listeners.append(listener)
            if not self._runs:
                self._runs = True
                threading.Thread(target=self._run, name="emberhub-feed", daemon=True).start()

        def leave() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)
            self._wake.set()

        return leave

    def _wanted(self) -> bool:
        with self._lock:
            self._runs = bool(self._listeners)
            return self._runs

    def _run(self) -> None:
        after = -1
        while self._wanted():
            self._wake.clear()
            pause, wait = PAUSE, HOLD if after >= 0 else 0.0
            query = f"?after={after}&wait={wait:g}" if wait else ""
            try:
                seen = self._service.get(self._path + query, rest.Cluster, wait=wait, patience=0)
            except ServiceUnavailable as away:
                news, after, pause = (
                    News(self._news.cluster, f"{away.what}. It is asked again every {RETRY:g} s"),
                    -1,
                    RETRY,
                )
            except EmberhubError as error:
                news, after, pause = News(self._news.cluster, str(error)), -1, 10 * RETRY
            else:
                # The service answers in the end though nothing has changed.
                news = self._news if seen.version == after and not self._news.problem else News(seen)
                after = seen.version
            if news is not self._news:
                self._news = news
                self._tell(news)
            self._wake.wait(pause)

    def _tell(self, news: News) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener(news)
