"""A real Kubernetes cluster, Emberhub's image on it, and a service of this machine that runs drivers there.

EMBERHUB_KUBE names a command that knows `install`, `up` (prints `export KUBECONFIG=…`), `image FOLDER REFERENCE
[ARGUMENT…]` and `down`.
Images are built, with EMBERHUB_IMAGE_ARGUMENTS, unless EMBERHUB_IMAGES_ARE_THERE says that they have been.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import emberhub
import pytest
import yaml

from .hub import Person, eventually
from .site import Site

ROOT = Path(__file__).parents[2]
KINDS = ("pods", "secrets", "services", "configmaps", "persistentvolumeclaims")


class Kube:
    """kubectl, as an administrator, in one namespace that is made for it."""

    def __init__(self, kubeconfig: str, namespace: str, image: str) -> None:
        self.kubeconfig, self.namespace, self.image = kubeconfig, namespace, image
        # What is looked at ten times a second is asked by HTTP: a kubectl each time would keep a core busy.
        self._proxy = subprocess.Popen(
            ["kubectl", f"--kubeconfig={kubeconfig}", "proxy", "--port=0"], stdout=subprocess.PIPE, text=True
        )
        assert self._proxy.stdout is not None
        self._api = f"http://{self._proxy.stdout.readline().split()[-1]}/api/v1"

    def close(self) -> None:
        """No more questions."""
        self._proxy.terminate()
        self._proxy.communicate(timeout=30)

    def run(self, *arguments: str, given: str | None = None, check: bool = True, within: float = 120) -> str:
        """The output of one kubectl command, which takes so many seconds at most; `given` is its standard input."""
        ran = subprocess.run(
            ["kubectl", f"--kubeconfig={self.kubeconfig}", f"--namespace={self.namespace}", *arguments],
            input=given,
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )
        assert ran.returncode == 0 or not check, f"{arguments}: {ran.stderr}"
        return ran.stdout

    def get(self, kind: str, labels: str = "") -> list[dict[str, Any]]:
        """Everything of this kind, by its plural."""
        where = kind if kind == "nodes" else f"namespaces/{self.namespace}/{kind}"
        with urllib.request.urlopen(
            f"{self._api}/{where}?{urlencode({'labelSelector': labels})}", timeout=60
        ) as answer:
            items: list[dict[str, Any]] = json.load(answer)["items"]
        return items

    def apply(self, *manifests: dict[str, Any]) -> None:
        self.run("apply", "--filename=-", given="---\n".join(yaml.safe_dump(each) for each in manifests))

    def pods(self, component: str, cluster: emberhub.Cluster | None = None) -> list[dict[str, Any]]:
        """Emberhub's pods of this kind that are not on their way out."""
        labels = f"app.kubernetes.io/component={component}" + (f",emberhub/cluster={cluster.id}" if cluster else "")
        return [pod for pod in self.get("pods", labels) if "deletionTimestamp" not in pod["metadata"]]

    def left(self) -> list[str]:
        """What carries Emberhub's or Spark's labels."""
        labels = ("app.kubernetes.io/name=emberhub", "spark-app-selector")
        found = {
            f"{kind} {each['metadata']['name']}" for kind in KINDS for label in labels for each in self.get(kind, label)
        }
        return sorted(found)

    def advertise(self, node: str, resources: dict[str, str | None]) -> None:
        """Have a node say that it has so much of some resource, as a device plugin does."""
        change = json.dumps({"status": {"capacity": resources, "allocatable": resources}})
        self.run("patch", "node", node, "--subresource=status", "--type=merge", f"--patch={change}")

    def host(self) -> str:
        """The address of this machine on its way to the cluster, by which pods reach it too."""
        server = self.run("config", "view", "--minify", "--output=jsonpath={.clusters[0].cluster.server}")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((urlsplit(server).hostname or "", 9))
            return str(probe.getsockname()[0])


@contextmanager
def a_cluster() -> Iterator[str]:
    """Path of the kubeconfig of a cluster that runs."""
    tool = os.environ.get("EMBERHUB_KUBE")
    if not tool:
        pytest.skip("EMBERHUB_KUBE names no command that starts a Kubernetes cluster")
    ran = subprocess.run([tool, "up"], capture_output=True, text=True, timeout=300, check=False)
    found = re.search(r"^export KUBECONFIG=(\S+)$", ran.stdout, re.MULTILINE)
    if ran.returncode or found is None:
        pytest.skip(f"the Kubernetes cluster does not start: {(ran.stderr or ran.stdout).strip()[-300:]}")
    try:
        yield found[1]
    finally:
        if not os.environ.get("EMBERHUB_KUBE_STAYS"):
            subprocess.run([tool, "down"], capture_output=True, timeout=120, check=True)


@functools.cache
def image(name: str) -> str:
    """The reference of one of our images, which is built unless it is said to be there."""
    prefix, tag = "localhost/emberhub-", "dev"
    reference = f"{prefix}{name}:{tag}"
    if os.environ.get("EMBERHUB_IMAGES_ARE_THERE"):
        return reference
    environment = os.environ | {
        "EMBERHUB_IMAGE_BUILDER": f"{os.environ['EMBERHUB_KUBE']} image",
        "EMBERHUB_IMAGE_PREFIX": prefix,
        "EMBERHUB_IMAGE_TAG": tag,
        "PYTHON": sys.executable,
    }
    arguments = shlex.split(os.environ.get("EMBERHUB_IMAGE_ARGUMENTS", ""))
    command = [str(ROOT / "images" / "build"), name, "--", *arguments]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    return reference


class _Visitor(Person):
    """Somebody whose clusters the site knows."""

    hub: KubeSite

    def cluster(self, **options: Any) -> emberhub.Cluster:
        cluster = super().cluster(**options)
        self.hub.clusters.append(cluster)
        return cluster


class KubeSite(Site):
    """A service of this machine whose drivers are pods."""

    def __init__(self, directory: Path, site: str, kube: Kube) -> None:
        self.kube = kube
        self.host = kube.host()
        self.clusters: list[emberhub.Cluster] = []
        super().__init__(directory, site, {"KUBECONFIG": kube.kubeconfig})

    def _command(self, *arguments: str) -> list[str]:
        more = ["--EmberhubService.backend=kubernetes", f"--KubernetesBackend.namespace={self.kube.namespace}"]
        return [*super()._command(*arguments), *more]

    @functools.cache  # noqa: B019 (a site lives as long as the tests of its session)
    def person(self, name: str) -> Person:
        return _Visitor(self, name)

    def executors(self, cluster: emberhub.Cluster | None = None) -> list[str]:
        """Spark's ids of the executors whose pods run."""
        pods = self.kube.pods("executor", cluster)
        return sorted(pod["metadata"]["labels"]["spark-exec-id"] for pod in pods if pod["status"]["phase"] == "Running")

    def clear(self) -> None:
        """Stop all clusters; Kubernetes then has nothing of them."""
        self.clusters.clear()
        status, body = self.admin.ask("GET", "clusters?all=1")
        assert status == 200, body
        for each in body["clusters"]:
            self.admin.ask("DELETE", f"clusters/{each['id']}")
        eventually(lambda: not self.kube.left(), "nothing is left in Kubernetes", 60, seen_last=self.kube.left)

    def end(self) -> None:
        super().end()
        eventually(lambda: not self.kube.left(), "Kubernetes has nothing of ours left", 30, seen_last=self.kube.left)


def a_kube_site(image: str, executors: int, more: str = "") -> str:
    """A site file for small pods that start quickly; `more` may go on with the list of profiles."""
    return f"""
pools: [{{name: main, cores: {executors}, memory: {executors}G, gpus: 2}}]
kubernetes: {{image: {image}, cpu_request: 20%}}
profiles:
  - &small
    name: small
    executor: {{cores: 1, memory: 1G}}
    executors: {{min: 0, max: {executors}}}
    conf: {{spark.executor.extraJavaOptions: "-XX:TieredStopAtLevel=1"}}
{more}"""
