"""What a session sets again on the driver that comes after a parked one, and what it says of the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.connect import FakeDriver, numbers
from tests.support.fake_service import FakeService
from tests.support.parking import PARKED, a_session, park, starts


def test_a_session_goes_on_after_its_cluster_was_parked_and_says_what_it_kept(
    service: FakeService, drivers: tuple[FakeDriver, FakeDriver], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = drivers
    spark = a_session(service, first)
    spark.conf.set("spark.sql.ansi.enabled", "false")
    for name in ("stars", "cells"):
        spark.range(5).createOrReplaceTempView(name)
    spark.range(3).cache()
    park(service, first, second)
    second.refused_views = {"cells"}
    assert spark.conf.get("spark.sql.ansi.enabled") == "false"
    assert second.settings["spark.sql.shuffle.partitions"] == "12" and second.views == ["stars"]
    told = capsys.readouterr().err
    assert (
        f"Cluster main is back. {PARKED} Kept: settings; temporary views stars. "
        "Not kept: the temporary view cells; cached data." in told
    )
    spark.range(2).createOrReplaceTempView("later")
    assert second.views == ["stars", "later"] and starts(service) == 2


def test_what_went_with_the_driver_is_told_and_what_can_be_made_again_is(
    service: FakeService,
    drivers: tuple[FakeDriver, FakeDriver],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    first, second = drivers
    spark = a_session(service, first)
    (tmp_path / "helpers.py").write_text("")
    spark.addArtifacts(str(tmp_path / "helpers.py"), pyfile=True)
    for name in ("below", "above", "below"):
        spark.range(5).createOrReplaceTempView(name)
    for name in ("results", "shared.results"):
        spark.range(5).write.saveAsTable(name)
    spark.range(5).writeTo("more").create()
    first.steps = [iter(numbers(0)), iter(numbers(0))]
    spark.catalog.setCurrentDatabase("default")
    spark.catalog.setCurrentDatabase("gaia")
    park(service, first, second)
    second.needs = {"above": "below"}
    second.tables = {"shared.results"}
    assert spark.conf.get("spark.sql.shuffle.partitions") == "12"
    told = capsys.readouterr().err
    assert (
        "Kept: settings; temporary views above, below. "
        "Not kept: the table more; the table results; data and files sent to the driver." in told
    )
    assert second.databases == ["gaia"]


@pytest.mark.parametrize(
    ("sql", "lost"),
    [
        ("CREATE TABLE IF NOT EXISTS t (id INT)", "the table t"),
        ("create or replace table `a`.t AS SELECT 1", "the table `a`.t"),
    ],
)
def test_tables_made_in_sql_are_told_unless_they_were_dropped(
    service: FakeService,
    drivers: tuple[FakeDriver, FakeDriver],
    capsys: pytest.CaptureFixture[str],
    sql: str,
    lost: str,
) -> None:
    first, second = drivers
    spark = a_session(service, first)
    for each in (sql, "CREATE TABLE gone (id INT)", "DROP TABLE gone"):
        spark.sql(each)
    park(service, first, second)
    assert spark.conf.get("spark.sql.shuffle.partitions") == "12"
    assert f"Not kept: {lost}." in capsys.readouterr().err


ZONE = "SET TIME ZONE 'America/Los_Angeles'"
SET = "SET spark.sql.ansi.enabled = true"


@pytest.mark.parametrize(
    ("given", "again"),
    [
        (["-- bright ones\nCREATE OR REPLACE TEMP VIEW bright AS SELECT 1"], None),
        (["/* what we\nagreed */ -- on\n SET spark.sql.ansi.enabled = true;"], None),
        ([SET, ZONE, "RESET spark.sql.ansi.enabled"], [ZONE]),
        ([ZONE, SET, "reset `spark.sql.session.timeZone`;"], [SET]),
        ([SET, ZONE, "RESET"], []),
        ([ZONE, "SET spark.sql.session.timeZone = UTC"], ["SET spark.sql.session.timeZone = UTC"]),
    ],
)
def test_what_was_set_in_sql_and_still_holds_is_set_again(
    service: FakeService, drivers: tuple[FakeDriver, FakeDriver], given: list[str], again: list[str] | None
) -> None:
    first, second = drivers
    spark = a_session(service, first)
    for statement in given:
        spark.sql(statement)
    park(service, first, second)
    assert spark.conf.get("spark.sql.ansi.enabled") is not None
    assert second.statements == (given if again is None else again)


def test_of_a_setting_that_was_set_in_sql_and_then_in_python_the_later_holds(
    service: FakeService, drivers: tuple[FakeDriver, FakeDriver]
) -> None:
    first, second = drivers
    spark = a_session(service, first)
    spark.conf.set("spark.sql.ansi.enabled", "false")
    spark.sql(ZONE)
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    spark.sql("RESET spark.sql.ansi.enabled")
    park(service, first, second)
    assert spark.conf.get("spark.sql.session.timeZone") == "UTC"
    assert second.statements == [] and "spark.sql.ansi.enabled" not in second.settings


def asked_after(service: FakeService) -> int:
    return sum(asked.path.endswith("clusters/c-1") for asked in service.asked)


def test_an_answer_that_was_let_go_of_when_it_was_whole_counts_and_casts_no_doubt_on_the_driver(
    service: FakeService,
    drivers: tuple[FakeDriver, FakeDriver],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = drivers
    first.lingers = True
    spark = a_session(service, first)
    monkeypatch.setattr("emberhub.channel.PAUSE", 1000.0)
    asked = asked_after(service)
    for name in ("stars", "cells"):
        spark.range(5).createOrReplaceTempView(name)
    assert asked_after(service) == asked
    monkeypatch.setattr("emberhub.channel.PAUSE", 0.0)
    park(service, first, second)
    assert spark.conf.get("spark.sql.shuffle.partitions") == "12"
    assert "temporary views stars, cells." in capsys.readouterr().err


def test_a_plan_that_cannot_be_asked_for_again_counts_as_it_ends(
    service: FakeService, drivers: tuple[FakeDriver, FakeDriver], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = drivers
    spark = a_session(service, first)
    spark.client.disable_reattachable_execute()
    first.refused_views = {"cells"}
    spark.range(5).createOrReplaceTempView("stars")
    with pytest.raises(Exception, match="no such table"):
        spark.range(5).createOrReplaceTempView("cells")
    park(service, first, second)
    assert spark.conf.get("spark.sql.shuffle.partitions") == "12"
    assert "Kept: settings; temporary views stars." in capsys.readouterr().err
