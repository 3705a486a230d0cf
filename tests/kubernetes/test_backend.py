"""The Kubernetes backend against a Kubernetes that answers late, or not at all: pure."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from emberhub.wire.resources import Resources
from emberhub_spawner.backend import Driver, DriverSpec, StartFailed
from emberhub_spawner.kubernetes import api, backend, manifests
from emberhub_spawner.kubernetes.backend import SILENT, KubernetesBackend
from emberhub_spawner.pods import Pod
from kubernetes_asyncio.client import ApiException

SPEC = DriverSpec(
    *("c-0123456789abcdef", 1, "alice", "main", "main", "ws://hub:8089/", "a", "b"),
    executor=Resources(millicores=1000, memory=1 << 30),
    conf={},
    lease=60.0,
    driver_pod=Pod(image="spark:1"),
    executor_pod=Pod(image="spark:1"),
)
NAME = manifests.name_of(SPEC)


class Fake(api.Namespace):
    """A namespace in memory. Calls raise what stands in `errors`, one after another."""

    def __init__(self) -> None:
        self.name = "here"
        self.pods: dict[str, dict[str, Any]] = {}
        self.secrets: set[str] = set()
        self.errors: list[BaseException] = []
        self.done = asyncio.Event()
        """The last of the errors was raised, or pods were deleted."""
        self.news: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()

    def _fail(self) -> None:
        if self.errors:
            error = self.errors.pop(0)
            if not self.errors:
                self.done.set()
            raise error

    def appear(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """The pod is made, and the watch tells."""
        pod = manifest | {"metadata": manifest["metadata"] | {"uid": "1"}, "status": {"phase": "Pending"}}
        self.pods[pod["metadata"]["name"]] = pod
        self.news.put_nowait(("ADDED", pod))
        return pod

    async def close(self) -> None:
        pass

    async def list_pods(self, labels: str) -> dict[str, Any]:
        return {"items": list(self.pods.values()), "metadata": {"resourceVersion": "1"}}

    async def follow_pods(self, *_: Any) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        while True:
            yield await self.news.get()

    async def ensure_pod(self, manifest: dict[str, Any]) -> dict[str, Any]:
        self._fail()
        return self.appear(manifest)

    async def put_secret(self, manifest: dict[str, Any]) -> None:
        self._fail()
        self.secrets.add(manifest["metadata"]["name"])

    async def patch_secret(self, name: str, change: dict[str, Any]) -> None:
        self._fail()

    async def delete_pods(self, labels: str, grace: float) -> None:
        wanted = dict(each.split("=") for each in labels.split(","))
        for name, pod in list(self.pods.items()):
            if wanted.items() <= pod["metadata"]["labels"].items():
                self.news.put_nowait(("DELETED", self.pods.pop(name)))
        self.done.set()

    async def delete_secrets(self, labels: str) -> None:
        self.secrets.clear()


@pytest.fixture
async def kubernetes(monkeypatch: pytest.MonkeyPatch) -> Fake:
    fake = Fake()

    async def connect(_: str) -> Fake:
        return fake

    monkeypatch.setattr(backend, "connect", connect)
    monkeypatch.setattr(backend, "_RETRY", 0.01)
    return fake


@pytest.fixture
async def drivers(kubernetes: Fake, tmp_path: Any) -> AsyncIterator[KubernetesBackend]:
    drivers = KubernetesBackend(tmp_path, {})
    ended: list[Driver] = []
    await drivers.open(ended.append)
    yield drivers
    await drivers.close()


def refusal(status: int, reason: str = "") -> ApiException:
    error = ApiException(status=status, reason=reason)
    error.body = json.dumps({"message": reason, "reason": reason})
    return error


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionRefusedError(), refusal(503), refusal(409, "Conflict")])
async def test_a_start_waits_for_a_kubernetes_that_does_not_answer_for_a_moment(
    kubernetes: Fake, drivers: KubernetesBackend, error: Exception
) -> None:
    kubernetes.errors = [error, error]
    start = asyncio.create_task(drivers.start(SPEC))
    await kubernetes.done.wait()
    assert await drivers.trouble(SPEC.cluster) == SILENT
    await start
    assert list(kubernetes.pods) == [NAME]
    assert kubernetes.secrets == {NAME}


async def test_a_start_gives_up_in_the_end_and_leaves_nothing(
    kubernetes: Fake, drivers: KubernetesBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "PATIENCE", 0.0)
    kubernetes.errors = [TimeoutError()]
    with pytest.raises(StartFailed, match="Kubernetes does not answer"):
        await drivers.start(SPEC)
    assert not kubernetes.pods
    assert not kubernetes.secrets


async def test_what_kubernetes_refuses_is_not_asked_again(kubernetes: Fake, drivers: KubernetesBackend) -> None:
    kubernetes.errors = [refusal(403, 'pods "x" is forbidden: exceeded quota: full'), AssertionError("asked again")]
    with pytest.raises(StartFailed, match="quota leaves no room for the driver"):
        await drivers.start(SPEC)


async def test_a_driver_that_appears_after_its_start_was_given_up_is_taken_away(
    kubernetes: Fake, drivers: KubernetesBackend
) -> None:
    kubernetes.appear(manifests.driver_pod(SPEC))
    await asyncio.wait_for(kubernetes.done.wait(), 5)
    assert not kubernetes.pods
