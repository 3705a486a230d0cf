"""A service with the Kubernetes backend: drivers and executors are pods."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hub import Work, busy, eventually
from tests.support.kube import Kube, KubeSite, a_kube_site

pytestmark = [pytest.mark.kubernetes, pytest.mark.spark]


@pytest.fixture(scope="module")
def site(kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeSite]:
    rules = "rules: {rotation_quantum: 30s, idle_after: 2s, think_time: 1s, min_hold: 2s, reclaim_notice: 2s}"
    directory: Path = tmp_path_factory.mktemp("kubernetes")
    site = KubeSite(directory, a_kube_site(kube.image, 3, rules), kube)
    try:
        yield site
    finally:
        site.end()


def test_a_cluster_is_a_driver_pod_and_executor_pods_follow_its_work(site: KubeSite) -> None:
    alice = site.person("alice")
    cluster = alice.cluster()
    assert len(site.kube.pods("driver", cluster)) == 1
    assert busy(cluster, 3, 0.1) == 3
    work = Work(cluster, tasks=12, seconds=1.0)
    eventually(lambda: len(site.executors(cluster)) == 3, "work brings executors", 60)
    work.finish()
    eventually(lambda: not site.kube.pods("executor", cluster), "idle executors go", 60)
    cluster.stop()
    eventually(lambda: alice.see(cluster).state == "stopped", "it stops", 60)
    assert site.kube.left() == []
