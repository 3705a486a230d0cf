"""The network between the drivers and the service is cut, for less than the lease, for more, and for twice as long."""

from __future__ import annotations

import emberhub
import pytest

from tests.support.hub import Person, Work, a_site, doze
from tests.support.site import Site

from .conftest import soon

pytestmark = [
    pytest.mark.spark,
    pytest.mark.chaos,
    pytest.mark.long,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("whole"),
]

SITE = a_site(
    3,
    """
rules: {min_hold: 1s, idle_after: 2s, reclaim_notice: 1s, deferral: 1s, rotation_quantum: 5s}
lease: 12s
heartbeat: 1s
""",
)


def cut_off(site: Site, person: Person, cluster: emberhub.Cluster, work: Work) -> set[str]:
    """Cut the network while a query runs on three executors; returns those, once the service misses the driver."""
    soon(lambda: len(person.see(cluster).running) == 3, "three executors run")
    before = {each.id for each in person.see(cluster).running}
    site.line.cut()
    soon(lambda: person.see(cluster).state == "disconnected", "the service misses the driver")
    assert work.running()
    return before


def test_a_cut_shorter_than_the_lease_costs_nothing(site: Site) -> None:
    alice = site.person("alice")
    hers = alice.cluster()
    work = Work(hers, 100, 0.25, query=doze)
    before = cut_off(site, alice, hers, work)
    assert "running queries go on" in hers.why()
    site.line.heal()
    soon(lambda: alice.see(hers).state == "running", "the driver is heard again")
    assert {each.id for each in alice.see(hers).running} == before
    work.finish()


def test_in_a_cut_longer_than_the_lease_executors_are_given_back_and_counted_until_that_is_known(site: Site) -> None:
    alice, bob = site.person("alice"), site.person("bob")
    hers = alice.cluster()
    bob.cluster(wait=False)
    work = Work(hers, 60, 0.25, query=doze)
    before = cut_off(site, alice, hers, work)
    soon(lambda: site.executors(hers) == [], "the driver gives its executors back")
    # The service does not know, and promises them to nobody.
    assert {each.id for each in site.counted(hers).executors} == before
    site.line.heal()
    soon(lambda: alice.see(hers).state == "running", "the driver is heard again")
    his = bob.cluster()
    work.finish()
    assert alice.see(hers).generation == 1
    assert doze(his, 6, 0.1) == 15


def test_a_driver_cut_off_for_twice_its_lease_stops_and_its_user_reads_why(site: Site) -> None:
    alice = site.person("alice")
    hers = alice.cluster()
    before = doze(hers, 6, 0.1)
    site.line.cut()
    soon(lambda: alice.see(hers).state == "failed", "the driver stops")
    assert site.running("driver", hers) == site.running("executor", hers) == []
    site.line.heal()
    why = hers.why()
    assert "not heard for" in why, why
    assert "Start the cluster again" in why, why
    again = alice.cluster()
    assert (again.id, alice.see(again).generation) == (hers.id, 2)
    assert doze(again, 6, 0.1) == before
