"""Watch one user's cluster through the service's API, from outside the notebook."""

from __future__ import annotations

import threading

from emberhub.errors import EmberhubError
from emberhub.http import Service
from emberhub.wire import rest

_HOLD = 5
"""Seconds for which the service may hold back an answer that has no news."""


class Watch(threading.Thread):
    """Follows the first cluster that its user starts, and remembers the most executors that the hub granted it."""

    def __init__(self, service: Service) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self.last: rest.Cluster | None = None
        self.error = ""
        """Why it stopped watching before it was told to."""
        self._service = service
        self._over = threading.Event()
        self._news = threading.Condition()

    def run(self) -> None:
        """Watch until `stop`."""
        try:
            while not self._over.is_set():
                self._look()
        except EmberhubError as error:
            self.error = str(error)
        with self._news:
            self._news.notify_all()

    def stop(self) -> None:
        """Watch no longer."""
        self._over.set()

    def wait_until_given_back(self, seconds: float) -> int:
        """Wait for the cluster to hold no executor; returns how many it holds at the end of the wait."""
        with self._news:
            self._news.wait_for(lambda: self.held == 0 or bool(self.error), seconds)
            if self.error:
                raise EmberhubError(f"the service stopped answering: {self.error}")
            return self.held

    @property
    def held(self) -> int:
        """Executors that the cluster holds or has been promised, at the last look."""
        return 0 if self.last is None else max(self.last.granted, len(self.last.running))

    def _look(self) -> None:
        if self.last is None:
            found = self._service.get("clusters", rest.Clusters).clusters
            if not found:
                self._over.wait(0.25)
                return
            seen = found[0]
        else:
            path = f"clusters/{self.last.id}?after={self.last.version}&wait={_HOLD}"
            seen = self._service.get(path, rest.Cluster, wait=_HOLD)
        with self._news:
            self.last = seen
            self.peak = max(self.peak, seen.granted)
            self._news.notify_all()
