"""How often a driver looks at Spark."""

from __future__ import annotations

from emberhub.wire.agent import ExecutorReport, Report
from emberhub_driver.pace import LOOK_BUSY, LOOK_QUIET, LOOK_STEADY, Pace


def a_report(wanted: int, executors: int = 0, target: int = 0) -> Report:
    present = tuple(ExecutorReport(id=str(n), host="h", cores=1, active_tasks=1) for n in range(executors))
    return Report(wanted=wanted, target=target, executors=present)


def pauses(pace: Pace, report: Report, looks: int = 6) -> list[float]:
    return [pace.after(report, executing=True, heartbeat=10.0) for _ in range(looks)]


def test_while_work_only_waits_it_looks_ever_less_often() -> None:
    found = pauses(Pace(), a_report(4))
    assert found[0] == LOOK_BUSY
    assert found == sorted(found)
    assert found[-1] == LOOK_STEADY


def test_what_comes_goes_or_is_news_makes_it_look_at_once_again() -> None:
    pace = Pace()
    pauses(pace, a_report(4))
    assert pauses(pace, a_report(4, executors=1, target=1))[0] == LOOK_BUSY
    assert pauses(pace, a_report(3, executors=1, target=1))[0] == LOOK_STEADY, "one task less, and as much to do"
    assert pauses(pace, a_report(1, executors=1, target=1))[0] == LOOK_BUSY, "what is left fits its executors"
    pace.hurry()
    assert pauses(pace, a_report(1, executors=1, target=1))[0] == LOOK_BUSY


def test_without_work_it_waits_for_news_and_for_half_a_heartbeat_at_most() -> None:
    assert Pace().after(a_report(0), executing=False, heartbeat=60.0) == LOOK_QUIET
    assert Pace().after(a_report(0), executing=False, heartbeat=2.0) == 1.0
