"""Starting a cluster, finding it again, and what is said while waiting."""

from __future__ import annotations

import emberhub
import pytest
from emberhub.wire import rest

from tests.support.fake_service import FakeService, a_cluster


def test_a_cluster_is_asked_for_with_what_the_user_wants(service: FakeService) -> None:
    service.will("POST", "clusters", a_cluster())
    cluster = emberhub.cluster(
        "big", executors=(1, 3), name="work", conf={"spark.sql.ansi.enabled": "true"}, quiet=True
    )
    assert cluster.id == "c-1"
    assert service.asked[0].body == {
        "name": "work",
        "profile": "big",
        "executors": {"min": 1, "max": 3},
        "conf": {"spark.sql.ansi.enabled": "true"},
    }


def test_a_single_number_of_executors_is_the_most(service: FakeService) -> None:
    service.will("POST", "clusters", a_cluster())
    emberhub.cluster(executors=3, quiet=True)
    assert service.asked[0].body["executors"] == {"min": 0, "max": 3}


def test_it_waits_until_the_cluster_takes_work_and_says_for_what(
    service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    service.will("POST", "clusters", a_cluster(ready=False, state="pending", message="Waiting for the engine."))
    starting = a_cluster(ready=False, state="starting", message="Spark starts.", version=2)
    service.will("GET", "clusters/c-1", starting, a_cluster(running=(), granted=0, version=3))
    emberhub.cluster()
    shown = capsys.readouterr().err
    said = ["asking the hub", "Waiting for the engine", "Spark starts", "Cluster main is ready"]
    assert [text for text in said if text in shown] == said
    assert sorted(said, key=shown.index) == said
    assert "It has 0 executors, and gets up to 4 as there is work" in shown
    assert service.asked[1].path == "clusters/c-1?after=1&wait=1"


def test_without_waiting_it_returns_at_once(service: FakeService) -> None:
    service.will("POST", "clusters", a_cluster(ready=False, state="pending"))
    assert emberhub.cluster(wait=False, quiet=True).name == "main"
    assert len(service.asked) == 1


def test_a_restart_is_told_with_its_reason(service: FakeService, capsys: pytest.CaptureFixture[str]) -> None:
    service.will("POST", "clusters", a_cluster(restarted="It was idle for 30 minutes.", generation=2))
    cluster = emberhub.cluster()
    assert "started again, for it had stopped: It was idle for 30 minutes." in capsys.readouterr().err
    assert "It was idle for 30 minutes" in repr(cluster)


def test_a_cluster_that_ends_while_it_is_waited_for_is_an_error_with_its_reason(service: FakeService) -> None:
    service.will("POST", "clusters", a_cluster(ready=False, state="starting"))
    service.will("GET", "clusters/c-1", a_cluster(ready=False, state="failed", message="The driver ran out of memory."))
    with pytest.raises(emberhub.ClusterFailed, match="main is failed: The driver ran out of memory"):
        emberhub.cluster(quiet=True)


def test_a_cluster_that_is_not_ready_in_time_says_what_it_waited_for(service: FakeService) -> None:
    waiting = a_cluster(ready=False, state="pending", message="The machine is full.")
    service.will("POST", "clusters", waiting)
    service.will("GET", "clusters/c-1", waiting)
    with pytest.raises(
        emberhub.ClusterFailed, match=r"not ready after 0 s .*The machine is full.*emberhub\.cluster\(\)"
    ):
        emberhub.cluster(timeout=0, quiet=True)


def test_the_service_s_refusal_is_raised_in_its_own_words(service: FakeService) -> None:
    service.refuse("POST", "clusters", 400, "There is no profile 'huge'; choose small or big.")
    with pytest.raises(emberhub.RequestRefused, match=r"There is no profile .huge.; choose small or big\.") as refused:
        emberhub.cluster("huge", quiet=True)
    assert refused.value.status == 400


@pytest.mark.parametrize("wrong", [(-1, 2), (0, 99999), ("a", "b"), (0.5, 2)])
def test_executors_that_are_no_counts_are_refused_before_anything_is_sent(service: FakeService, wrong: object) -> None:
    with pytest.raises(ValueError, match=r"executors is .*whole numbers from 0 to 10000"):
        emberhub.cluster(executors=wrong, quiet=True)  # type: ignore[arg-type]
    assert service.asked == []


def test_the_profile_picked_for_the_server_is_the_default_of_a_cluster_that_does_not_run(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBERHUB_PROFILE", "big")
    service.will("GET", "clusters", rest.Clusters((a_cluster(state="stopped"),)), rest.Clusters((a_cluster(),)))
    service.will("POST", "clusters", a_cluster())
    emberhub.cluster(quiet=True)
    emberhub.cluster(quiet=True)
    sent = [asked.body["profile"] for asked in service.asked if asked.method == "POST"]
    assert sent == ["big", None], "a running cluster keeps its profile"


def test_scaling_and_stopping_reach_the_cluster_by_its_id(service: FakeService) -> None:
    service.will("POST", "clusters", a_cluster())
    service.will("PATCH", "clusters/c-1", a_cluster(executors=rest.ExecutorRange(2, 3)))
    service.will("DELETE", "clusters/c-1", b"")
    cluster = emberhub.cluster(quiet=True)
    assert cluster.scale(2, 3).cluster.executors == rest.ExecutorRange(2, 3)
    assert service.asked[-1].body == {"executors": {"min": 2, "max": 3}}
    cluster.stop()
    assert service.asked[-1].method == "DELETE"


def test_clusters_lists_mine(service: FakeService) -> None:
    service.will("GET", "clusters", rest.Clusters((a_cluster(), a_cluster(id="c-2", name="other"))))
    assert [cluster.name for cluster in emberhub.clusters()] == ["main", "other"]


def test_spark_of_a_stopped_cluster_says_why_and_how_to_start_it(service: FakeService) -> None:
    service.will("POST", "clusters", a_cluster())
    service.will(
        "GET", "clusters/c-1", a_cluster(state="stopped", ready=False, message="It was stopped by alice.", resumable=2)
    )
    cluster = emberhub.cluster(quiet=True)
    with pytest.raises(emberhub.ClusterFailed, match=r"stopped by alice\. Start it again with emberhub\.cluster"):
        _ = cluster.spark
