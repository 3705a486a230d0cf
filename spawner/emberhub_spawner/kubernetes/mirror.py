"""A copy of the namespace's pods, kept by a watch: listed once, then followed, and listed anew now and then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from kubernetes_asyncio.client import ApiException

from .api import UNREACHABLE, Namespace
from .manifests import GENERATION, Manifest

log = logging.getLogger("emberhub.kubernetes")

RESYNC = 300
"""Seconds after which all pods are listed anew, whatever the watch has told."""
_RETRY_FIRST, _RETRY_LONGEST = 0.2, 10.0
_GONE = 410


class Mirror:
    """Pods with these labels, by name. `changed` is called after each change with the pod as it was last seen, and
    whether it is gone.
    """

    def __init__(self, kubernetes: Namespace, labels: str, changed: Callable[[Manifest, bool], None]) -> None:
        self._kubernetes, self._labels, self._changed = kubernetes, labels, changed
        self._news = asyncio.Condition()
        self.pods: dict[str, Manifest] = {}

    async def list(self) -> str:
        """Take over all pods as they are now; returns the version from which to follow. Raises one of UNREACHABLE."""
        known = set(self.pods)
        listed = await self._kubernetes.list_pods(self._labels)
        now = {pod["metadata"]["name"]: pod for pod in listed["items"]}
        # What was made while the answer was on its way may be missing in it; the watch tells the rest of it.
        now = {name: pod for name, pod in self.pods.items() if name not in known} | now
        before, self.pods = self.pods, now
        for name, pod in before.items():
            if name not in now or now[name]["metadata"]["uid"] != pod["metadata"]["uid"]:
                self._changed(pod, True)
        for name, pod in now.items():
            if pod != before.get(name):
                self._changed(pod, False)
        await self._tell()
        return str(listed["metadata"]["resourceVersion"])

    async def run(self, version: str) -> None:
        """Follow what happens from this version on, for ever."""
        pause = _RETRY_FIRST
        while True:
            try:
                await self._follow(version)
                version, pause = await self.list(), _RETRY_FIRST
            except UNREACHABLE as error:
                if isinstance(error, ApiException) and error.status == _GONE:
                    log.debug("the watch is too old; listing anew")
                else:
                    log.warning("Kubernetes does not answer: %s", _brief(error))
            except Exception:
                # What comes in place of an answer, from whatever stands before Kubernetes, may be anything.
                log.exception("the pods cannot be followed")
            else:
                continue
            await asyncio.sleep(pause)
            pause = min(pause * 2, _RETRY_LONGEST)
            version = ""

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return when something holds of the pods."""
        async with self._news:
            await self._news.wait_for(holds)

    async def _follow(self, version: str) -> None:
        if not version:
            version = await self.list()
        async for kind, pod in self._kubernetes.follow_pods(self._labels, version, RESYNC):
            if kind == "DELETED":
                self.pods.pop(pod["metadata"]["name"], None)
            else:
                self.pods[pod["metadata"]["name"]] = pod
            self._changed(pod, kind == "DELETED")
            await self._tell()

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()


def label_of(pod: Manifest, label: str) -> str:
    """What a pod carries under this label; empty where it has none."""
    return str(pod["metadata"].get("labels", {}).get(label, ""))


def generation_of(pod: Manifest) -> int:
    """Which start of its cluster it is of; -1 where somebody has changed its label into no number."""
    try:
        return int(label_of(pod, GENERATION))
    except ValueError:
        return -1


def _brief(error: BaseException) -> str:
    if isinstance(error, ApiException):
        return f"{error.status} {error.reason}"
    return f"{type(error).__name__}: {error}"
