"""A session outlives its driver, if that was stopped for want of work and nothing else."""

from __future__ import annotations

import _thread
import atexit
import threading
from collections.abc import Callable
from typing import Any

import emberhub
import grpc
import pytest
from emberhub.session import drop
from pyspark.sql.connect.client.retries import Retrying
from pyspark.sql.connect.proto import commands_pb2
from pyspark.sql.connect.session import SparkSession

from tests.support.connect import FakeDriver, numbers
from tests.support.fake_service import FakeService, a_cluster
from tests.support.parking import PARKED, a_session, park, starts


def the_pauses_of(spark: Any) -> list[float]:
    """Seconds for which its client makes the caller wait before each further try from now on."""
    pauses: list[float] = []
    caller, policies = threading.current_thread(), spark.client._retry_policies

    def pause(seconds: float) -> None:
        if threading.current_thread() is caller:
            pauses.append(seconds)

    spark.client._retrying = lambda: Retrying(policies, sleep=pause)
    return pauses


def test_answers_that_nobody_read_to_their_end_do_not_hold_up_the_way_to_the_next_driver(
    service: FakeService, drivers: tuple[FakeDriver, FakeDriver]
) -> None:
    first, second = drivers
    spark = a_session(service, first)
    first.steps = [iter(numbers(1, 2, 3)) for _ in range(3)]
    for _ in range(3):
        rows = spark.range(3).toLocalIterator()
        assert next(rows).id == 1
        del rows
    park(service, first, second)
    assert spark.conf.get("spark.sql.shuffle.partitions") == "12"
    assert second.calls > 0


def test_a_session_follows_a_cluster_that_another_notebook_brought_back(
    service: FakeService, drivers: tuple[FakeDriver, FakeDriver]
) -> None:
    first, second = drivers
    spark = a_session(service, first)
    park(service, first, second)
    service.will("GET", "clusters/c-1", a_cluster(generation=2, restarted=PARKED))
    assert spark.conf.get("spark.sql.shuffle.partitions") == "12"
    assert starts(service) == 1 and second.calls > 0


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"state": "stopped", "ready": False, "message": "It was stopped by alice.", "resumable": 2}, "by alice"),
        ({"state": "failed", "ready": False, "message": "Out of memory.", "resumable": 2}, "Out of memory"),
        ({"generation": 2, "resumable": 2}, "started anew"),
    ],
)
def test_a_session_of_a_cluster_that_was_stopped_or_failed_does_not_go_on(
    service: FakeService, drivers: tuple[FakeDriver, FakeDriver], now: dict[str, Any], said: str
) -> None:
    spark = a_session(service, drivers[0])
    service.will("GET", "clusters/c-1", a_cluster(**now))
    service.will("GET", "clusters/c-1/connection", drivers[1].connection)
    with pytest.raises(emberhub.ClusterFailed, match=said):
        spark.conf.get("spark.sql.shuffle.partitions")
    assert starts(service) == 1 and drivers[1].calls == 0


@pytest.mark.parametrize("status", [503, 404])
def test_while_the_service_or_the_hub_before_it_is_away_a_session_stays_with_its_driver(
    service: FakeService, drivers: tuple[FakeDriver, FakeDriver], status: int
) -> None:
    spark = a_session(service, drivers[0])
    service.refuse("GET", "clusters/c-1", status, "The service restarts.")
    assert spark.conf.get("spark.sql.shuffle.partitions") == "12"


def test_a_driver_that_does_not_answer_is_asked_about_without_a_pause(
    service: FakeService, drivers: tuple[FakeDriver, FakeDriver], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emberhub.channel.PAUSE", 1000.0)
    first, second = drivers
    spark = a_session(service, first)
    park(service, first, second)
    assert spark.conf.get("spark.sql.shuffle.partitions") == "12"
    assert second.calls > 0


def test_stopped_while_it_is_set_up_again_a_session_is_set_up_whole_by_the_next_query(
    service: FakeService, drivers: tuple[FakeDriver, FakeDriver], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = drivers
    spark = a_session(service, first)
    spark.conf.set("spark.sql.ansi.enabled", "false")
    for name in ("stars", "cells"):
        spark.range(5).createOrReplaceTempView(name)
    park(service, first, second)
    go_on, pauses = threading.Event(), list[int]()

    def press_stop(_: grpc.ServicerContext) -> None:
        pauses.append(len(tried))
        _thread.interrupt_main()
        go_on.wait(60)

    second.as_made = {"cells": press_stop}
    tried = the_pauses_of(spark)
    with pytest.raises(KeyboardInterrupt):
        spark.range(3).collect()
    go_on.set()
    assert "not set again yet" in capsys.readouterr().err
    assert len(tried) < pauses[0] + 5, "nobody tries for long to tell a driver that has gone"
    assert spark.conf.get("spark.sql.ansi.enabled") == "false"
    assert "Kept: settings; temporary views stars, cells. (" in capsys.readouterr().err
    assert second.settings["spark.sql.shuffle.partitions"] == "12"
    assert min(second.patience) > 1e9, "a view may wait for its turn on the pool"


def test_where_its_driver_ends_while_a_session_is_set_up_again_the_next_query_finds_another(
    service: FakeService, drivers: tuple[FakeDriver, FakeDriver], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = drivers
    spark = a_session(service, first)
    spark.range(5).createOrReplaceTempView("stars")
    park(service, first, second)
    second.as_made = {"stars": lambda context: context.abort(grpc.StatusCode.UNAVAILABLE, "it ends")}
    with pytest.raises(emberhub.ClusterFailed, match=r"set again on it \(unavailable\): run this again"):
        spark.conf.get("spark.sql.shuffle.partitions")
    assert spark.conf.get("spark.sql.shuffle.partitions") == "12"
    assert "Kept: settings; temporary views stars. (" in capsys.readouterr().err


def test_closing_a_session_brings_no_cluster_back(service: FakeService, drivers: tuple[FakeDriver, FakeDriver]) -> None:
    first, second = drivers
    spark = a_session(service, first)
    park(service, first, second)
    tried = the_pauses_of(spark)
    spark.stop()
    assert starts(service) == 1 and second.calls == 0 and tried == []


@pytest.fixture
def at_exit(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Does what Python would do at its end, of what is asked for from now on."""
    asked: dict[Any, tuple[Any, ...]] = {}
    monkeypatch.setattr(atexit, "register", lambda function, *arguments: asked.update({function: arguments}))
    monkeypatch.setattr(atexit, "unregister", lambda function: asked.pop(function, None))

    def end() -> None:
        for function, arguments in asked.items():
            function(*arguments)

    return end


def make_a_model(spark: Any) -> None:
    command = commands_pb2.Command()
    command.ml_command.fit.SetInParent()
    spark.client.execute_command(command)


def test_as_python_ends_the_driver_forgets_the_models_of_the_session(
    service: FakeService, drivers: tuple[FakeDriver, FakeDriver], at_exit: Callable[[], None]
) -> None:
    spark = a_session(service, drivers[0])
    make_a_model(spark)
    assert drivers[0].models == ["fit"]
    at_exit()
    assert drivers[0].models == ["fit", "clean_cache"]


def test_python_ends_at_once_after_its_driver_and_brings_no_cluster_back(
    service: FakeService, drivers: tuple[FakeDriver, FakeDriver], at_exit: Callable[[], None]
) -> None:
    first, second = drivers
    spark = a_session(service, first)
    make_a_model(spark)
    park(service, first, second)
    tried = the_pauses_of(spark)
    at_exit()
    assert starts(service) == 1 and second.calls == 0 and tried == []


def test_python_ends_without_a_word_to_the_driver_where_there_are_no_models(
    service: FakeService, drivers: tuple[FakeDriver, FakeDriver], at_exit: Callable[[], None]
) -> None:
    first, second = drivers
    spark = a_session(service, first)
    park(service, first, second)
    tried = the_pauses_of(spark)
    at_exit()
    assert starts(service) == 1 and second.calls == 0 and tried == []


def test_the_cluster_s_own_session_is_the_same_after_parking(
    service: FakeService, drivers: tuple[FakeDriver, FakeDriver]
) -> None:
    first, second = drivers
    spark = a_session(service, first)
    cluster = emberhub.cluster(quiet=True)
    mine = cluster.spark
    park(service, first, second)
    cluster._seen_at = 0.0
    assert cluster.spark is mine and mine is not spark
    mine.conf.set("spark.sql.ansi.enabled", "true")
    assert second.settings["spark.sql.ansi.enabled"] == "true"


def test_functions_ask_the_session_that_was_opened_last_and_none_whose_driver_has_gone(
    service: FakeService, drivers: tuple[FakeDriver, FakeDriver]
) -> None:
    earlier = a_session(service, drivers[0])
    drivers[0].stop()
    service.will("POST", "clusters", a_cluster(id="c-2", name="second"))
    service.will("GET", "clusters/c-2", a_cluster(id="c-2", name="second"))
    service.will("GET", "clusters/c-2/connection", drivers[1].connection)
    later = emberhub.cluster("second").spark
    assert SparkSession.getActiveSession() is later is SparkSession.active()
    asked = drivers[1].calls
    assert SparkSession.active().conf.get("spark.sql.shuffle.partitions")
    assert drivers[1].calls > asked
    drop(earlier)
    assert SparkSession.getActiveSession() is later
    drop(later)
