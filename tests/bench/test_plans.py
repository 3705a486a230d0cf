"""What each policy gets: the same executors and flags, and its own way to have them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import pytest
from emberhub.wire.driver import DriverConfig
from emberhub_driver.conf import driver_options, driver_properties
from emberhub_service.bench import data
from emberhub_service.bench.ember import Measured, MeasuredPlain, kind_of, site_text
from emberhub_service.bench.full import printed
from emberhub_service.bench.places import allocation
from emberhub_service.bench.plans import QUICK, SHAPE, Plan, opened
from emberhub_service.commands import bench_workshop, leftovers
from emberhub_service.config import parse_site


def a_plan(policy: str = "ember", **changes: Any) -> Plan:
    given = {"tuning": "plain", "users": 8, "executors": 4, "warm": 0, "directory": Path("nowhere")}
    return Plan(policy, **{**given, **changes})


@pytest.mark.parametrize(("users", "cores"), [(1, "4"), (2, "2"), (3, "1"), (8, "1")])
def test_a_static_share_is_the_pool_by_the_users_and_at_least_one_executor(users: int, cores: str) -> None:
    assert allocation(a_plan("static", users=users))["spark.cores.max"] == cores


def test_spark_dynamic_has_edinburghs_settings_scaled_to_the_pool() -> None:
    settings = allocation(a_plan("spark-dynamic"))
    of = {key.removeprefix("spark.dynamicAllocation."): value for key, value in settings.items()}
    assert (of["minExecutors"], of["initialExecutors"], of["maxExecutors"]) == ("1", "2", "4")
    assert of["executorIdleTimeout"] == "60s"


def test_only_tuned_ember_has_warm_drivers_and_a_hub(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    bench_workshop.configure(parser.add_subparsers())
    args = parser.parse_args(["workshop", "--users", "2,4", "--tuning", "plain,tuned", "--warm", "3", "--full"])
    plans = bench_workshop.plans_of(args, tmp_path)
    assert len(plans) == 2 * 2 * 3
    assert {(plan.policy, plan.tuning) for plan in plans if plan.warm == 3} == {("ember", "tuned")}
    assert {plan.policy for plan in plans if plan.full} == {"ember"}


def test_people_think_for_as_long_as_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    bench_workshop.configure(parser.add_subparsers())
    args = parser.parse_args(["workshop", "--think", "10,30"])
    assert {plan.think for plan in bench_workshop.plans_of(args, tmp_path)} == {(10.0, 30.0)}
    for wrong in ("10", "a,b", "30,10", "-1,2", "1,inf"):
        with pytest.raises(SystemExit):
            parser.parse_args(["workshop", f"--think={wrong}"])
        assert "--think" in capsys.readouterr().err


def a_config(*, tuned: bool) -> DriverConfig:
    return DriverConfig("c", 1, "u", "main", "", "spark://x", SHAPE, "/d", tuned=tuned)


def test_plain_is_javas_own_defaults_and_tuned_is_ours() -> None:
    for tuned, serial in ((False, False), (True, True)):
        config = a_config(tuned=tuned)
        executor = driver_properties(config, secret="s", executor_archive="a.jsa")["spark.executor.extraJavaOptions"]
        assert ("UseSerialGC" in executor) is serial
        assert ("a.jsa" in executor) is serial
        assert ("-XX:+UseSerialGC" in driver_options(config, "d.jsa")) is serial
    assert driver_properties(a_config(tuned=False), secret="s")["spark.executor.extraJavaOptions"] == ""


def test_the_services_site_has_the_same_executors_and_flags_as_the_others() -> None:
    plain, tuned = (parse_site(site_text(a_plan(tuning=tuning, warm=2))) for tuning in ("plain", "tuned"))
    for site in (plain, tuned):
        (profile,) = site.profiles
        assert profile.executor == SHAPE
        assert profile.executor.how_many(site.capacity()) == 4
        assert (profile.max, profile.warm) == (4, 2)
    assert plain.profiles[0].conf == {}
    assert tuned.profiles[0].conf == {"spark.executor.extraJavaOptions": QUICK}
    assert (kind_of(a_plan()), kind_of(a_plan(tuning="tuned"))) == (MeasuredPlain, Measured)
    assert (MeasuredPlain.tuned, Measured.tuned) == (False, True)


def test_what_is_started_meanwhile_carries_the_mark_of_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(leftovers.ENV_STATE, raising=False)

    with opened(a_plan(directory=tmp_path / "run")):
        assert os.environ[leftovers.ENV_STATE] == str(tmp_path / "run")
        assert (tmp_path / "run" / "events").is_dir()
    assert leftovers.ENV_STATE not in os.environ


def test_the_stars_are_taken_so_many_times_and_the_answers_with_them(tmp_path: Path) -> None:
    once = data.read_expected(data.prepare(tmp_path / "once", 1))
    thrice = data.read_expected(data.prepare(tmp_path / "thrice", 3))
    assert once.stars == 482_176
    assert thrice.stars == 3 * once.stars
    assert sum(once.counts) == once.stars
    assert sum(thrice.faint) == 3 * sum(once.faint)
    assert 0 < sum(count for count, _, _ in once.distant) < sum(count for count, _, _ in once.motions)
    assert once.training + once.tested == 117_955
    assert once.good < once.tested
    assert len(list((tmp_path / "thrice" / "gaia").glob("*.parquet"))) == 3 * data.FILES


def test_events_are_found_in_what_a_cell_printed() -> None:
    cell = {
        "outputs": [
            {"name": "stdout", "text": 'a warning\n{"kind":"asked","at":1.0}\n'},
            {"name": "stderr", "text": '{"kind":"no"}'},
            {"output_type": "error"},
        ]
    }
    assert printed(cell) == ['{"kind":"asked","at":1.0}']
