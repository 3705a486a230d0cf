"""Nobody reaches another's cluster, and no secret shows."""

from __future__ import annotations

import http.client
import json
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import emberhub.session
import psutil
import pytest
from emberhub.wire import rest

from tests.support.browser import Windows, chromium, log_in
from tests.support.hub import Hub, a_site, busy
from tests.support.processes import environment_of, line_of, listening

pytestmark = [pytest.mark.spark, pytest.mark.hub, pytest.mark.timeout(600)]

SITE = a_site(2)


def test_bob_cannot_see_stop_scale_or_connect_to_what_is_alices(hub: Hub, clean: None) -> None:
    alice, bob = hub.person("alice"), hub.person("bob")
    hers = alice.cluster()
    path = f"clusters/{hers.id}"
    asks: list[tuple[str, str, Any]] = [
        ("GET", path, None),
        ("GET", f"{path}?after=0&wait=1", None),
        ("PATCH", path, {"executors": {"min": 0, "max": 1}}),
        ("DELETE", path, None),
        ("GET", f"{path}/connection", None),
        ("POST", f"{path}/reclaims/0", {"wish": "later"}),
    ]
    _, document = bob.ask("GET", "openapi.json")
    routes = {route.rpartition("api/")[2] for route in document["paths"] if "{id}" in route}
    asked = {re.sub(r"\?.*", "", ask[1]).replace(hers.id, "{id}") for ask in asks}
    assert {route.replace("{executor}", "0") for route in routes} == asked, "every route with an id is asked"
    for method, where, body in asks:
        status, problem = bob.ask(method, where, body)
        assert status == 404, (method, where, problem)
    assert bob.ask("GET", "clusters")[1] == {"clusters": []}
    assert bob.ask("GET", "pool/snapshot")[0] == 403
    assert alice.see(hers).state == "running"

    # Bob knows the port, and has a valid token for a cluster of his own.
    his = bob.cluster()
    mine = rest.Connection(**bob.ask("GET", f"clusters/{his.id}/connection")[1])
    other = rest.Connection(**alice.ask("GET", f"{path}/connection")[1])
    for token in (mine.token, "", "guess"):
        with pytest.raises(Exception, match=r"(?i)unauthenticated|token"):
            emberhub.session.connect(rest.Connection(other.host, other.port, token), alice.see(hers))


def test_no_token_is_on_a_command_line_in_a_log_or_in_a_url(hub: Hub, clean: None) -> None:
    alice, bob = hub.person("alice"), hub.person("bob")
    hers, his = alice.cluster(), bob.cluster()
    assert busy(hers, 4, 0.1) == 6
    assert busy(his, 4, 0.1) == 6

    secrets = {alice.token, bob.token}
    for person, cluster in ((alice, hers), (bob, his)):
        secrets.add(person.ask("GET", f"clusters/{cluster.id}/connection")[1]["token"])
    names = re.compile(r"TOKEN|SECRET|PASSWORD")
    for process in hub.processes():
        secrets.update(value for key, value in environment_of(process).items() if names.search(key) and len(value) > 12)
    assert len(secrets) >= 8, "agents' and Spark's own secrets are among them"

    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        assert not [secret for secret in secrets if secret in line], process
    for log in logs(hub):
        text = log.read_text(errors="replace")
        assert not [secret for secret in secrets if secret in text], log


def test_sparks_pages_are_for_their_owner_and_the_port_that_they_are_at_tells_nobody_anything(
    hub: Hub, clean: None
) -> None:
    alice, bob = hub.person("alice"), hub.person("bob")
    hers = alice.cluster()
    assert busy(hers, 4, 0.1) == 6
    base = f"/services/emberhub/clusters/{hers.id}/ui"

    status, page = look(f"{hub.url}{base}/", alice.token)
    assert (status, "Spark Jobs" in page) == (200, True), page
    links = set(re.findall(r'(?:href|src)="(/[^"]+)"', page))
    assert len(links) > 10
    assert [link for link in links if not link.startswith(f"{base}/")] == []
    for link in sorted(links):
        assert look(hub.url + link.replace("&amp;", "&"), alice.token)[0] == 200, link
    status, text = look(f"{hub.url}{base}/api/v1/applications", alice.token)
    application = json.loads(text)[0]
    assert (status, application["name"]) == (200, "main")
    queries = look(f"{hub.url}{base}/api/v1/applications/{application['id']}/sql", alice.token)[1]
    assert [query["status"] for query in json.loads(queries)] == ["COMPLETED"]

    assert "Spark Jobs" in hub.look("alice", f"{base}/jobs/"), "a browser is sent to log in, and comes back"
    assert look(f"{hub.url}{base}/", bob.token)[0] == 404
    assert look(f"{hub.url}{base}/", hub.person("admin").token)[0] == 200
    java = [process for process in hub.processes() if "java" in "".join(line_of(process)[:1])]
    addresses = set().union(*map(listening, java))
    assert {host.removeprefix("::ffff:") for host, _ in addresses} == {"127.0.0.1"}
    answers = [look(f"http://127.0.0.1:{port}/jobs/", bob.token) for _, port in addresses]
    assert [page for status, page in answers if status == 200 and "Spark" in page] == []
    assert 403 in {status for status, _ in answers}, "the pages are at one of these ports"


@pytest.mark.browser
def test_sparks_pages_work_in_a_browser_behind_the_hubs_login(hub: Hub, clean: None, tmp_path: Path) -> None:
    cluster = hub.person("alice").cluster()
    assert busy(cluster, 4, 0.1) == 6
    with chromium() as browser:
        windows = Windows(browser, tmp_path)
        page = windows.open()
        page.goto(f"{hub.url}/services/emberhub/clusters/main/ui/")
        log_in(page, hub.url, "alice", hub.password("alice"))
        page.locator("#completedJob-table tbody tr, #completedJobs-table tbody tr").first.wait_for()
        # What this page shows, its script asks for.
        page.get_by_role("link", name="Executors", exact=True).click()
        page.locator("#active-executors-table tbody tr", has_text="driver").wait_for()
        page.get_by_role("link", name=re.compile("SQL")).first.click()
        page.wait_for_url("**/clusters/main/ui/SQL/**")
        windows.close()


def look(url: str, token: str) -> tuple[int, str]:
    """Status and text of a page; 0 where nobody speaks HTTP there."""
    request = urllib.request.Request(url, headers={"Authorization": f"token {token}"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return 0, ""


def logs(hub: Hub) -> list[Path]:
    found = [path for path in hub.state.rglob("*") if path.is_file() and path.suffix in {".log", ".out", ".err"}]
    found += [path for path in hub.state.rglob("std*") if path.is_file()]
    assert hub.state / "hub.log" in found
    return [*found, hub.output]


def test_one_who_is_not_logged_in_gets_nothing(hub: Hub) -> None:
    alice = hub.person("alice")
    token, alice.token = alice.token, "not-a-token"
    try:
        for path in ("clusters", "profiles", "pool", "pool/snapshot"):
            assert alice.ask("GET", path)[0] in {401, 403}, path
    finally:
        alice.token = token
