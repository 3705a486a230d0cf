"""How pods are made where drivers run on Kubernetes: `kubernetes` in the site's file, and `pod` of a profile.

Both have the same keys. What a profile says is laid over what the site says: single values replace, mappings are
merged, lists are joined. Volumes, tolerations and affinity are written as in a pod of Kubernetes itself.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from emberhub.wire.resources import Resources

from .reading import Reader

_TEXTS = ("image", "image_pull_policy", "service_account", "scheduler", "priority_class", "gpu_resource")
_MAPPINGS = ("node_selector", "labels", "annotations", "environment")
_OBJECTS = ("tolerations", "volumes", "volume_mounts", "image_pull_secrets")
_KEYS = (*_TEXTS, *_MAPPINGS, *_OBJECTS, "affinity", "cpu_request", "driver")


class Pod(msgspec.Struct, frozen=True):
    """What is said about pods. Empty: nothing is said."""

    image: str = ""
    """Of driver and executors: one that `images/spark` makes, or one that is built on it."""
    image_pull_policy: str = ""
    image_pull_secrets: tuple[dict[str, Any], ...] = ()
    service_account: str = ""
    """Of drivers; it may manage executor pods. Executors have no rights."""
    scheduler: str = ""
    """Name of the scheduler that places the pods, where it is not Kubernetes' own."""
    priority_class: str = ""
    node_selector: dict[str, str] = {}
    tolerations: tuple[dict[str, Any], ...] = ()
    affinity: dict[str, Any] = {}
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    environment: dict[str, str] = {}
    volumes: tuple[dict[str, Any], ...] = ()
    """Those whose names begin with `spark-local-dir-` are the executors' scratch; the others are everybody's."""
    volume_mounts: tuple[dict[str, Any], ...] = ()
    cpu_request: float | None = None
    """Share of its cores that a pod asks Kubernetes for; the rest it uses where they are free. None: all of them."""
    gpu_resource: str = ""
    """What the cluster calls a GPU; empty: nvidia.com/gpu."""
    driver: Resources = Resources()
    """Cores and memory of a driver; zero: half a core, and what its heap needs."""


def over(site: Pod, profile: Pod) -> Pod:
    """What holds for executors: the profile's word over the site's."""
    merged: dict[str, Any] = {}
    for field in Pod.__struct_fields__:
        below, above = getattr(site, field), getattr(profile, field)
        if isinstance(above, dict):
            merged[field] = {**below, **above}
        elif isinstance(above, tuple):
            merged[field] = (*below, *above)
        else:
            merged[field] = below if above in ("", None, Resources()) else above
    return Pod(**merged)


def of_driver(site: Pod, profile: Pod) -> Pod:
    """What holds for drivers: they are placed by the site's word alone, so that none sits on a node with GPUs."""
    return msgspec.structs.replace(
        over(site, profile),
        scheduler=site.scheduler,
        priority_class=site.priority_class,
        node_selector=site.node_selector,
        tolerations=site.tolerations,
        affinity=site.affinity,
    )


def in_queue(pod: Pod, queue: str) -> Pod:
    """The same, with the queue's name in place of `{queue}` in labels and annotations: for the cluster's own queues."""

    def named(texts: dict[str, str]) -> dict[str, str]:
        return {key: text.replace("{queue}", queue) for key, text in texts.items()}

    return msgspec.structs.replace(pod, labels=named(pod.labels), annotations=named(pod.annotations))


def fingerprint(*pods: Pod) -> str:
    """The same for those that are made alike, and for no others."""
    return hashlib.sha256(msgspec.json.encode(pods, order="sorted")).hexdigest()


def read_pod(reader: Reader) -> Pod:
    """What stands at this place. Raises ConfigError."""
    fields = reader.fields(_KEYS)
    given: dict[str, Any] = {key: fields[key].text() for key in _TEXTS if key in fields}
    given |= {key: fields[key].mapping_of_texts() for key in _MAPPINGS if key in fields}
    given |= {key: _objects(fields[key]) for key in _OBJECTS if key in fields}
    if "affinity" in fields:
        given["affinity"] = _object(fields["affinity"])
    if "cpu_request" in fields:
        given["cpu_request"] = fields["cpu_request"].amount("cores", of=1000) / 1000
        if not 0 < given["cpu_request"] <= 1:
            raise fields["cpu_request"].error("must be a share of a core, such as 25%")
    if "driver" in fields:
        given["driver"] = fields["driver"].resources()
    if given.get("image_pull_policy", "Always") not in ("Always", "IfNotPresent", "Never"):
        raise fields["image_pull_policy"].error("is one of Always, IfNotPresent, Never")
    return Pod(**given)


def _objects(reader: Reader) -> tuple[dict[str, Any], ...]:
    found = tuple(_object(item) for item in reader.items())
    for item, each in zip(reader.items(), found, strict=True):
        if reader.path.endswith(("volumes", "volume_mounts", "image_pull_secrets")) and "name" not in each:
            raise item.error("lacks the key 'name'")
    return found


def _object(reader: Reader) -> dict[str, Any]:
    value = reader.value()
    if not isinstance(value, dict):
        raise reader.error("must be a mapping, written as in a pod of Kubernetes")
    return value
