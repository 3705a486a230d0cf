"""Talking to the service: what is repeated, what is not, and how each failure reads."""

from __future__ import annotations

import socket

import emberhub
import pytest
from emberhub import http
from emberhub.wire import rest

from tests.support.fake_service import TOKEN, FakeService, a_cluster


def test_outside_a_hub_it_says_which_variables_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EMBERHUB_URL", raising=False)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", TOKEN)
    with pytest.raises(emberhub.NotInHub, match="EMBERHUB_URL not set"):
        emberhub.clusters()
    monkeypatch.delenv("JUPYTERHUB_API_TOKEN")
    with pytest.raises(emberhub.NotInHub, match="EMBERHUB_URL and JUPYTERHUB_API_TOKEN not set"):
        emberhub.cluster()


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "file:///etc/passwd", "http://"])
def test_an_address_that_is_none_is_told_with_an_example(address: str) -> None:
    with pytest.raises(emberhub.NotInHub, match=r"no address.*/services/emberhub"):
        http.Service(address, TOKEN)


def test_reading_is_repeated_while_the_service_restarts(service: FakeService) -> None:
    away = (503, rest.Problem(503, "The service starts."))
    service.will("GET", "clusters/c-1", away, away, a_cluster())
    told: list[str] = []
    seen = http.from_environment().get("clusters/c-1", rest.Cluster, patience=30, tell=told.append)
    assert seen == a_cluster()
    assert told == ["The service starts; trying again"] * 2


def test_starting_is_repeated_too_for_it_may_be_asked_twice(
    service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    service.will("POST", "clusters", (502, b"<html>Bad Gateway</html>"), a_cluster())
    emberhub.cluster()
    assert len(service.asked) == 2
    assert "away (status 502); trying again" in capsys.readouterr().err


def test_a_refusal_is_not_repeated(service: FakeService) -> None:
    service.refuse("GET", "clusters/c-1", 404, "You have no such cluster.")
    with pytest.raises(emberhub.RequestRefused, match="You have no such cluster"):
        http.from_environment().get("clusters/c-1", rest.Cluster, patience=30)
    assert len(service.asked) == 1


def test_nobody_there_is_told_with_the_address_after_the_patience() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{nobody.getsockname()[1]}/services/emberhub"
        told: list[str] = []
        with pytest.raises(emberhub.ServiceUnavailable, match=f"{address} does not answer"):
            http.Service(address, TOKEN).get("clusters", rest.Clusters, patience=0.5, tell=told.append)
    assert told


def test_a_redirect_is_not_followed_for_it_would_take_the_token_along(service: FakeService) -> None:
    service.will("GET", "clusters", "http://127.0.0.1:1/hub/login", status=302)
    with pytest.raises(emberhub.RequestRefused, match="302"):
        emberhub.clusters()


def test_a_token_that_the_hub_does_not_take_names_its_variable(service: FakeService) -> None:
    service.will("GET", "clusters", b"<html>Forbidden</html>", status=403)
    with pytest.raises(emberhub.RequestRefused, match=r"JUPYTERHUB_API_TOKEN.*access:services!service=emberhub"):
        emberhub.clusters()


def test_an_answer_from_something_else_names_the_address_and_its_variable(service: FakeService) -> None:
    service.will("GET", "clusters", b"<html>Welcome</html>")
    with pytest.raises(emberhub.RequestRefused, match=r"something else.*EMBERHUB_URL"):
        emberhub.clusters()


def test_the_token_is_in_no_repr_and_no_error(service: FakeService) -> None:
    talking = http.from_environment()
    service.will("GET", "clusters", b"", status=500)
    with pytest.raises(emberhub.RequestRefused) as refused:
        talking.get("clusters", rest.Clusters)
    assert TOKEN not in repr(talking) + str(refused.value)
