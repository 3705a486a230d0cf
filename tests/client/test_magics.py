"""The magics in a real IPython, over a service and a driver that are a few dictionaries."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from emberhub.notebook.completion import COMMANDS
from emberhub.wire import rest
from emberhub.wire.resources import Resources
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

from tests.support.connect import FakeDriver, numbers
from tests.support.fake_service import FakeService, a_cluster


@pytest.fixture(scope="module")
def whole_shell() -> Iterator[InteractiveShell]:
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "emberhub")
    yield shell
    InteractiveShell.clear_instance()


@pytest.fixture
def shell(whole_shell: InteractiveShell) -> InteractiveShell:
    whole_shell.user_ns.pop("cluster", None)
    whole_shell.user_ns.pop("spark", None)
    return whole_shell


@pytest.fixture
def driver(service: FakeService) -> Iterator[FakeDriver]:
    one = FakeDriver()
    service.will("POST", "clusters", a_cluster())
    service.will("GET", "clusters", rest.Clusters((a_cluster(),)))
    service.will("GET", "clusters/c-1", a_cluster())
    service.will("GET", "clusters/c-1/connection", one.connection)
    yield one
    one.stop()


def run(shell: InteractiveShell, code: str, capsys: pytest.CaptureFixture[str]) -> str:
    shell.run_cell(code)
    said = capsys.readouterr()
    return said.out + said.err


def test_start_puts_spark_and_the_cluster_into_the_notebook(
    shell: InteractiveShell, service: FakeService, driver: FakeDriver, capsys: pytest.CaptureFixture[str]
) -> None:
    said = run(shell, "%ember start --profile small --executors 0-3", capsys)
    assert "The variables spark and cluster are ready in this notebook" in said
    asked = next(each.body for each in service.asked if each.method == "POST")
    assert (asked["profile"], asked["executors"]) == ("small", {"min": 0, "max": 3})
    assert shell.user_ns["spark"] is shell.user_ns["cluster"].spark


def test_status_why_scale_and_stop_find_the_cluster_by_themselves(
    shell: InteractiveShell, service: FakeService, driver: FakeDriver, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "2 granted (2 running)" in run(shell, "%ember status", capsys)
    assert "It has all the executors" in run(shell, "%ember why", capsys)
    service.will("PATCH", "clusters/c-1", a_cluster(executors=rest.ExecutorRange(1, 2)))
    assert "asked for 1 to 2" in run(shell, "%ember scale 1 2", capsys)
    service.will("DELETE", "clusters/c-1", b"")
    assert "Cluster main is being stopped." in run(shell, "%ember stop", capsys)


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("%ember", "Use %ember with one of these"),
        ("%ember strat", "%ember does not know strat. Use one of start, status"),
        ("%ember start --executors many", "many is no number of executors. Write the most"),
        ("%ember start --sizes 3", "%ember cannot read this: unrecognized arguments: --sizes"),
        ("%ember scale 3", "Write the most, as 4, or the least and the most"),
        ("%ember status 'open", "%ember cannot read this: No closing quotation"),
        ("%ember status --name other", "You have no cluster called other. Start one with %ember start."),
        ("%%sql\n  ", "There is no SQL in this cell."),
        ("%%sql -o 3x\nSELECT 1", "3x is no name for a variable."),
    ],
)
def test_what_is_wrong_is_told_in_a_line_without_a_traceback(
    shell: InteractiveShell, driver: FakeDriver, capsys: pytest.CaptureFixture[str], line: str, part: str
) -> None:
    said = run(shell, line, capsys)
    assert part in said
    assert "Traceback" not in said


def test_sql_shows_a_table_keeps_the_result_and_draws_it(
    shell: InteractiveShell, driver: FakeDriver, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyspark.sql.connect.dataframe import DataFrame
    from pyspark.sql.types import LongType, StructField, StructType

    monkeypatch.setattr(DataFrame, "schema", StructType([StructField("id", LongType())]))
    driver.steps.append(iter(numbers(7, 8, 9)))
    said = run(shell, "%%sql -n 2 -o stars --chart\nSELECT id FROM stars;", capsys)
    assert "id\n7\n8\nThe first 2 rows of more" in said
    assert "in the variable stars, a Spark DataFrame" in said
    assert "There is nothing to draw in this result. Select a first column" in said
    assert isinstance(shell.user_ns["stars"], DataFrame)


def complete(shell: InteractiveShell, text: str) -> set[str]:
    with provisionalcompleter():
        return {each.text for each in shell.Completer.completions(text, len(text))}


def test_the_tab_key_offers_commands_options_profiles_and_tables(
    shell: InteractiveShell, service: FakeService, driver: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = rest.Profile("small", "Small", "", Resources.of(cores=1, memory="1G"), rest.ExecutorRange(0, 4))
    service.will("GET", "profiles", rest.Profiles((small,)))
    monkeypatch.setattr("emberhub.notebook.completion.Names._tables", lambda _: ["stars", "stripes"])
    assert complete(shell, "%ember ") >= set(COMMANDS)
    assert complete(shell, "%ember st") >= {"start", "status", "stop"}
    assert complete(shell, "%ember start --prof") == {"--profile"}
    assert complete(shell, "%ember start --profile s") == {"small"}
    assert complete(shell, "%%sql\nSELECT * FROM st") == {"stars", "stripes"}
    assert "--chart" in complete(shell, "%%sql --c")


def test_the_tab_key_wakes_no_cluster(shell: InteractiveShell, service: FakeService, driver: FakeDriver) -> None:
    from emberhub.notebook.completion import Names, offers

    shell.user_ns["cluster"] = "something else"
    names = Names(shell)
    assert offers("%%sql\nSELECT * FROM ", names) == ()
    assert all(asked.method == "GET" for asked in service.asked)
