"""One cluster and one set of images for all tests here; a namespace of its own for each module."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.kube import ROOT, Kube, a_cluster, image


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[str]:
    with a_cluster() as found:
        yield found


@pytest.fixture(scope="module")
def kube(kubeconfig: str) -> Iterator[Kube]:
    """A namespace with the rights that Emberhub needs."""
    kube = Kube(kubeconfig, f"emberhub-test-{secrets.token_hex(4)}", image("spark"))
    kube.run("create", "namespace", kube.namespace)
    try:
        kube.run("apply", "--kustomize", str(Path(ROOT) / "helm-values" / "cluster"))
        yield kube
    finally:
        kube.run("delete", "namespace", kube.namespace, "--wait=false")
