"""A driver that was started before anybody asked is somebody's cluster at once, and never anybody else's."""

from __future__ import annotations

import pytest

from tests.support.hub import Hub, a_site, busy, eventually

pytestmark = [pytest.mark.spark, pytest.mark.hub, pytest.mark.timeout(600)]

SITE = a_site(2).replace("name: small", "name: small\n    warm: 1")


def warm(hub: Hub) -> list[str]:
    """Warm drivers that have been warmed up on an executor of their own."""
    logs = (hub.state / "backend" / "drivers").glob("w-*/driver.log")
    return [log.parent.name for log in logs if "warming up (run) ended with status 0" in log.read_text()]


def test_a_warm_driver_becomes_one_persons_cluster_and_is_never_used_twice(hub: Hub, clean: None) -> None:
    eventually(lambda: len(warm(hub)) == 1, "a driver is warm, with an executor", 120)
    (first,) = warm(hub)
    alice, bob = hub.person("alice"), hub.person("bob")
    mine = alice.cluster()
    view = alice.see(mine)
    assert view.generation == 1
    assert len(view.running) == 1, "its spare executor comes with it"
    assert mine.spark.range(1000).count() == 1000
    mine.spark.range(3).createOrReplaceTempView("secret")
    theirs = bob.cluster()
    assert busy(theirs, 4, 0.1) == 6
    assert "secret" not in [table.name for table in theirs.spark.catalog.listTables()]
    mine.stop()
    eventually(lambda: not list((hub.state / "backend" / "drivers").glob(f"{first}*")), "what alice used is gone", 60)
