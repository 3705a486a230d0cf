"""`KubernetesBackend`: drivers as pods of one namespace, executors from Spark's own Kubernetes manager.

The namespace belongs to one service: what carries Emberhub's labels there is taken to be its own. Nothing is kept
outside Kubernetes; a service that starts finds the drivers by their labels.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emberhub.wire.resources import Resources
from kubernetes_asyncio.client import ApiException
from traitlets import Unicode
from traitlets.config import Configurable

from ..backend import Driver, DriverSpec, StartFailed
from . import manifests
from .api import UNREACHABLE, Namespace, connect, passing
from .causes import Probe, why_pending
from .manifests import CLUSTER, COMPONENT, DRIVER, EXECUTOR, GENERATION, OURS, Manifest, selector
from .mirror import Mirror, generation_of, label_of
from .reasons import end_of, refused, trouble_of

log = logging.getLogger("emberhub.kubernetes")

STOP_GRACE = 10.0
EXECUTOR_GRACE = 1.0
"""Seconds that the executors of a driver that has gone have: they end by themselves."""
FORCE_AFTER = 15.0
"""Seconds beyond its grace after which a pod whose node does not answer is given up."""
PATIENCE = 60.0
"""Seconds for which a start waits while Kubernetes does not answer."""
_RETRY = 2.0
_OVER = ("Succeeded", "Failed")

SILENT = "Kubernetes does not answer at the moment. Wait: what was asked of it goes on when it does."


@dataclass
class _Running:
    """One driver whose pod exists."""

    cluster: str
    generation: int
    pod: Manifest
    """As it was last seen."""
    probe: Probe = field(default_factory=Probe)
    burial: asyncio.Task[None] | None = None


class KubernetesBackend(Configurable):
    """See the module, and `emberhub_spawner.backend.Backend` for the methods."""

    namespace = Unicode(
        "", help="Where drivers and executors run. Default: the service's own namespace, or the kubeconfig's."
    ).tag(config=True)

    def __init__(self, directory: Path, pools: dict[str, Resources], **traits: Any) -> None:
        super().__init__(**traits)
        self._drivers: dict[str, _Running] = {}
        self._starting: dict[str, str] = {}
        """By the name of the pod that is being made: what keeps it."""
        self._sweeps: set[asyncio.Task[None]] = set()
        self._on_exit: Callable[[Driver], None] | None = None
        self._kubernetes: Namespace | None = None
        self._mirror: Mirror | None = None
        self._following: asyncio.Task[None] | None = None

    async def open(self, on_exit: Callable[[Driver], None]) -> list[Driver]:
        self._on_exit = on_exit
        if self._kubernetes is None:
            self._kubernetes = await connect(self.namespace)
        kubernetes = self._kubernetes
        if self._mirror is None:
            self._mirror = Mirror(kubernetes, selector(OURS), self._changed)
        try:
            version = await self._mirror.list()
            pods = [pod for pod in self._mirror.pods.values() if label_of(pod, COMPONENT) == DRIVER]
            # The latest start of each cluster; what is left of an earlier one is on its way out.
            latest = {label_of(pod, CLUSTER): pod for pod in sorted(pods, key=generation_of)}
            found = [self._adopt(pod) for pod in latest.values()]
            # A service may have died between the two halves of a start.
            known = ",".join(self._drivers)
            await kubernetes.delete_secrets(selector(OURS) + (f",{CLUSTER} notin ({known})" if known else ""))
        except UNREACHABLE as error:
            raise StartFailed(f"Kubernetes does not answer ({error!r}). Look at its API server.") from error
        if self._following is None:
            self._following = asyncio.create_task(self._mirror.run(version))
        return found

    async def start(self, spec: DriverSpec) -> None:
        _, mirror = self._opened()
        if not spec.driver_pod.image:
            raise StartFailed("No image is configured for drivers. Ask an administrator to set kubernetes.image.")
        running = self._drivers.get(spec.cluster)
        if running is not None:
            if running.generation == spec.generation and running.burial is None:
                return
            await self.stop(spec.cluster, STOP_GRACE)
        name = manifests.name_of(spec)
        self._starting[name] = ""
        try:
            pod = await self._make(spec, name)
        except UNREACHABLE as error:
            await self._try_to_clear(spec.cluster)
            raise StartFailed(_why_not(error)) from error
        finally:
            del self._starting[name]
        self._drivers[spec.cluster] = _Running(spec.cluster, spec.generation, pod, Probe(manifests.executor_pod(spec)))
        # The watch may tell of it only later; what is stopped at once must be known.
        mirror.pods.setdefault(name, pod)
        self._changed(mirror.pods[name], False)

    async def stop(self, cluster: str, grace: float) -> None:
        running = self._drivers.get(cluster)
        if running is None:
            await self._clear(cluster, grace)
            return
        if running.burial is None:
            running.burial = asyncio.create_task(self._bury(running, grace))
        await asyncio.shield(running.burial)

    async def trouble(self, cluster: str) -> str:
        running = self._drivers.get(cluster)
        if running is None:
            return next((why for name, why in self._starting.items() if cluster in name), "")
        if self._kubernetes is None or running.burial is not None:
            return ""
        try:
            if running.pod.get("status", {}).get("phase") != "Running":
                return await why_pending(self._kubernetes, running.pod, "driver")
            waiting = [
                pod for pod in self._of(cluster, EXECUTOR) if pod.get("status", {}).get("phase") in (None, "Pending")
            ]
            if waiting:
                return await why_pending(self._kubernetes, waiting[0], "executors")
            return await running.probe.ask(self._kubernetes, running.pod["metadata"]["name"])
        except UNREACHABLE as error:
            log.debug("cluster %s: no cause to be had: %s", cluster, error)
            return SILENT

    async def resize(self, pools: dict[str, Resources]) -> None:
        """Pools are kept by granting less; Kubernetes has its own quotas."""

    async def close(self) -> None:
        burials = [each.burial for each in self._drivers.values()]
        tasks = [task for task in (self._following, *burials, *self._sweeps) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._drivers.clear()
        self._following = self._mirror = None
        if self._kubernetes is not None:
            await self._kubernetes.close()
            self._kubernetes = None

    async def shutdown(self) -> None:
        if self._kubernetes is None:
            return
        await asyncio.gather(*(self.stop(cluster, STOP_GRACE) for cluster in list(self._drivers)))
        await self._kubernetes.delete_pods(selector(OURS), EXECUTOR_GRACE)
        await self._kubernetes.delete_secrets(selector(OURS))
        await self.close()

    async def _make(self, spec: DriverSpec, name: str) -> Manifest:
        """The driver's Secret and its pod, as soon as Kubernetes answers. Raises one of UNREACHABLE."""
        kubernetes, _ = self._opened()
        until = time.monotonic() + PATIENCE
        secret = manifests.secret(spec, kubernetes.name, secrets.token_urlsafe(32))
        while True:
            try:
                await kubernetes.put_secret(secret)
                pod = await kubernetes.ensure_pod(manifests.driver_pod(spec))
                await kubernetes.patch_secret(name, manifests.owned_by(pod))
                return pod
            except UNREACHABLE as error:
                if not passing(error) or time.monotonic() > until:
                    raise
                log.warning("cluster %s: Kubernetes does not answer: %s", spec.cluster, error)
                self._starting[name] = SILENT
                await asyncio.sleep(_RETRY)

    # --- drivers -------------------------------------------------------------------------------------------------

    def _adopt(self, pod: Manifest) -> Driver:
        cluster, generation = label_of(pod, CLUSTER), generation_of(pod)
        running = self._drivers.setdefault(cluster, _Running(cluster, generation, pod))
        self._changed(pod, False)
        over = running.burial is not None
        return Driver(cluster, generation, not over, end_of(pod, deleted=_leaving(pod)) if over else "")

    def _changed(self, pod: Manifest, gone: bool) -> None:
        """What the watch tells."""
        running = self._drivers.get(label_of(pod, CLUSTER))
        if running is None or generation_of(pod) != running.generation:
            if not gone and self._following is not None:
                self._sweep_if_strange(pod)
            return
        if label_of(pod, COMPONENT) != DRIVER:
            running.probe.forget()
            return
        running.pod = pod
        if running.burial is not None:
            return
        trouble = trouble_of(pod, "driver")
        if gone or _leaving(pod) or pod.get("status", {}).get("phase") in _OVER:
            message = end_of(pod, deleted=gone or _leaving(pod))
        elif trouble is not None and trouble.final:
            message = trouble.message
        else:
            return
        running.burial = asyncio.create_task(self._bury(running, 0.0, message))

    def _sweep_if_strange(self, pod: Manifest) -> None:
        """A driver of a start that was given up: Kubernetes may act on a call long after nobody waits for it."""
        if label_of(pod, COMPONENT) != DRIVER or pod["metadata"]["name"] in self._starting or _leaving(pod):
            return
        sweep = asyncio.create_task(self._sweep(pod))
        self._sweeps.add(sweep)
        sweep.add_done_callback(self._sweeps.discard)

    async def _sweep(self, pod: Manifest) -> None:
        kubernetes, _ = self._opened()
        name, labels = pod["metadata"]["name"], pod["metadata"]["labels"]
        log.warning("%s is a driver that nobody waits for any more: it is taken away", name)
        try:
            query = selector({key: labels[key] for key in (*OURS, CLUSTER, GENERATION)})
            await kubernetes.delete_pods(query, 0.0)
            await kubernetes.delete_secrets(query)
        except UNREACHABLE as error:
            # It is seen again when all pods are listed anew.
            log.warning("%s is still there: %s", name, error)

    async def _bury(self, running: _Running, grace: float, message: str = "") -> None:
        """Take away the driver's pod and all that belongs to it, and tell the service."""
        while True:
            try:
                await self._clear(running.cluster, grace)
                break
            except UNREACHABLE as error:
                log.warning("cluster %s: not cleared away yet: %s", running.cluster, error)
                await asyncio.sleep(_RETRY)
        if self._drivers.get(running.cluster) is running:
            del self._drivers[running.cluster]
        message = message or end_of(running.pod, deleted=False)
        log.info("driver of %s ended: %s", running.cluster, message)
        if self._on_exit is not None:
            self._on_exit(Driver(running.cluster, running.generation, alive=False, message=message))

    async def _clear(self, cluster: str, grace: float) -> None:
        """End the driver, then its executors, then their Secret; returns when they are gone."""
        kubernetes, mirror = self._opened()
        mine = OURS | {CLUSTER: cluster}
        for component, patience in ((DRIVER, grace), (EXECUTOR, EXECUTOR_GRACE)):
            query = selector(mine | {COMPONENT: component})
            await kubernetes.delete_pods(query, patience)
            try:
                async with asyncio.timeout(patience + FORCE_AFTER):
                    await mirror.until(lambda component=component: not self._of(cluster, component))  # type: ignore[misc]
            except TimeoutError:
                log.warning("pods of cluster %s do not end; they are given up", cluster)
                await kubernetes.delete_pods(query, 0.0)
                await mirror.until(lambda component=component: not self._of(cluster, component))  # type: ignore[misc]
        await kubernetes.delete_secrets(selector(mine))

    async def _try_to_clear(self, cluster: str) -> None:
        try:
            await self._clear(cluster, 0.0)
        except UNREACHABLE as error:
            log.warning("cluster %s: what was half made is cleared away later: %s", cluster, error)

    def _of(self, cluster: str, component: str) -> list[Manifest]:
        pods = self._mirror.pods.values() if self._mirror is not None else ()
        return [pod for pod in pods if label_of(pod, CLUSTER) == cluster and label_of(pod, COMPONENT) == component]

    def _opened(self) -> tuple[Namespace, Mirror]:
        if self._kubernetes is None or self._mirror is None:
            raise StartFailed("The service is still starting; try again in a moment.")
        return self._kubernetes, self._mirror


def _leaving(pod: Manifest) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def _why_not(error: BaseException) -> str:
    if isinstance(error, ApiException) and not passing(error):
        return refused(error.status, str(error.body or ""), "driver")
    return "Kubernetes does not answer. Try again in a moment, and tell your administrator if it stays so."
