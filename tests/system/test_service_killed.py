"""The service dies in the middle of a query."""

from __future__ import annotations

import pytest

from tests.support.hub import Hub, Work, a_site, eventually

pytestmark = [pytest.mark.spark, pytest.mark.hub, pytest.mark.timeout(600)]

SITE = a_site(
    3,
    """
rules: {min_hold: 1s, idle_after: 20s, reclaim_notice: 1s}
lease: 60s
heartbeat: 2s
""",
)


def test_the_query_goes_on_and_the_next_service_finds_the_cluster_with_its_executors(hub: Hub, clean: None) -> None:
    alice = hub.person("alice")
    hers = alice.cluster()
    work = Work(hers, 150, 0.3)
    eventually(lambda: len(alice.see(hers).running) == 3, "three executors run")
    before = {each.id for each in alice.see(hers).running}

    service = hub.service_process()
    assert service is not None
    service.kill()
    eventually(
        lambda: (new := hub.service_process()) is not None and new.pid != service.pid,
        "the hub starts the service again",
    )
    path = f"clusters/{hers.id}"
    eventually(lambda: alice.ask("GET", path)[0] == 200, "the service answers again")
    eventually(lambda: alice.see(hers).state == "running", "the driver is heard again")
    seen = alice.see(hers)
    assert seen.generation == 1
    assert work.running(), "the query should still run, or nothing was tested"
    assert {each.id for each in seen.running} == before
    work.finish()
    assert {each.id for each in alice.see(hers).running} <= before, "an executor was lost and replaced"
