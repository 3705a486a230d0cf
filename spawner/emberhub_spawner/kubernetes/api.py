"""The few calls that are made to Kubernetes. Manifests go out and come back as Kubernetes writes them, in JSON."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
from kubernetes_asyncio import client, config, watch
from kubernetes_asyncio.client import ApiException, CoreV1Api

from ..backend import StartFailed
from .manifests import Manifest

_OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_ERROR = 400
_PASSING = (None, 0, 409, 429, 502, 503, 504)
_TIMEOUT = 15
"""Seconds for one call."""
_SILENCE = 30
"""Seconds beyond its end for which the connection of a watch may say nothing."""
UNREACHABLE = (ApiException, aiohttp.ClientError, OSError, TimeoutError)
"""What goes wrong between here and Kubernetes, refusals included."""


def passing(error: BaseException) -> bool:
    """Whether the same call may go through in a moment: no answer, too much to do, or two wrote at once."""
    return not isinstance(error, ApiException) or error.status in _PASSING


async def connect(namespace: str) -> Namespace:
    """As the pod that this runs in, or as the kubeconfig says. Raises StartFailed if there is neither."""
    settings = client.Configuration()
    try:
        if _OWN_NAMESPACE.exists():
            config.load_incluster_config(client_configuration=settings)
            own = _OWN_NAMESPACE.read_text().strip()
        else:
            await config.load_kube_config(client_configuration=settings)
            _, active = config.list_kube_config_contexts()
            own = active.get("context", {}).get("namespace", "default")
    except config.ConfigException as error:
        raise StartFailed(
            f"Kubernetes cannot be reached: {error}. Run the service in a pod, or set KUBECONFIG."
        ) from None
    return Namespace(CoreV1Api(client.ApiClient(settings)), namespace or own)


class Namespace:
    """One namespace. All calls may raise one of UNREACHABLE."""

    def __init__(self, core: CoreV1Api, name: str) -> None:
        self.core = core
        self.name = name

    async def close(self) -> None:
        """Close the connections."""
        await self.core.api_client.close()

    async def list_pods(self, labels: str) -> Manifest:
        """All pods with these labels, and the version of this state."""
        return await _json(
            self.core.list_namespaced_pod(
                self.name, label_selector=labels, _preload_content=False, _request_timeout=_TIMEOUT
            )
        )

    async def follow_pods(self, labels: str, version: str, seconds: int) -> AsyncIterator[tuple[str, Manifest]]:
        """What happens to them from this version on, for so many seconds: ADDED, MODIFIED or DELETED, and the pod."""
        async with watch.Watch().stream(
            self.core.list_namespaced_pod,
            self.name,
            label_selector=labels,
            resource_version=version,
            timeout_seconds=seconds,
            _request_timeout=seconds + _SILENCE,
        ) as events:
            async for event in events:
                yield event["type"], event["raw_object"]

    async def create_pod(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Returns the pod as it was taken. With `dry_run` nothing is made; it is only seen whether it would be."""
        more = {"dry_run": "All"} if dry_run else {}
        return await _json(
            self.core.create_namespaced_pod(
                self.name, manifest, _preload_content=False, _request_timeout=_TIMEOUT, **more
            )
        )

    async def ensure_pod(self, manifest: Manifest) -> Manifest:
        """Make it, or take the one of this name: an earlier call may have gone through without an answer."""
        try:
            return await self.create_pod(manifest)
        except ApiException as error:
            if "AlreadyExists" not in str(error.body):
                raise
            name = manifest["metadata"]["name"]
            return await _json(
                self.core.read_namespaced_pod(name, self.name, _preload_content=False, _request_timeout=_TIMEOUT)
            )

    async def put_secret(self, manifest: Manifest) -> None:
        """Make it, or make it anew."""
        try:
            await self.core.create_namespaced_secret(self.name, manifest, _request_timeout=_TIMEOUT)
        except ApiException as error:
            if "AlreadyExists" not in str(error.body):
                raise
            await self.core.replace_namespaced_secret(
                manifest["metadata"]["name"], self.name, manifest, _request_timeout=_TIMEOUT
            )

    async def patch_secret(self, name: str, change: Manifest) -> None:
        """Merge a change into it."""
        await self.core.patch_namespaced_secret(name, self.name, change, _request_timeout=_TIMEOUT)

    async def kept_template(self, name: str) -> Manifest:
        """The executors' manifest in a driver's Secret."""
        secret = await _json(
            self.core.read_namespaced_secret(name, self.name, _preload_content=False, _request_timeout=_TIMEOUT)
        )
        template: Manifest = json.loads(base64.b64decode(secret["data"]["executor.json"]))
        return template

    async def delete_pods(self, labels: str, grace: float) -> None:
        """Have all of them end, politely for `grace` seconds; returns at once."""
        await self.core.delete_collection_namespaced_pod(
            self.name, label_selector=labels, grace_period_seconds=int(grace), _request_timeout=_TIMEOUT
        )

    async def delete_secrets(self, labels: str) -> None:
        """Delete all of them."""
        await self.core.delete_collection_namespaced_secret(self.name, label_selector=labels, _request_timeout=_TIMEOUT)

    async def warnings(self, uid: str) -> list[dict[str, Any]]:
        """What Kubernetes has warned of about the thing with this id, the latest last."""
        found = await _json(
            self.core.list_namespaced_event(
                self.name,
                field_selector=f"involvedObject.uid={uid},type=Warning",
                _preload_content=False,
                _request_timeout=_TIMEOUT,
            )
        )
        events: list[dict[str, Any]] = found["items"]
        return sorted(events, key=lambda event: event.get("lastTimestamp") or "")


async def _json(call: Any) -> Manifest:
    """What Kubernetes answered, read once and not turned into the client's own classes. Raises ApiException."""
    answer = await call
    body = await answer.read()
    if answer.status >= _ERROR:
        error = ApiException(status=answer.status, reason=answer.reason)
        error.body = body.decode(errors="replace")
        raise error
    read: Manifest = json.loads(body)
    return read
