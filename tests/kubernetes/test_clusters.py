"""A service with the Kubernetes backend: drivers and executors are pods, and the hub decides how many."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import emberhub
import pytest
from emberhub.errors import ClusterFailed

from tests.support.hub import Work, doze, eventually
from tests.support.kube import Kube, KubeSite, a_kube_site

pytestmark = [pytest.mark.kubernetes, pytest.mark.spark, pytest.mark.timeout(240)]

MORE = """
  - name: shared
    executor: {{cores: 1, memory: 1G}}
    executors: {{min: 0, max: 3}}
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
    executors: {{min: 0, max: 2}}
    pod: {{environment: {{NVIDIA_VISIBLE_DEVICES: "7"}}}}
  - name: nvme
    executor: {{cores: 1, memory: 1G}}
    pod:
      volumes: [{{name: spark-local-dir-1, hostPath: {{path: {scratch}}}}}]
      volume_mounts: [{{name: spark-local-dir-1, mountPath: /scratch}}]
rules: {{min_hold: 1s, idle_after: 3s, think_time: 1s, reclaim_notice: 1s, deferral: 1s, credit_half_life: 0s}}
clusters_per_user: 10
heartbeat: 1s
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of the node that pods may mount."""
    directory = tmp_path_factory.mktemp("shared")
    directory.chmod(0o777)
    return directory


@pytest.fixture(scope="module")
def scratch(shared: Path) -> Path:
    """Another, as a fast local disk would be mounted."""
    directory = shared.parent / "scratch"
    directory.mkdir()
    directory.chmod(0o777)
    return directory


@pytest.fixture(scope="module")
def site(kube: Kube, shared: Path, scratch: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeSite]:
    for above in (shared, *shared.parents[:3]):
        above.chmod(above.stat().st_mode | 0o5)
    text = a_kube_site(kube.image, 3, MORE.format(shared=shared, scratch=scratch))
    site = KubeSite(tmp_path_factory.mktemp("kubernetes"), text, kube)
    try:
        yield site
    finally:
        site.end()


@pytest.fixture(autouse=True)
def clean(site: KubeSite) -> Iterator[None]:
    """After each test all clusters stop, and Kubernetes has nothing of them."""
    yield
    status, body = site.admin.ask("GET", "clusters?all=1")
    assert status == 200, body
    for each in body["clusters"]:
        site.admin.ask("DELETE", f"clusters/{each['id']}")
    eventually(lambda: not site.kube.left(), f"nothing is left in Kubernetes, but there is {site.kube.left()}", 60)


def remember(cluster: emberhub.Cluster, marks: Path, partitions: int) -> Any:
    """A cached table, each of whose partitions leaves a mark in a shared directory whenever it is computed."""
    directory = str(marks)

    def compute(rows: Iterator[Any]) -> Iterator[Any]:
        from pathlib import Path
        from uuid import uuid4

        for each in rows:
            for number in each.id:
                Path(directory, f"{number}-{uuid4().hex}").touch()
            yield each

    table = cluster.spark.range(0, partitions, 1, partitions).mapInPandas(compute, "id long").cache()
    assert table.count() == partitions
    return table


def test_executor_pods_come_and_go_with_the_work_and_move_their_blocks_when_somebody_else_needs_room(
    site: KubeSite, shared: Path
) -> None:
    alice, bob = site.person("alice"), site.person("bob")
    hers = alice.cluster(profile="shared")
    assert len(site.kube.pods("driver", hers)) == 1
    work = Work(hers, tasks=9, seconds=1.0)
    eventually(lambda: len(site.executors(hers)) == 3, "work brings executors", 60)
    work.finish()
    table = remember(hers, shared, 6)
    assert len(list(shared.iterdir())) == 6

    one = Work(hers, 30, 0.3, again=True)
    his = bob.cluster()
    two = Work(his, 30, 0.3, again=True)
    eventually(lambda: len(site.executors(his)) >= 1 and len(site.executors(hers)) <= 2, "they share", 90)
    assert table.count() == 6
    assert len(list(shared.iterdir())) == 6, "a cached block was computed again"
    one.finish()
    two.finish()
    eventually(lambda: not site.kube.pods("executor"), "idle executors go", 60)


def test_a_killed_executor_pod_costs_no_more_than_time_and_a_killed_driver_pod_is_told(site: KubeSite) -> None:
    alice = site.person("alice")
    cluster = alice.cluster()
    work = Work(cluster, tasks=20, seconds=1.0, query=doze)
    eventually(lambda: len(site.executors(cluster)) == 3, "three executors", 60)
    first = site.kube.pods("executor", cluster)[0]["metadata"]["name"]
    site.kube.run("delete", "pod", first, "--grace-period=0", "--force")
    work.finish()

    driver = site.kube.pods("driver", cluster)[0]["metadata"]["name"]
    site.kube.run("delete", "pod", driver, "--grace-period=1")
    eventually(lambda: alice.see(cluster).state == "failed", "the driver's end is seen", 30)
    assert alice.see(cluster).message == (
        "The Spark driver's pod was deleted, by an administrator or with its node. Start the cluster again to go on."
    )
    assert site.kube.left() == []


def test_a_service_that_is_killed_finds_its_drivers_again_with_their_executors(site: KubeSite) -> None:
    alice = site.person("alice")
    cluster = alice.cluster()
    work = Work(cluster, tasks=60, seconds=1.0, query=doze)
    eventually(lambda: len(site.executors(cluster)) == 3, "three executors", 60)
    generation = alice.see(cluster).generation
    before = {pod["metadata"]["uid"] for pod in site.kube.pods("driver") + site.kube.pods("executor")}
    site.process.send_signal(signal.SIGKILL)
    site.restart()
    eventually(lambda: alice.see(cluster).state == "running", "the driver is heard again", 30)
    assert work.running(), "the query should still run, or nothing was tested"
    assert {pod["metadata"]["uid"] for pod in site.kube.pods("driver") + site.kube.pods("executor")} == before
    assert alice.see(cluster).generation == generation
    cluster.stop()
    eventually(lambda: alice.see(cluster).state == "stopped", "it stops", 30)
    assert site.kube.left() == []


def test_what_keeps_pods_from_starting_is_told_in_the_notebook(site: KubeSite) -> None:
    alice = site.person("alice")
    with pytest.raises(ClusterFailed, match=r"The image localhost/there-is-none:1 of the driver cannot be had"):
        alice.cluster(name="bad-image", profile="no-image")

    nowhere = alice.cluster(name="nowhere", profile="nowhere")
    asking = Work(nowhere, 1, 0.0, query=doze)
    eventually(lambda: "No node is of the kind" in alice.see(nowhere).message, "the selector's cause is told", 30)
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": {"pods": "2"}}}
    site.kube.apply(quota)
    try:
        eventually(
            lambda: site.kube.get("resourcequota")[0].get("status", {}).get("used", {}).get("pods") == "2", "used", 30
        )
        with pytest.raises(ClusterFailed, match=r"quota leaves no room for the driver .*full"):
            alice.cluster(name="one-more")
    finally:
        site.kube.run("delete", "resourcequota", "full")
    nowhere.stop()
    with pytest.raises(AssertionError, match="the query failed"):
        asking.finish()


def test_executors_that_the_quota_refuses_are_told_though_spark_tells_only_its_log(site: KubeSite) -> None:
    alice = site.person("alice")
    cluster = alice.cluster()
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": {"pods": "1"}}}
    site.kube.apply(quota)
    try:
        eventually(
            lambda: site.kube.get("resourcequota")[0].get("status", {}).get("used", {}).get("pods") == "1", "used", 30
        )
        work = Work(cluster, 1, 0.0, query=doze)
        eventually(lambda: "quota leaves no room for the executors" in alice.see(cluster).message, "it is told", 30)
    finally:
        site.kube.run("delete", "resourcequota", "full")
    work.finish(90)


def test_tasks_know_their_gpu_and_who_finds_none_free_on_the_nodes_is_told(site: KubeSite) -> None:
    def address(rows: Iterator[Any]) -> Iterator[Any]:
        from pyspark import TaskContext

        # No assertion here: pytest's own is not there where this runs.
        for each in rows:
            each["id"] = int(TaskContext.get().resources()["gpu"].addresses[0])  # type: ignore[union-attr]
            yield each

    alice = site.person("alice")
    cluster = alice.cluster(profile="gpu", name="gpu")
    one = cluster.spark.range(0, 1, 1, 1).mapInPandas(address, "id long")
    asking = Work(cluster, 1, 0.0, query=lambda *_: one.collect()[0].id - 7)
    eventually(lambda: "a free GPU" in alice.see(cluster).message, "no node has one", 30)
    node = site.kube.get("nodes")[0]["metadata"]["name"]
    site.kube.advertise(node, {"nvidia.com/gpu": "2"})
    try:
        asking.finish(60)
        (pod,) = site.kube.pods("executor", cluster)
        assert pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    finally:
        cluster.stop()
        eventually(lambda: not site.kube.pods("executor", cluster), "it stops", 60)
        site.kube.advertise(node, {"nvidia.com/gpu": None})


def test_shuffle_files_lie_on_the_profiles_scratch_volume_and_are_gone_after(site: KubeSite, scratch: Path) -> None:
    cluster = site.person("alice").cluster(profile="nvme", name="nvme")
    rows = cluster.spark.range(1000).selectExpr("id % 7 AS k", "id").groupBy("k").count()
    assert len(rows.collect()) == 7
    assert list(scratch.rglob("shuffle_*.data")), "nothing was written to the volume"
    cluster.stop()
    eventually(lambda: not site.kube.left(), "it stops", 60)
    assert [path for path in scratch.rglob("*") if path.is_file()] == []


def test_a_drivers_account_may_manage_pods_and_nothing_else_and_executors_may_do_nothing(kube: Kube) -> None:
    def allowed(account: str) -> dict[str, str]:
        who = f"--as=system:serviceaccount:{kube.namespace}:{account}"
        table = kube.run("auth", "can-i", "--list", who).splitlines()[1:]
        # Everybody may ask what they may do, and read the server's versions.
        return {row.split()[0]: row[row.rindex("[") :] for row in table if not row.startswith((" ", "selfsubject"))}

    assert allowed("emberhub-driver") == {"pods": "[create get list watch patch delete deletecollection]"}
    assert allowed("default") == {}
