"""What the panel shows, and what it does with what is pressed; without a browser."""

from __future__ import annotations

import json
import time
from typing import Any

import emberhub
import msgspec
import pytest
from emberhub.notebook.panel import better_profile, panel_state
from emberhub.notebook.timeline import LANES, WINDOW, Timeline
from emberhub.wire import rest
from emberhub.wire.resources import Resources

from tests.support.fake_service import FakeService, a_cluster
from tests.support.hub import eventually

UNMET = rest.Unmet(
    executors=2,
    rule="D",
    resource="memory",
    place=3,
    estimate=40.0,
    cheapest="With executors of 1 core, 1 GiB memory it would start now.",
    reason="More users ask than there are executors: they take turns, and this one's comes.",
)


def an_executor(name: str, tasks: int = 0, age: float = 3.0, cached: int = 0, **more: Any) -> rest.ExecutorView:
    return rest.ExecutorView(name, age, tasks, cached, more.get("shuffle", 0), more.get("going", False))


def a_profile(name: str, memory: str, free: int, **more: Any) -> rest.Profile:
    size = Resources.of(cores=1, memory=memory)
    return rest.Profile(name, name.title(), "", size, rest.ExecutorRange(0, 4), free=free, room=8, **more)


def shown(cluster: rest.Cluster, **more: Any) -> dict[str, Any]:
    timeline = Timeline()
    timeline.add(cluster, 100.0)
    state = panel_state(cluster, timeline.seen(100.0), **more)
    json.dumps(state)
    return state


def test_a_running_cluster_shows_what_it_has() -> None:
    running = (an_executor("1", 2, cached=5 << 20), an_executor("2", shuffle=1 << 20))
    state = shown(a_cluster(running=running, wanted=7))
    assert state["state_text"] == "running"
    assert [fact[:2] for fact in state["facts"]] == [
        ["Executors granted", "2 (2 running)"],
        ["Executors wanted", "7"],
        ["Tasks running", "2"],
        ["Memory held", "2 GiB"],
        ["Storage used", "1 MiB"],
    ]
    assert state["facts"][3][2] == "5 MiB of it cached data"
    assert state["line"] is None and state["reclaims"] == [] and state["can"] == {"start": False, "stop": True}
    assert state["summary"] == (
        "The last 120 seconds: 2 executors running, 1 with tasks; the work at hand could use 7."
    )


def test_who_waits_sees_the_place_the_reason_and_what_would_help() -> None:
    state = shown(a_cluster(unmet=UNMET, message=UNMET.reason))
    assert state["line"]["facts"] == "2 executors more wanted, place 3 in line, the next in about 40 s"
    assert state["line"]["reason"].startswith("More users ask")
    assert state["message"] == "", "the reason is not said twice"


def test_the_cheapest_change_has_a_button_where_a_profile_would_be_served_now() -> None:
    waits = a_cluster(running=(), unmet=UNMET)
    offers = [a_profile("small", "4G", 3), a_profile("tiny", "1G", 3), a_profile("gang", "2G", 3, gang=4)]
    state = shown(waits, profiles=offers)
    assert state["line"]["change"] == {
        "profile": "tiny",
        "label": "Start again with Tiny",
        "says": "1 core, 1 GiB memory each, and there is room for 3 executors now. "
        "What is cached in this cluster is lost.",
    }
    assert shown(waits, profiles=[a_profile("tiny", "1G", 0)])["line"]["change"] is None


def test_no_change_is_offered_where_the_service_offers_none_or_there_is_something_to_lose() -> None:
    offers = [a_profile("tiny", "1G", 3)]
    assert better_profile(a_cluster(unmet=UNMET), offers) is None
    silent = msgspec.structs.replace(UNMET, cheapest="")
    assert better_profile(a_cluster(running=(), unmet=silent), offers) is None


def test_an_executor_that_is_asked_back_counts_down_with_what_can_be_done() -> None:
    notices = (rest.ReclaimNotice("1", 8.26, "Bob has none."), rest.ReclaimNotice("2", 3.0, "", deferred=True))
    first, second = shown(a_cluster(reclaims=notices))["reclaims"]
    assert (first["seconds"], first["says"], first["later"]) == (8.3, "Executor 1 is asked back. Bob has none.", True)
    assert not first["another"], "both of two are asked back: there is none to give instead"
    assert (second["later"], second["says"]) == (False, "Executor 2 is asked back.")
    one = a_cluster(reclaims=notices[:1])
    assert shown(one)["reclaims"][0]["another"]


def test_a_stopped_cluster_shows_why_and_can_be_started() -> None:
    state = shown(a_cluster(state="stopped", ready=False, running=(), message="It was stopped by alice."), ui="/ui/")
    assert (state["message"], state["facts"], state["ui"]) == ("It was stopped by alice.", [], "")
    assert state["can"] == {"start": True, "stop": False}


def test_the_timeline_has_a_lane_for_each_executor_with_what_it_did() -> None:
    timeline = Timeline()
    timeline.add(a_cluster(running=(an_executor("1", 0, age=10.0),), wanted=0), 100.0)
    timeline.add(a_cluster(running=(an_executor("1", 2),), wanted=4), 105.0)
    timeline.add(a_cluster(running=(an_executor("1", 2), an_executor("2", 1, age=0.0)), wanted=4), 108.0)
    timeline.add(a_cluster(running=(an_executor("2", 1),), wanted=0), 110.0)
    seen = timeline.seen(112.0)
    assert seen["lanes"] == [
        {"name": "2", "spans": [[4.0, None, 1]], "gone": False},
        {"name": "1", "spans": [[22.0, 7.0, 0], [7.0, 2.0, 2]], "gone": True},
    ]
    assert seen["demand"] == [[12.0, 0, 1], [7.0, 4, 1], [4.0, 4, 2], [2.0, 0, 1]]


def test_the_timeline_forgets_and_has_a_bound() -> None:
    timeline = Timeline()
    for at in range(2000):
        timeline.add(a_cluster(running=(an_executor("1", at % 2),), wanted=at), float(at))
    lane = timeline.seen(2000.0)["lanes"][0]
    assert len(lane["spans"]) <= WINDOW + 2
    many = tuple(an_executor(str(number)) for number in range(100))
    timeline.add(a_cluster(running=many), 3000.0)
    seen = timeline.seen(3000.0)
    assert (len(seen["lanes"]), seen["more"]) == (LANES, 100 - LANES)
    assert len(json.dumps(seen)) < 30_000


def test_an_executor_that_comes_again_after_a_new_start_has_a_new_lane() -> None:
    timeline = Timeline()
    timeline.add(a_cluster(running=(an_executor("0", 1),)), 100.0)
    timeline.add(a_cluster(running=()), 110.0)
    timeline.add(a_cluster(running=(an_executor("0", 1, age=1.0),), generation=2), 120.0)
    (lane,) = timeline.seen(120.0)["lanes"]
    assert lane["spans"] == [[1.0, None, 1]]


# --- the widget, with a service that is a few answers ---


@pytest.fixture
def cluster(service: FakeService) -> emberhub.Cluster:
    service.will("POST", "clusters", a_cluster())
    service.will("GET", "clusters/c-1", a_cluster())
    return emberhub.cluster(quiet=True)


def press(panel: Any, **content: Any) -> None:
    panel._asked(panel, content, [])


def test_the_panel_is_told_news_and_asks_no_more_once_nobody_looks(
    cluster: emberhub.Cluster, service: FakeService
) -> None:
    panel = cluster.panel()
    press(panel, do="open")
    service.will("GET", "clusters/c-1", a_cluster(wanted=9, version=2))
    eventually(lambda: panel.state["facts"][1][1] == "9", "the news arrives", 10)
    press(panel, do="close")
    eventually(lambda: not cluster._feed._wanted(), "nobody listens", 10)


def test_nothing_is_told_where_nothing_has_changed(cluster: emberhub.Cluster, service: FakeService) -> None:
    told: list[object] = []
    leave = cluster._feed.listen(told.append)

    def looks() -> int:
        return sum(asked.method == "GET" and "after=1" in asked.path for asked in service.asked)

    eventually(lambda: looks() >= 3, "the service was asked for news three times", 10)
    leave()
    assert len(told) == 1


def test_a_busy_cluster_is_told_of_at_most_five_times_a_second(cluster: emberhub.Cluster, service: FakeService) -> None:
    service.will("GET", "clusters/c-1", *(a_cluster(wanted=number % 5, version=number) for number in range(2, 200)))
    panel, sent = cluster.panel(), []
    panel.observe(sent.append, "state")
    began = time.monotonic()
    eventually(lambda: len(sent) >= 6, "news arrive", 30)
    assert len(sent) <= 5 * (time.monotonic() - began) + 1
    press(panel, do="close")


def test_a_service_that_is_away_is_said_and_so_is_its_return(cluster: emberhub.Cluster, service: FakeService) -> None:
    panel = cluster.panel()
    service.refuse("GET", "clusters/c-1", 503, "The service restarts")
    eventually(lambda: panel.state["problem"], "the panel says so", 10)
    assert panel.state["problem"] == "The service restarts. It is asked again every 2 s"
    service.will("GET", "clusters/c-1", a_cluster(version=3))
    eventually(lambda: not panel.state["problem"], "the panel takes it back", 10)
    press(panel, do="close")


def test_what_is_pressed_goes_to_the_service_and_its_answer_is_said(
    cluster: emberhub.Cluster, service: FakeService
) -> None:
    panel = cluster.panel()
    service.will("POST", "clusters/c-1/reclaims/2", a_cluster())
    press(panel, do="later", executor="2")
    eventually(lambda: panel.said == "Executor 2 stays a little longer.", "it is said", 10)
    service.refuse("POST", "clusters/c-1/reclaims/2", 409, "Executor 2 was given a little longer already.")
    press(panel, do="another", executor="2")
    eventually(lambda: panel.said == "Executor 2 was given a little longer already.", "the refusal is said", 10)
    wishes = [asked.body for asked in service.asked if "reclaims" in asked.path]
    assert wishes == [{"wish": "later"}, {"wish": "another"}]
    press(panel, do="close")


def test_a_change_of_profile_stops_the_cluster_first(cluster: emberhub.Cluster, service: FakeService) -> None:
    panel = cluster.panel()
    press(panel, do="close")
    service.will("DELETE", "clusters/c-1", b"")
    service.will("GET", "clusters/c-1", a_cluster(state="stopping"), a_cluster(state="stopped", version=5))
    press(panel, do="change", profile="tiny")
    eventually(lambda: panel.said == "The cluster is being started.", "it is started", 10)
    changes = [(asked.method, asked.body) for asked in service.asked if asked.method != "GET"]
    assert changes[1:] == [
        ("DELETE", None),
        ("POST", {"name": "main", "profile": "tiny", "executors": None, "conf": {}}),
    ]


def test_without_ipywidgets_the_panel_says_what_to_install(
    cluster: emberhub.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "emberhub.notebook.panel_widget", None)
    with pytest.raises(emberhub.EmberhubError, match="pip install 'emberhub\\[notebook\\]', restart the kernel"):
        cluster.panel()
