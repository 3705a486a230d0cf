"""More people than executors: everybody gets a turn, and nobody's query fails."""

from __future__ import annotations

import math
import time

import pytest

from tests.support.hub import Hub, Work, a_site, eventually

pytestmark = [pytest.mark.spark, pytest.mark.hub, pytest.mark.timeout(900)]

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

    eventually(all_done, "every query ends", 400)
    for work in works:
        work.finish(1)
    assert set(waits) == set(PEOPLE)
    # Rule D's bound: quantum times waiting users over executors, and the notice. What an executor's start takes on this
    # machine at this moment, the first to be served has shown: it comes before and after each of the two hand-overs,
    # that of what the first was promised too much and that at the turn's end; and what leaves takes a while to go.
    bound = QUANTUM * math.ceil((len(PEOPLE) - 3) / 3) + NOTICE + DEFERRAL
    assert max(waits.values()) <= bound + 4 * min(waits.values()) + 10, waits


def test_a_long_query_lends_its_executors_and_gets_them_back(hub: Hub, clean: None) -> None:
    alice, bob = hub.person("alice"), hub.person("bob")
    hers, his = alice.cluster(), bob.cluster()
    long = Work(hers, 500, 0.25)
    eventually(lambda: len(alice.see(hers).running) == 3, "alice has all")
    short = Work(his, 20, 0.25)
    eventually(lambda: len(bob.see(his).running) >= 1, "bob is given one of hers")
    short.finish()
    eventually(lambda: len(alice.see(hers).running) == 3, "alice has all again", 60)
    long.finish()
