"""The notebook spawner in a real hub: what the server is given, and what a user may choose."""

from __future__ import annotations

import json
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from emberhub_service.commands.visitor import Visitor

from tests.support.hub import Hub, eventually
from tests.support.processes import environment_of

pytestmark = [pytest.mark.hub, pytest.mark.spark]

SITE = """
pools: [{name: main, cores: 2, memory: 4G}]
profiles:
  - {name: small, title: Small one, executor: {cores: 1, memory: 1G}, default: true}
  - {name: big, title: Big & <bold>, executor: {cores: 2, memory: 2G}}
  - {name: staff, executor: {cores: 1, memory: 1G}, groups: [teachers]}
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    running = Hub(tmp_path_factory.mktemp("spawner"), SITE)
    try:
        yield running
    finally:
        running.end()


def ask_hub(hub: Hub, user: str, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
    request = urllib.request.Request(
        f"{hub.url}{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"token {hub.person(user).token}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def server_of(hub: Hub, user: str) -> psutil.Process:
    """The process of this user's notebook server."""

    def look() -> psutil.Process | None:
        for process in hub.processes():
            if environment_of(process).get("JUPYTERHUB_USER") == user:
                return process
        return None

    return eventually(look, f"{user}'s server runs")


def test_a_server_started_by_rest_may_name_a_profile_and_reaches_the_service_with_its_own_token(hub: Hub) -> None:
    status, body = ask_hub(hub, "alice", "POST", "/hub/api/users/alice/server", {"user_options": {"profile": "big"}})
    assert status in {201, 202}, body
    environment = server_of(hub, "alice").environ()
    assert environment["EMBERHUB_PROFILE"] == "big"
    assert environment["HOME"] == str(hub.state / "homes" / "alice")
    request = urllib.request.Request(
        environment["EMBERHUB_URL"] + "/api/clusters",
        headers={"Authorization": f"token {environment['JUPYTERHUB_API_TOKEN']}"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert json.load(answer) == {"clusters": []}
    home = hub.state / "homes" / "alice"
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert (home / ".sparkmagic" / "config.json").exists(), "sparkmagic works at once"
    assert (home / ".local" / "share" / "jupyter" / "kernels" / "pysparkkernel" / "kernel.json").exists()


@pytest.mark.parametrize("profile", ["huge", "staff", 7])
def test_a_profile_that_a_user_may_not_have_is_refused_with_those_that_they_may(hub: Hub, profile: object) -> None:
    status, body = ask_hub(hub, "bob", "POST", "/hub/api/users/bob/server", {"user_options": {"profile": profile}})
    assert status == 400
    assert "choose one of small, big" in json.loads(body)["message"]
    assert not any(environment_of(process).get("JUPYTERHUB_USER") == "bob" for process in hub.processes())


def test_the_page_that_starts_a_server_offers_the_user_s_profiles(hub: Hub) -> None:
    carol = Visitor(hub.url, "carol")
    carol.log_in((hub.state / "password").read_text().strip())
    page = carol.page("/hub/spawn")
    assert "Small one" in page
    assert 'value="small" checked' in page
    assert "Big &amp; &lt;bold&gt;" in page
    assert "staff" not in page


def test_secrets_lie_in_files_that_only_their_owner_reads(hub: Hub) -> None:
    for name in ("password", "admin-password"):
        assert stat.S_IMODE((hub.state / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(hub.state.stat().st_mode) == 0o700
