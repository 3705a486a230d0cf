"""What goes wrong on a cluster of pods, what it costs, and what people read."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from emberhub.errors import ClusterFailed

from tests.support.hub import Work, doze, eventually
from tests.support.kube import KubeSite
from tests.support.webhook import denying

pytestmark = [pytest.mark.kubernetes, pytest.mark.spark, pytest.mark.timeout(600)]


KILL = "for p in /proc/[0-9]*; do grep -qz [K]ubernetesExecutorBackend $p/cmdline && kill -9 ${p#/proc/}; done; true"


@pytest.fixture(autouse=True)
def clean(site: KubeSite) -> Iterator[None]:
    yield
    site.clear()


@contextmanager
def room_for(site: KubeSite, pods: int) -> Iterator[None]:
    """A quota that is full with so many pods, which are there."""
    spec = {"hard": {"pods": str(pods)}}
    site.kube.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": spec})

    def used() -> bool:
        (quota,) = site.kube.get("resourcequotas")
        return bool(quota.get("status", {}).get("used", {}).get("pods") == str(pods))

    try:
        eventually(used, "the quota is full", 30)
        yield
    finally:
        site.kube.run("delete", "resourcequota", "full")


def test_killed_and_drained_executors_cost_time_and_a_killed_driver_is_told(site: KubeSite) -> None:
    alice = site.person("alice")
    cluster = alice.cluster()
    work = Work(cluster, tasks=40, seconds=1.0, query=doze)
    eventually(lambda: len(site.executors(cluster)) == 4, "four executors", 90)
    first, *_ = (pod["metadata"]["name"] for pod in site.kube.pods("executor", cluster))
    site.kube.run("exec", first, "--", "sh", "-c", KILL)

    node = site.kube.get("nodes")[0]["metadata"]["name"]
    label = f"emberhub/cluster={cluster.id},app.kubernetes.io/component=executor"
    try:
        more = ("--force", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=90s")
        site.kube.run("drain", node, f"--pod-selector={label}", *more)
        eventually(lambda: "No node takes the executors" in alice.see(cluster).message, "the cause is told", 30)
    finally:
        site.kube.run("uncordon", node)
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
    work = Work(cluster, tasks=80, seconds=1.0, query=doze)
    eventually(lambda: len(site.executors(cluster)) == 4, "four executors", 90)
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


def test_while_the_api_server_is_away_queries_go_on_and_who_starts_a_cluster_waits_and_is_told(site: KubeSite) -> None:
    servers = [each for each in psutil.process_iter(["name"]) if each.info["name"] == "kube-apiserver"]
    if not servers:
        pytest.skip("the cluster's API server is no process of this machine")
    alice, bob = site.person("alice"), site.person("bob")
    hers = alice.cluster(executors=(0, 2))
    work = Work(hers, tasks=20, seconds=1.0, again=True, query=doze)
    eventually(lambda: len(site.executors(hers)) == 2, "two executors", 90)
    generation = alice.see(hers).generation
    done = work.queries
    for server in servers:
        server.suspend()
    try:
        status, body = bob.ask("POST", "clusters", {"name": "main"})
        assert status in (200, 201, 202), body
        path = f"clusters/{body['id']}"
        told = "Kubernetes does not answer at the moment."
        eventually(lambda: told in bob.ask("GET", path)[1]["message"], "he is told", 40)
        eventually(lambda: work.queries >= done + 2, "her queries end as before", 90)
    finally:
        for server in servers:
            server.resume()
    his = bob.cluster()
    assert his.id == body["id"]
    assert (bob.see(his).generation, alice.see(hers).generation) == (body["generation"] + 1, generation)
    job = Work(his, 4, 0.1, query=doze)
    job.finish()
    work.finish()


def test_what_keeps_a_driver_from_starting_is_told_in_the_notebook(site: KubeSite, tmp_path: Path) -> None:
    alice = site.person("alice")
    with pytest.raises(ClusterFailed, match=r"The image localhost/there-is-none:1 of the driver cannot be had"):
        alice.cluster(name="bad-image", profile="no-image")
    assert site.kube.left() == []
    with room_for(site, 0), pytest.raises(ClusterFailed, match=r"quota leaves no room for the driver .*full"):
        alice.cluster(name="one-more")
    assert site.kube.left() == []
    with (
        denying(site.kube, "driver", "no pods on Sundays", tmp_path),
        pytest.raises(ClusterFailed, match=r"rules of the Kubernetes cluster refuse the driver: [Nn]o pods on Sundays"),
    ):
        alice.cluster(name="denied")
    assert site.kube.left() == []


def test_what_keeps_executors_from_starting_is_told_though_spark_tells_only_its_log(
    site: KubeSite, tmp_path: Path
) -> None:
    alice = site.person("alice")
    nowhere = alice.cluster(name="nowhere", profile="nowhere")
    asking = Work(nowhere, 1, 0.0, query=doze)
    eventually(lambda: "No node is of the kind" in alice.see(nowhere).message, "the selector's cause is told", 30)
    nowhere.stop()
    with pytest.raises(AssertionError, match="the query failed"):
        asking.finish()
    eventually(lambda: not site.kube.left(), "it stops", 60)

    cluster = alice.cluster()
    Work(cluster, 1, 0.0, query=doze).finish(90)
    eventually(lambda: not site.kube.pods("executor"), "the first executor, which comes unasked, goes", 60)
    with room_for(site, 1):
        work = Work(cluster, 1, 0.0, query=doze)
        eventually(lambda: "quota leaves no room for the executors" in alice.see(cluster).message, "it is told", 30)
    work.finish(90)
    eventually(lambda: not site.kube.pods("executor"), "the executor goes", 60)
    with denying(site.kube, "executor", "no pods on Sundays", tmp_path):
        work = Work(cluster, 1, 0.0, query=doze)
        eventually(lambda: "refuse the executors: " in alice.see(cluster).message, "it is told", 30)
        assert "o pods on Sundays" in alice.see(cluster).message
    work.finish(90)
