"""More people than executors: everybody gets a turn, and nobody's query fails."""

from __future__ import annotations

import time

import msgspec
import pytest
from emberhub_service.alloc.model import Snapshot
from emberhub_service.alloc.rotation import wait_bound

from tests.support.hub import Hub, Work, a_site, eventually

pytestmark = [pytest.mark.spark, pytest.mark.hub, pytest.mark.timeout(1500)]

QUANTUM, NOTICE, DEFERRAL = 30, 1, 1
SITE = a_site(
    3,
    f"""
rules:
  rotation_quantum: {QUANTUM}s
  min_hold: 2s
  idle_after: 5s
  reclaim_notice: {NOTICE}s
  deferral: {DEFERRAL}s
""",
)
PEOPLE = ("alice", "bob", "carol", "dan", "erin", "frank")


def test_six_busy_users_on_three_executors_each_get_a_turn_within_the_bound(hub: Hub, clean: None) -> None:
    people = [hub.person(name) for name in PEOPLE]
    for person in people:
        person.cluster(wait=False)
    clusters = [person.cluster() for person in people]

    works = [Work(cluster, 70, 0.25) for cluster in clusters]
    asked: dict[str, float] = {}
    waits: dict[str, float] = {}

    def all_done() -> bool:
        pool = people[0].ask("GET", "pool")[1]["pools"][0]
        assert pool["executors"] <= 3, "more executors run than there are"
        for person, cluster in zip(people, clusters, strict=True):
            seen, now = person.see(cluster), time.monotonic()
            if seen.wanted:
                asked.setdefault(person.name, now)
            if seen.running:
                waits.setdefault(person.name, now - asked.setdefault(person.name, now))
            if seen.unmet:
                assert seen.unmet.reason
                assert seen.unmet.rule
        return sum(work.running() for work in works) == 0

    eventually(all_done, "every query ends", 1000, seen_last=hub.story)
    for work in works:
        work.finish(1)
    assert set(waits) == set(PEOPLE)
    # Rule D's bound, with the time that a start takes on this machine at this moment as the service has measured it;
    # one more start for what leaves, which takes a while to go.
    rules = msgspec.convert(hub.person("admin").ask("GET", "pool/snapshot")[1], Snapshot).rules
    bound = wait_bound(len(PEOPLE) - 3, 3, rules, newcomers=True) + DEFERRAL + rules.executor_start
    assert max(waits.values()) <= bound + 10, (waits, rules)


def test_a_long_query_lends_its_executors_and_gets_them_back(hub: Hub, clean: None) -> None:
    alice, bob = hub.person("alice"), hub.person("bob")
    hers, his = alice.cluster(), bob.cluster()
    long = Work(hers, 300, 0.25, again=True)
    # Bob's cluster, just started, has an executor at hand for a first query; alice has that one when he does not ask.
    eventually(lambda: len(alice.see(hers).running) == 3, "alice has all", 180)
    short = Work(his, 20, 0.25)
    eventually(lambda: len(bob.see(his).running) >= 1, "bob is given one of hers")
    short.finish()
    eventually(lambda: len(alice.see(hers).running) == 3, "alice has all again", 180)
    long.finish()
