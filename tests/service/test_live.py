"""How executors are counted (A), without a network: nothing is free before it is seen gone."""

import msgspec
import pytest
from emberhub.wire.agent import ExecutorReport, Report
from emberhub.wire.resources import Resources
from emberhub_service.alloc.model import Reclaiming, Rules
from emberhub_service.config import Site, parse_site
from emberhub_service.control.demand import BACKLOG, DIP
from emberhub_service.control.live import LAUNCH_GRACE, Live
from emberhub_service.control.snapshot import build_snapshot, choose_pool, counted
from emberhub_service.records import ClusterRecord


class Told:
    def send(self, message): ...
    def close(self, code, reason): ...


def a_live(now=100.0, user="alice", **changes):
    record = ClusterRecord(
        id=f"c-{user}",
        user=user,
        name="main",
        profile="small",
        queue="class",
        pool="main",
        executor=Resources.of(cores=1, memory="1G"),
        floor=0,
        ceiling=4,
        conf={},
        status="running",
        goal="running",
        generation=1,
        agent_token_hash="",
        connect_token="",
        created=0.0,
        started=now,
        last_active=now,
        message="",
        restarted="",
        version=1,
    )
    live = Live(record=msgspec.structs.replace(record, **changes), born=now, heard=now)
    live.connect(Told())
    live.hear(Report(wanted=0, target=0), now)
    live.settle(now + LAUNCH_GRACE)
    return live


def report(*ids, target, wanted=9, leaving=()):
    executors = tuple(ExecutorReport(id=i, decommissioning=i in leaving, active_tasks=1) for i in ids)
    return Report(wanted=wanted, target=target, executors=executors)


def count(live):
    return len(live.held), live.promised()


def test_a_promise_counts_until_its_executor_is_seen():
    live = a_live()
    live.grant(2, 101.0)
    assert count(live) == (0, 2)
    live.hear(report("0", target=2), 102.0)
    assert count(live) == (1, 1)
    live.hear(report("0", "1", target=2), 103.0)
    assert count(live) == (2, 0)


def test_a_revoked_executor_counts_until_it_is_seen_gone_and_no_longer():
    live = a_live()
    live.grant(2, 101.0)
    live.hear(report("0", "1", target=2), 102.0)
    live.revoke(("1",))
    assert (live.target, *count(live)) == (1, 2, 0)
    live.hear(report("0", "1", target=1, leaving=("1",)), 103.0)
    assert count(live) == (2, 0)
    live.hear(report("0", target=1), 104.0)
    assert count(live) == (1, 0)


def test_one_that_dies_before_its_revoke_is_applied_may_be_replaced_and_counts():
    live = a_live()
    live.grant(2, 101.0)
    live.hear(report("0", "1", target=2), 102.0)
    live.revoke(("1",))
    live.hear(report("0", target=2), 103.0)
    assert sum(count(live)) == 2
    live.hear(report("0", target=1), 104.0)
    assert sum(count(live)) == 1


def test_one_that_dies_by_itself_is_promised_again():
    live = a_live()
    live.grant(2, 101.0)
    live.hear(report("0", "1", target=2), 102.0)
    live.hear(report("0", target=2), 103.0)
    assert count(live) == (1, 1)
    assert live.promised_since == 103.0


def test_a_withdrawn_promise_counts_until_the_driver_has_had_time_to_drop_it():
    live = a_live()
    live.grant(2, 101.0)
    assert live.expire(150.0, 60.0) == 0
    assert live.expire(161.0, 60.0) == 2
    assert count(live) == (0, 2)
    live.hear(report(target=2), 162.0)
    assert count(live) == (0, 2)
    live.hear(report(target=0), 163.0)
    assert count(live) == (0, 2)
    live.settle(163.0 + LAUNCH_GRACE)
    assert count(live) == (0, 0)


def test_one_that_comes_while_its_promise_is_being_withdrawn_stays():
    live = a_live()
    live.grant(1, 101.0)
    live.expire(161.0, 60.0)
    live.hear(report("0", target=1), 161.5)
    assert (live.target, *count(live)) == (1, 1, 0)
    assert live.late() == ()


def test_one_that_comes_too_late_is_sent_back():
    live = a_live()
    live.grant(1, 101.0)
    live.expire(161.0, 60.0)
    live.hear(report(target=0), 162.0)
    live.settle(162.0 + LAUNCH_GRACE)
    live.hear(report("0", target=0), 170.0)
    assert live.late() == ("0",)
    assert count(live) == (1, 0)


def test_who_did_not_get_them_started_is_asked_for_no_more_for_a_while():
    live = a_live()
    live.hear(report(target=0), 100.0)
    live.grant(2, 101.0)
    live.expire(161.0, 60.0)
    assert live.demand(162.0) == 0
    assert live.demand(161.0 + 16.0) == 4


def test_a_moment_without_demand_between_two_stages_is_not_believed():
    live = a_live()
    live.hear(report(target=0, wanted=5), 110.0)
    live.hear(report(target=0, wanted=0), 120.0)
    assert live.wanted(120.5) == 5
    live.hear(report(target=0, wanted=2), 120.6)
    assert live.wanted(120.9) == 5
    assert live.wanted(120.0 + DIP) == 2
    live.hear(report(target=0, wanted=7), 130.0)
    assert live.wanted(130.0) == 7
    live.hear(report(target=0, wanted=0), 131.0)
    live.hear(report(target=0, wanted=8), 131.5)
    assert live.wanted(131.5) == 8


def test_work_asks_for_more_than_the_executor_it_has_once_it_has_lasted():
    live = a_live()
    live.hear(report("0", target=1, wanted=0), 110.0)
    live.hear(report("0", target=1, wanted=4), 120.0)
    assert live.wanted(120.0 + BACKLOG / 2) == 1
    assert live.work.grows_at == 120.0 + BACKLOG
    assert live.wanted(live.work.grows_at) == 4
    # A pause that is too short to be believed is part of the work; a longer one begins anew.
    live.hear(report("0", target=1, wanted=0), 122.0)
    live.hear(report("0", target=1, wanted=4), 122.5)
    assert live.wanted(122.5) == 4
    live.hear(report("0", target=1, wanted=0), 130.0)
    live.hear(report("0", target=1, wanted=4), 130.5 + DIP)
    assert live.wanted(130.5 + DIP) == 1
    live.hear(report("0", target=1, wanted=0), 135.0)
    live.hear(report("0", target=1, wanted=4), 140.0)
    assert live.wanted(140.0) == 1


def test_work_without_an_executor_asks_for_all_at_once():
    live = a_live()
    live.hear(report(target=0, wanted=4), 120.0)
    assert live.wanted(120.0) == 4
    live.grant(4, 120.0)
    live.hear(report(target=4, wanted=4), 120.1)
    assert live.wanted(120.1) == 4


def test_a_new_connection_makes_the_drivers_target_hold():
    live = a_live()
    live.grant(3, 101.0)
    live.connect(Told())
    live.hear(report("0", target=1), 102.0)
    assert live.target == 1
    # What was said on the old connection may have been acted on in its last moment.
    assert sum(count(live)) == 3
    live.settle(102.0 + LAUNCH_GRACE)
    assert sum(count(live)) == 1


def test_an_order_to_leave_that_was_lost_with_its_connection_does_not_count():
    live = a_live()
    live.grant(2, 101.0)
    live.hear(report("0", "1", target=2), 102.0)
    live.revoke(("1",))
    live.connect(Told())
    live.hear(report("0", "1", target=2), 110.0)
    assert [executor.id for executor in live.kept()] == ["0", "1"]
    assert live.promised() == 0 and not any(executor.revoked for executor in live.executors("main"))
    # Nor is it counted as staying where the driver had heard it.
    live.revoke(("1",))
    live.connect(Told())
    live.hear(report("0", "1", target=1, leaving=("1",)), 120.0)
    assert [executor.id for executor in live.kept()] == ["0"] and live.promised() == 0


def test_a_driver_of_an_earlier_service_counts_with_its_floor_until_it_is_heard():
    live = Live(record=a_live(floor=2).record, born=0.0, adopted=True)
    assert count(live) == (0, 2)
    assert count(Live(record=live.record, born=0.0)) == (0, 0)


def test_reclaims_of_executors_that_are_gone_are_forgotten():
    live = a_live()
    live.grant(2, 101.0)
    live.hear(report("0", "1", target=2), 102.0)
    live.reclaiming = {"0": Reclaiming(102.0, 107.0), "1": Reclaiming(102.0, 107.0)}
    live.hear(report("0", target=2), 103.0)
    assert set(live.reclaiming) == {"0"}


@pytest.mark.parametrize("idle", [0.0, 7.5])
def test_ages_on_the_wire_become_times_on_our_clock(idle):
    live = a_live()
    live.grant(1, 101.0)
    live.hear(Report(wanted=0, target=1, executors=(ExecutorReport(id="0", age=9.0, idle=idle),), idle=idle), 110.0)
    (executor,) = live.executors("main")
    assert (executor.since, executor.idle_since, live.idle_since) == (101.0, 110.0 - idle, 110.0 - idle)
    # A later report does not move when it was first seen.
    live.hear(Report(wanted=0, target=1, executors=(ExecutorReport(id="0", age=20.5),)), 121.0)
    assert live.since == {"0": 101.0}


@pytest.mark.parametrize(
    ("wanted", "idle"), [(0, {"resting", "rested"}), (1, {"resting", "rested"}), (2, {"rested"}), (3, set())]
)
def test_an_executor_without_a_task_is_not_idle_while_a_query_between_two_jobs_will_need_it(wanted, idle):
    live = a_live()
    executors = (
        ExecutorReport(id="busy", active_tasks=1),
        ExecutorReport(id="resting", idle=0.5),
        ExecutorReport(id="rested", idle=5.0),
    )
    live.hear(Report(wanted=wanted, target=3, executors=executors), 110.0)
    assert {each.id for each in live.executors("main") if each.idle_since is not None} == idle


def test_an_executor_that_waited_for_its_user_counts_from_when_the_driver_was_taken_over():
    live = a_live(started=105.0)
    live.hear(Report(wanted=1, target=1, executors=(ExecutorReport(id="spare", age=50.0),)), 110.0)
    assert [each.since for each in live.executors("main")] == [105.0]


def test_the_snapshot_tells_all_that_is_counted_and_freezes_whom_it_does_not_hear():
    alice, bob = a_live(), a_live(user="bob")
    alice.grant(3, 101.0)
    alice.hear(report("0", "1", target=3), 102.0)
    alice.revoke(("1",))
    bob.link = None
    taken = build_snapshot(Site(), Rules(), [bob, alice], {}, 103.0)
    first, second = taken.clusters
    assert (first.id, second.id) == ("c-alice", "c-bob")
    assert [(e.id, e.revoked) for e in first.executors] == [("0", False), ("1", True)]
    assert sum(p.executors for p in first.promises) == 1
    assert (first.frozen, second.frozen) == (False, True)
    held, promised, executors = counted([alice, bob], "main")
    assert (held, promised, executors) == (Resources.of(cores=2, memory="2G"), Resources.of(cores=1, memory="1G"), 2)
    assert build_snapshot(Site(), Rules(), [alice, bob], {}, 103.0) == taken


def test_a_cluster_whose_queue_is_gone_sits_in_one_that_is_for_everyone():
    site = parse_site("queues: {name: root, children: [{name: a, groups: [x]}, {name: b}]}")
    taken = build_snapshot(site, site.rules, [a_live(queue="gone")], {}, 1.0)
    assert taken.clusters[0].queue == "b"


def test_a_driver_starts_in_a_pool_that_suits_its_profile():
    site = parse_site(
        """
pools:
  - {name: small, cores: 8, memory: 8G, labels: {disk: slow}}
  - {name: big, cores: 64, memory: 64G}
  - {name: gpu, cores: 8, memory: 8G, gpus: 2, labels: {gpu: a100}}
profiles:
  - {name: plain, executor: {cores: 1, memory: 1G}}
  - {name: near, executor: {cores: 1, memory: 1G}, prefers: disk = slow}
  - {name: a100, executor: {cores: 1, memory: 1G}, needs: gpu = a100}
  - {name: here, executor: {cores: 1, memory: 1G}, needs: pool = small}
"""
    )
    chosen = {p.name: choose_pool(site, p.executor, p, []) for p in site.profiles}
    assert chosen == {"plain": "big", "near": "small", "a100": "gpu", "here": "small"}
