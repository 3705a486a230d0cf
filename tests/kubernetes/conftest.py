"""One cluster and one set of images for all tests here, one service for most, and a namespace for each service."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.kube import ROOT, Kube, KubeSite, a_cluster, a_kube_site, image

MORE = """
  - name: shared
    executor: {{cores: 1, memory: 1G}}
    executors: {{min: 0, max: 4}}
    pod:
      volumes: [{{name: shared, hostPath: {{path: {shared}}}}}]
      volume_mounts: [{{name: shared, mountPath: {shared}}}]
  - name: nowhere
    executor: {{cores: 1, memory: 1G}}
    pod: {{node_selector: {{kind: of-no-node}}}}
  - name: no-image
    executor: {{cores: 1, memory: 1G}}
    pod: {{image: localhost/there-is-none:1, image_pull_policy: IfNotPresent}}
  - name: gpu
    executor: {{cores: 1, memory: 1G, gpus: 1}}
    executors: {{min: 0, max: 1}}
    pod: {{environment: {{NVIDIA_VISIBLE_DEVICES: "7"}}}}
  - name: nvme
    executor: {{cores: 1, memory: 1G}}
    pod:
      volumes: [{{name: spark-local-dir-1, hostPath: {{path: {scratch}}}}}]
      volume_mounts: [{{name: spark-local-dir-1, mountPath: /scratch}}]
rules: {{min_hold: 1s, idle_after: 8s, think_time: 1s, reclaim_notice: 1s, deferral: 1s, credit_half_life: 0s}}
clusters_per_user: 10
heartbeat: 3s
"""


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[str]:
    with a_cluster() as found:
        yield found


@contextmanager
def a_namespace(kubeconfig: str) -> Iterator[Kube]:
    """A namespace with the rights that Emberhub needs."""
    kube = Kube(kubeconfig, f"emberhub-test-{secrets.token_hex(4)}", image("spark"))
    try:
        kube.run("create", "namespace", kube.namespace)
        kube.run("apply", "--kustomize", str(Path(ROOT) / "helm-values" / "cluster"))
        yield kube
    finally:
        kube.run("delete", "namespace", kube.namespace, "--wait=false", check=False)
        kube.close()


@pytest.fixture(scope="module")
def kube(kubeconfig: str) -> Iterator[Kube]:
    with a_namespace(kubeconfig) as kube:
        yield kube


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of the node that pods may mount."""
    directory = tmp_path_factory.mktemp("shared")
    directory.chmod(0o777)
    return directory


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another, as a fast local disk would be mounted."""
    directory = tmp_path_factory.mktemp("scratch")
    directory.chmod(0o777)
    return directory


@pytest.fixture(scope="session")
def site(kubeconfig: str, shared: Path, scratch: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeSite]:
    """A service of this machine, with room for four executors."""
    for above in (shared, *shared.parents[:3]):
        above.chmod(above.stat().st_mode | 0o5)
    with a_namespace(kubeconfig) as kube:
        text = a_kube_site(kube.image, 4, MORE.format(shared=shared, scratch=scratch))
        site = KubeSite(tmp_path_factory.mktemp("kubernetes"), text, kube)
        try:
            yield site
        finally:
            site.end()
