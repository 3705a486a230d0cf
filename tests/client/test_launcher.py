"""What the launcher offers and asks for; without a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import emberhub
import pytest
from emberhub.notebook.cards import Choice, card, costs, first_choice, offered, options, problem, view
from emberhub.wire import rest
from emberhub.wire.resources import Resources

from tests.support.connect import FakeDriver
from tests.support.fake_service import FakeService, a_cluster
from tests.support.hub import eventually


def a_profile(name: str = "small", **more: Any) -> rest.Profile:
    usual: dict[str, Any] = {
        "title": name.title(),
        "description": "One core each",
        "executor": Resources.of(cores=1, memory="1G"),
        "executors": rest.ExecutorRange(0, 4),
        "free": 3,
        "room": 8,
    }
    return rest.Profile(name=name, **{**usual, **more})


GPU = a_profile("gpu", executor=Resources.of(cores=4, memory="8G", gpus=1), free=0, room=2)
BARRIER = a_profile("barrier", gang=3)


def test_a_card_says_what_a_profile_is_what_it_costs_and_what_is_free() -> None:
    assert card(a_profile()) == (
        "Small: One core each. An executor costs 1 core, 1 GiB memory. There is room for 3 of 8 now."
    )
    assert card(GPU).endswith("There is room for none of 2 now, so you would wait for a turn.")
    assert card(BARRIER).endswith("It gets 3 at once or none.")


def test_options_are_there_only_where_some_profile_has_them_and_some_has_not() -> None:
    assert options([a_profile()]) == []
    assert options([GPU]) == []
    assert options([a_profile(), GPU]) == ["milligpus"]
    fast = a_profile("fast", executor=Resources.of(cores=1, memory="1G", nvme="100G"))
    assert options([a_profile(), GPU, fast]) == ["milligpus", "nvme"]
    assert [each.name for each in offered([a_profile(), GPU, fast], {"nvme"})] == ["fast"]
    assert offered([a_profile(), GPU, fast], {"nvme", "milligpus"}) == []


def test_the_last_choice_is_remembered_and_the_servers_profile_comes_next() -> None:
    profiles = [a_profile(), a_profile("default", default=True), GPU]
    last = a_cluster(profile="gpu", executors=rest.ExecutorRange(1, 2), state="stopped")
    assert first_choice(profiles, last, "small") == Choice("gpu", 1, 2)
    assert first_choice(profiles, a_cluster(profile="gone"), "small") == Choice("small", 0, 4)
    assert first_choice(profiles, None) == Choice("default", 0, 4)
    assert first_choice([], None) is None


def test_the_price_of_a_choice_is_told_before_it_is_made() -> None:
    assert costs(a_profile(), 0, 4) == (
        "At most 4 executors, which is 4 cores, 4 GiB memory. Nothing is kept for you while you do not work."
    )
    assert costs(a_profile(), 1, 4).endswith("Of that, 1 core, 1 GiB memory are kept for you whether you work or not.")


@pytest.mark.parametrize(
    ("low", "high", "profile", "part"),
    [
        (0, 1, a_profile(), ""),
        (3, 2, a_profile(), "goes downwards"),
        (0, 0, a_profile(), "Small needs at least 1"),
        (0, 2, BARRIER, "Barrier needs at least 3"),
        (9, 9, a_profile(), "room for 8 at most"),
        (0, 1, None, "No profile has all of that"),
    ],
)
def test_a_range_that_cannot_be_is_told_beside_it(low: int, high: int, profile: rest.Profile | None, part: str) -> None:
    said = problem(low, high, profile)
    assert part in said and bool(said) == bool(part)


def test_what_can_be_pressed_follows_from_what_is() -> None:
    def can(mine: rest.Cluster | None, **more: Any) -> set[str]:
        seen = view(mine, **{"attached": False, **more})
        return {what for what in ("start", "stop", "scale", "reconnect") if getattr(seen, what)}

    assert can(None) == {"start"}
    assert can(a_cluster(state="stopped")) == {"start"}
    assert can(a_cluster()) == {"stop", "scale", "reconnect"}
    assert can(a_cluster(), attached=True) == {"stop", "scale"}
    assert can(a_cluster(), busy=True) == set()


def test_the_line_says_in_words_what_is() -> None:
    assert view(None, attached=False).line == "You have no cluster yet. Choose a profile and press Start."
    failed = a_cluster(state="failed", message="Its driver ran out of memory.")
    assert view(failed, attached=False).line == (
        "Cluster main is failed. Its driver ran out of memory. Press Start to start it again."
    )
    assert view(a_cluster(), attached=False).line == (
        "Cluster main runs with profile small and has 2 executors. Press Reconnect to use it in this notebook."
    )
    starting = a_cluster(state="starting", message="The driver is starting.")
    assert view(starting, attached=False).line == "Cluster main is not ready yet: The driver is starting."


# --- the widget ---


@pytest.fixture
def driver() -> Iterator[FakeDriver]:
    one = FakeDriver()
    yield one
    one.stop()


def text(html: Any) -> str:
    return re.sub(r"<[^>]+>", "", html.value)


def buttons(launcher: Any) -> set[str]:
    return {what for what, button in launcher._buttons.items() if not button.disabled}


def test_the_launcher_starts_a_cluster_and_then_spark_is_there(
    service: FakeService, driver: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Shell:
        user_ns: dict[str, Any] = {"spark": "mine"}  # noqa: RUF012

    monkeypatch.setattr("emberhub.notebook.launcher_widget.get_ipython", Shell)
    service.will("GET", "clusters", rest.Clusters(()))
    service.will("GET", "profiles", rest.Profiles((a_profile(default=True), GPU)))
    launcher = emberhub.launcher()
    assert buttons(launcher) == {"start"}
    assert [name for _, name in launcher._cards.options] == ["small", "gpu"]
    assert [box.description for box in launcher._options.children] == ["GPU"]
    launcher._boxes["milligpus"].value = True
    assert [name for _, name in launcher._cards.options] == ["gpu"]
    launcher._boxes["milligpus"].value = False
    launcher._cards.value = "small"
    launcher._low.value = 5
    assert "goes downwards" in text(launcher._wrong) and buttons(launcher) == set()
    launcher._low.value, launcher._high.value = 1, 2

    service.will("POST", "clusters", a_cluster(executors=rest.ExecutorRange(1, 2)))
    service.will("GET", "clusters/c-1", a_cluster(executors=rest.ExecutorRange(1, 2)))
    service.will("GET", "clusters/c-1/connection", driver.connection)
    launcher._buttons["start"].click()
    eventually(lambda: "spark.range" in text(launcher._outcome), "it says that spark is ready", 20)
    assert text(launcher._outcome).endswith("The variable spark was something else before, and is replaced.")
    assert Shell.user_ns["cluster"].name == "main" and Shell.user_ns["spark"] is Shell.user_ns["cluster"].spark
    eventually(lambda: buttons(launcher) == {"stop", "scale"}, "it can be stopped and scaled", 10)
    asked = next(each.body for each in service.asked if each.method == "POST")
    assert asked["profile"] == "small" and asked["executors"] == {"min": 1, "max": 2}

    service.refuse("PATCH", "clusters/c-1", 400, "A minimum of 1 is too much; ask for fewer.")
    launcher._buttons["scale"].click()
    eventually(lambda: text(launcher._outcome).startswith("A minimum of 1"), "the refusal is said", 10)
    assert 'role="alert"' in launcher._outcome.value
    service.will("DELETE", "clusters/c-1", b"")
    service.will("GET", "clusters/c-1", a_cluster(state="stopped", ready=False, running=(), version=9))
    eventually(lambda: "stop" in buttons(launcher), "it is no longer busy", 10)
    launcher._buttons["stop"].click()
    eventually(lambda: buttons(launcher) == {"start"}, "it can be started again", 10)
    launcher._leave()


def test_the_launcher_of_a_cluster_that_runs_offers_to_reconnect_with_its_own_range(service: FakeService) -> None:
    service.will("GET", "clusters", rest.Clusters((a_cluster(executors=rest.ExecutorRange(1, 3)),)))
    service.will("GET", "clusters/c-1", a_cluster())
    service.will("GET", "profiles", rest.Profiles((a_profile(),)))
    launcher = emberhub.launcher()
    launcher._leave()
    assert (launcher._low.value, launcher._high.value) == (1, 3)
    assert buttons(launcher) == {"reconnect", "scale", "stop"}
