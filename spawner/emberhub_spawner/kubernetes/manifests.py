"""From one `DriverSpec` to what Kubernetes is told: pure.

A cluster is a driver pod and one Secret. The Secret holds the driver's tokens and settings, and the manifest from which
Spark makes executor pods. The pod owns the Secret and every executor, so that they go when it goes.
"""

from __future__ import annotations

from typing import Any

import msgspec
from emberhub.wire.driver import (
    ENV_AGENT_TOKEN,
    ENV_CONFIG,
    ENV_CONNECT_TOKEN,
    ENV_HOST,
    ENV_MARK,
    FILE_REASON,
    DriverConfig,
    mark,
)
from emberhub.wire.resources import Resources
from jupyterhub.slugs import safe_slug

from ..backend import DriverSpec
from ..pods import Pod

Manifest = dict[str, Any]

API = "https://kubernetes.default.svc"
"""Where pods reach Kubernetes."""
CLUSTER, GENERATION, USER = "emberhub/cluster", "emberhub/generation", "emberhub/user"
COMPONENT = "app.kubernetes.io/component"
DRIVER, EXECUTOR = "driver", "executor"
OURS = {"app.kubernetes.io/name": "emberhub", "app.kubernetes.io/managed-by": "emberhub"}
"""Labels of all that is made here."""

CONNECT_PORT, DRIVER_PORT, BLOCKS_PORT, UI_PORT = 15002, 7078, 7079, 4040
"""Fixed, so that network policies can name them."""
DEFAULT_GPU = "nvidia.com/gpu"
SCRATCH = "spark-local-dir-"

_SETTINGS, _WORK = "/etc/emberhub", "/var/emberhub"
_SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_CONFIG, _TEMPLATE, _SECRET = "config.json", "executor.json", "spark-secret"
_AGENT, _CONNECT = "agent-token", "connect-token"
_HEAP = 512 << 20
_BESIDE_HEAP = 768 << 20
"""Bytes of a driver beside its heap: what else Java takes, Python, and the rehearsal of a warm driver."""
_DRIVER_CORES = 500
_UID = 1000
EXECUTOR_GRACE = 30
"""Seconds that a drained node leaves an executor to move its blocks."""


def selector(labels: dict[str, str]) -> str:
    """Labels as a query."""
    return ",".join(f"{key}={value}" for key, value in labels.items())


def name_of(spec: DriverSpec) -> str:
    """The driver pod's name, and the Secret's."""
    return f"emberhub-{mark(spec.cluster, spec.generation)}"


def labels_of(spec: DriverSpec, component: str) -> dict[str, str]:
    """What tells these pods from others."""
    mine = {COMPONENT: component, CLUSTER: spec.cluster, GENERATION: str(spec.generation)}
    return OURS | mine | ({USER: str(safe_slug(spec.user))} if spec.user else {})


def secret(spec: DriverSpec, namespace: str, spark_secret: str) -> Manifest:
    """The Secret of one start of a cluster."""
    told = {
        _CONFIG: msgspec.json.encode(driver_config(spec, namespace)).decode(),
        _TEMPLATE: msgspec.json.encode(executor_pod(spec)).decode(),
        _AGENT: spec.agent_token,
        _CONNECT: spec.connect_token,
        _SECRET: spark_secret,
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name_of(spec), "labels": labels_of(spec, DRIVER)},
        "stringData": told,
    }


def driver_config(spec: DriverSpec, namespace: str) -> DriverConfig:
    """What the driver is told of itself."""
    return DriverConfig(
        cluster=spec.cluster,
        generation=spec.generation,
        user=spec.user,
        name=spec.name,
        agent_url=spec.agent_url,
        master=f"k8s://{API}",
        executor=spec.executor,
        directory=_WORK,
        conf=spec.conf | spark_conf(spec, namespace),
        driver_memory=_driver_memory(spec.driver_pod) - _BESIDE_HEAP,
        lease=spec.lease,
        connect_port=CONNECT_PORT,
        spark_secret_file=f"{_SETTINGS}/{_SECRET}",
    )


def spark_conf(spec: DriverSpec, namespace: str) -> dict[str, str]:
    """Spark's own settings for its Kubernetes manager."""
    pod, cores = spec.executor_pod, spec.executor.millicores // 1000
    conf = {
        "spark.kubernetes.namespace": namespace,
        "spark.kubernetes.container.image": pod.image,
        "spark.kubernetes.container.image.pullPolicy": pod.image_pull_policy or "IfNotPresent",
        "spark.kubernetes.authenticate.oauthTokenFile": f"{_SERVICE_ACCOUNT}/token",
        "spark.kubernetes.authenticate.caCertFile": f"{_SERVICE_ACCOUNT}/ca.crt",
        "spark.kubernetes.driver.pod.name": name_of(spec),
        "spark.kubernetes.executor.podNamePrefix": name_of(spec),
        "spark.kubernetes.executor.podTemplateFile": f"{_SETTINGS}/{_TEMPLATE}",
        "spark.kubernetes.executor.podTemplateContainerName": EXECUTOR,
        "spark.kubernetes.executor.request.cores": _cpu(spec.executor, pod),
        "spark.kubernetes.executor.limit.cores": str(cores),
        # Spark makes nothing but pods, and looks for nothing else to clear away: a driver has no right to.
        "spark.kubernetes.executor.disableConfigMap": "true",
        "spark.kubernetes.driver.ownPersistentVolumeClaim": "false",
        "spark.kubernetes.driver.reusePersistentVolumeClaim": "false",
        "spark.kubernetes.driver.service.deleteOnTermination": "false",
        "spark.kubernetes.decommission.script": "/opt/decom.sh",
        # The hub decides how many; Spark need not hesitate.
        "spark.kubernetes.allocation.batch.delay": "200ms",
        "spark.kubernetes.allocation.batch.size": "20",
        "spark.kubernetes.executor.eventProcessingInterval": "200ms",
        "spark.kubernetes.executorSnapshotsSubscribersShutdownGracePeriod": "1s",
        # An executor that is lost comes again as long as the hub leaves its place to the cluster.
        "spark.executor.maxNumFailures": str(2**31 - 1),
        "spark.driver.port": str(DRIVER_PORT),
        "spark.blockManager.port": str(BLOCKS_PORT),
        "spark.ui.port": str(UI_PORT),
    }
    if pod.scheduler:
        conf["spark.kubernetes.executor.scheduler.name"] = pod.scheduler
    if gpus := spec.executor.milligpus // 1000:
        vendor, _, _ = (pod.gpu_resource or DEFAULT_GPU).partition("/")
        conf |= {
            "spark.executor.resource.gpu.amount": str(gpus),
            "spark.executor.resource.gpu.vendor": vendor,
            "spark.executor.resource.gpu.discoveryScript": "/opt/emberhub/gpus",
            # As many tasks share a GPU as there are cores, where the profile says nothing else.
            "spark.task.resource.gpu.amount": spec.conf.get("spark.task.resource.gpu.amount", f"{gpus / cores:.4g}"),
        }
    return conf


def driver_pod(spec: DriverSpec) -> Manifest:
    """The driver's pod."""
    pod, name = spec.driver_pod, name_of(spec)
    environment = [
        {"name": ENV_CONFIG, "value": f"{_SETTINGS}/{_CONFIG}"},
        {"name": ENV_HOST, "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": ENV_MARK, "value": mark(spec.cluster, spec.generation)},
        _from_secret(ENV_AGENT_TOKEN, name, _AGENT),
        _from_secret(ENV_CONNECT_TOKEN, name, _CONNECT),
    ]
    volumes, mounts = _volumes(pod, scratch=False)
    cores = pod.driver.millicores or _DRIVER_CORES
    memory = str(_driver_memory(pod))
    container = {
        "name": DRIVER,
        "image": pod.image,
        "imagePullPolicy": pod.image_pull_policy or "IfNotPresent",
        "args": [DRIVER],
        "env": [*_environment(pod), *environment],
        "resources": {
            "requests": {"cpu": _cpu(Resources(millicores=cores), pod), "memory": memory},
            # A driver starts in a burst and then waits: held to its request it would start for a minute.
            "limits": {"cpu": f"{max(2000, cores)}m", "memory": memory},
        },
        "ports": [{"name": "connect", "containerPort": CONNECT_PORT}],
        "volumeMounts": [
            {"name": "settings", "mountPath": _SETTINGS, "readOnly": True},
            {"name": "work", "mountPath": _WORK},
            *mounts,
        ],
        "terminationMessagePath": f"{_WORK}/{FILE_REASON}",
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": _CONFINED,
    }
    settings = {"name": "settings", "secret": {"secretName": name, "defaultMode": 0o440}}
    return _pod(
        spec,
        DRIVER,
        pod,
        {
            "serviceAccountName": pod.service_account or "emberhub-driver",
            "containers": [container],
            "volumes": [settings, {"name": "work", "emptyDir": {}}, *volumes],
        },
    )


def executor_pod(spec: DriverSpec) -> Manifest:
    """What Spark makes executor pods from. Spark adds command, addresses and owner; the amounts are Spark's too, and
    stand here so that the manifest can be tried out.
    """
    pod, name = spec.executor_pod, name_of(spec)
    volumes, mounts = _volumes(pod, scratch=True)
    limits = {"cpu": f"{spec.executor.millicores}m", "memory": str(spec.executor.memory)}
    if gpus := spec.executor.milligpus // 1000:
        limits[pod.gpu_resource or DEFAULT_GPU] = str(gpus)
    container = {
        "name": EXECUTOR,
        "image": pod.image,
        "env": _environment(pod),
        "resources": {"requests": limits | {"cpu": _cpu(spec.executor, pod)}, "limits": limits},
        "volumeMounts": [
            {"name": "secret", "mountPath": f"{_SETTINGS}/{_SECRET}", "subPath": _SECRET, "readOnly": True},
            *mounts,
        ],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": _CONFINED,
    }
    # Of the Secret, executors see nothing but what lets them talk to their driver.
    items = [{"key": _SECRET, "path": _SECRET}]
    volume = {"name": "secret", "secret": {"secretName": name, "items": items, "defaultMode": 0o440}}
    return _pod(
        spec,
        EXECUTOR,
        pod,
        {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": EXECUTOR_GRACE,
            "containers": [container],
            "volumes": [volume, *volumes],
        },
    )


def owned_by(pod: Manifest) -> Manifest:
    """The change that gives something to this pod."""
    owner = {"apiVersion": "v1", "kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
    return {"metadata": {"ownerReferences": [owner]}}


_CONFINED: Manifest = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def _pod(spec: DriverSpec, component: str, pod: Pod, own: Manifest) -> Manifest:
    metadata: Manifest = {
        "name": name_of(spec),
        "labels": pod.labels | labels_of(spec, component),
        "annotations": pod.annotations | ({USER: spec.user} if spec.user else {}),
    }
    common: Manifest = {
        "restartPolicy": "Never",
        "enableServiceLinks": False,
        # Pod Security "restricted".
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _UID,
            "runAsGroup": _UID,
            "fsGroup": _UID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "nodeSelector": pod.node_selector,
        "tolerations": list(pod.tolerations),
        "affinity": pod.affinity,
        "imagePullSecrets": list(pod.image_pull_secrets),
        "priorityClassName": pod.priority_class,
        "schedulerName": pod.scheduler,
    }
    said = {key: value for key, value in common.items() if value or value is False}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": said | own}


def _volumes(pod: Pod, *, scratch: bool) -> tuple[list[Manifest], list[Manifest]]:
    """Volumes and their mounts; scratch is for executors alone."""
    return (
        [each for each in pod.volumes if scratch or not each["name"].startswith(SCRATCH)],
        [each for each in pod.volume_mounts if scratch or not each["name"].startswith(SCRATCH)],
    )


def _environment(pod: Pod) -> list[Manifest]:
    return [{"name": name, "value": value} for name, value in pod.environment.items()]


def _from_secret(variable: str, name: str, key: str) -> Manifest:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}


def _cpu(amount: Resources, pod: Pod) -> str:
    return f"{max(1, round(amount.millicores * (1.0 if pod.cpu_request is None else pod.cpu_request)))}m"


def _driver_memory(pod: Pod) -> int:
    return max(pod.driver.memory, _HEAP + _BESIDE_HEAP)
