"""A service with the Kubernetes backend: drivers and executors are pods, and the hub decides how many."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import emberhub
import emberhub.session
import pytest
from emberhub.wire import rest

from tests.support.hub import Work, doze, eventually, remember
from tests.support.kube import KubeSite

pytestmark = [pytest.mark.kubernetes, pytest.mark.spark, pytest.mark.timeout(600)]


@pytest.fixture(autouse=True)
def clean(site: KubeSite) -> Iterator[None]:
    yield
    site.clear()


def test_three_people_share_four_executor_pods_and_blocks_move_when_one_is_taken(site: KubeSite, shared: Path) -> None:
    alice, bob, carol = (site.person(name) for name in ("alice", "bob", "carol"))
    hers = alice.cluster(profile="shared")
    (driver,) = site.kube.pods("driver", hers)
    work = Work(hers, tasks=8, seconds=1.0, query=doze)
    eventually(lambda: len(site.executors(hers)) == 4, "alone, she has all", 120)
    work.finish()
    table = remember(hers, shared, 8)
    assert len(list(shared.iterdir())) == 8

    # She goes on, or her executors would go before anybody else needs them.
    jobs = [Work(hers, 120, 0.3, again=True, query=doze)]
    others = [bob.cluster(), carol.cluster()]
    jobs += [Work(cluster, 30, 0.3, again=True, query=doze) for cluster in others]
    eventually(
        lambda: all(site.executors(each) for each in others) and 1 <= len(site.executors(hers)) <= 2, "they share", 120
    )
    assert table.count() == 8
    assert len(list(shared.iterdir())) == 8, "a cached block was computed again"

    there = rest.Connection(**alice.ask("GET", f"clusters/{hers.id}/connection")[1])
    assert there.host == driver["status"]["podIP"]
    his = rest.Connection(**bob.ask("GET", f"clusters/{others[0].id}/connection")[1])
    with pytest.raises(Exception, match=r"(?i)unauthenticated|token"):
        emberhub.session.connect(rest.Connection(there.host, there.port, his.token), alice.see(hers))
    for job in jobs:
        job.finish()
    eventually(lambda: not site.kube.pods("executor"), "idle executors go", 60)


def test_tasks_know_their_gpu_and_who_finds_none_free_is_told_what_there_is(site: KubeSite) -> None:
    def address(rows: Iterator[Any]) -> Iterator[Any]:
        import time

        from pyspark import TaskContext

        # No assertion here: pytest's own is not there where this runs.
        for each in rows:
            time.sleep(1)
            each["id"] = int(TaskContext.get().resources()["gpu"].addresses[0])  # type: ignore[union-attr]
            yield each

    def addresses(cluster: emberhub.Cluster, tasks: int, _: float) -> int:
        rows = cluster.spark.range(0, tasks, 1, tasks).mapInPandas(address, "id long").collect()
        assert {row.id for row in rows} == {7}, rows
        return sum(range(tasks))

    people = [site.person(name) for name in ("alice", "bob", "carol")]
    first = people[0].cluster(profile="gpu", name="gpu")
    jobs = [Work(first, 90, 1.0, query=addresses)]
    eventually(lambda: "a free GPU" in people[0].see(first).message, "no node has one", 60)
    node = site.kube.get("nodes")[0]["metadata"]["name"]
    site.kube.advertise(node, {"nvidia.com/gpu": "2"})
    try:
        jobs.append(Work(people[1].cluster(profile="gpu", name="gpu"), 90, 1.0, query=addresses))
        eventually(lambda: len(site.executors()) == 2, "two executors with a GPU each", 90)
        for pod in site.kube.pods("executor"):
            assert pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
        third = people[2].cluster(profile="gpu", name="gpu")
        jobs.append(Work(third, 1, 1.0, query=addresses))
        unmet = eventually(lambda: people[2].see(third).unmet, "the third waits", 90)
        assert unmet.resource == "milligpus", unmet
        assert "GPU" in unmet.reason, unmet
        assert unmet.cheapest, unmet
        first.stop()
        jobs[2].finish(120)
    finally:
        site.clear()
        site.kube.advertise(node, {"nvidia.com/gpu": None})


def test_shuffle_files_lie_on_the_profiles_scratch_volume_and_are_gone_after(site: KubeSite, scratch: Path) -> None:
    cluster = site.person("alice").cluster(profile="nvme", name="nvme")
    rows = cluster.spark.range(1000).selectExpr("id % 7 AS k", "id").groupBy("k").count()
    assert len(rows.collect()) == 7
    assert list(scratch.rglob("shuffle_*.data")), "nothing was written to the volume"
    cluster.stop()
    eventually(lambda: not site.kube.left(), "it stops", 60)
    assert [path for path in scratch.rglob("*") if path.is_file()] == []


def test_a_drivers_account_may_manage_pods_and_nothing_else_and_executors_may_do_nothing(site: KubeSite) -> None:
    def allowed(account: str) -> dict[str, str]:
        who = f"--as=system:serviceaccount:{site.kube.namespace}:{account}"
        table = site.kube.run("auth", "can-i", "--list", who).splitlines()[1:]
        # Everybody may ask what they may do, and read the server's versions.
        return {row.split()[0]: row[row.rindex("[") :] for row in table if not row.startswith((" ", "selfsubject"))}

    assert allowed("emberhub-driver") == {"pods": "[create get list watch patch delete deletecollection]"}
    assert allowed("default") == {}
