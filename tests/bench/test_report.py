"""What `emberhub bench` prints, writes and draws, from results that were saved."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from emberhub.cli import main
from emberhub_service.bench import picture, report, rotation
from emberhub_service.bench.acquisition import Move
from emberhub_service.bench.metrics import Metrics
from emberhub_service.bench.start import COLD, LOCAL, UNTUNED, Starts
from emberhub_service.commands import bench_rotation, bench_start

from tests.bench.builders import a_run


@pytest.fixture
def played() -> list[Metrics]:
    return [
        a_run("ember", [5.0, 6.0], [60.0, 66.0]),
        a_run("spark-dynamic", [10.0, 60.0], [50.0, 100.0]),
    ]


def test_the_table_has_a_row_for_each_policy_and_says_how_they_compare(played: list[Metrics]) -> None:
    text = report.tables(played)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    assert [row[:2] for row in rows[1:]] == [["2", "ember"], ["2", "spark-dynamic"]]
    assert "2 users, ember ÷ spark-dynamic: worst first result 0.10, makespan 0.66" in text


def test_a_document_can_be_read_and_shown_again(
    played: list[Metrics], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "result.json"
    report.write(report.document(played, {"seed": 1}), path)
    assert report.read(path) == played
    told = json.loads(path.read_text())
    assert {"machine", "versions", "java flags", "definitions", "options"} <= set(told)
    assert main(["bench", "workshop", "--from", str(path), "--each", "--plot", str(tmp_path / "plots")]) == 0
    out = capsys.readouterr().out
    assert "user-02" in out
    assert "worst first result 0.10" in out
    drawn = sorted(path.name for path in (tmp_path / "plots").iterdir())
    assert drawn == ["workshop-executors-2-plain.png", "workshop-first-result-2-plain.png"]


@pytest.mark.parametrize("changes", [{"executors_leaked": 1}, {"processes_leaked": 2}])
def test_a_leak_is_a_failure(changes: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report.write(report.document([a_run("ember", [5.0], [60.0], **changes)], {}), tmp_path / "result.json")
    assert main(["bench", "workshop", "--from", str(tmp_path / "result.json")]) == 1
    assert "were left" in capsys.readouterr().err


def test_a_user_who_did_not_come_through_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report.write(report.document([a_run("ember", [5.0, 6.0], [60.0, None])], {}), tmp_path / "result.json")
    assert main(["bench", "workshop", "--from", str(tmp_path / "result.json")]) == 1
    assert "1 users did not come through; the first: it broke" in capsys.readouterr().err


def test_many_users_are_drawn_too(tmp_path: Path) -> None:
    many = a_run("static", [float(n) for n in range(3, 33)], [60.0] * 30)
    assert all(path.stat().st_size > 1000 for path in picture.draw([many], tmp_path))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--policy", "ember,best"], "'best' is none of ember, spark-dynamic, static"),
        (["--tuning", "fast"], "'fast' is none of plain, tuned"),
        (["--users", "2,0"], "'0' is not a whole number from 1 to 1000"),
        (["--scale", "x"], "'x' is not a whole number"),
    ],
)
def test_a_wrong_argument_is_named(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["bench", "workshop", *arguments])
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


def test_what_is_no_result_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other.json").write_text("{}")
    assert main(["bench", "workshop", "--from", str(tmp_path / "other.json")]) == 1
    assert "holds no result" in capsys.readouterr().err


def test_logs_are_not_kept_over_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").touch()
    assert main(["bench", "workshop", "--keep", str(tmp_path)]) == 1
    assert "is not empty" in capsys.readouterr().err


def test_starts_are_told_with_their_ratios() -> None:
    found = Starts(
        to_first_result={
            f"{UNTUNED}, fresh kernel": [10.0, 12.0, 11.0],
            f"{LOCAL}, fresh kernel": [5.5],
            f"{COLD}, fresh kernel": [2.2],
        },
        waiting={UNTUNED: [5.0], COLD: [0.5, 1.0, 2.0]},
        acquisition={"tuned": [1.0], "default": [4.0]},
        release={"tuned": [0.5], "default": [1.0]},
        migration=[Move(100 << 20, 3.0, 100 << 20, 0)],
    )
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in bench_start.tables(found).splitlines()]
    assert [f"{COLD}, fresh kernel", "2.20", "2.20", "2.20", "0.20", "0.40"] in rows
    assert [f"a job waits for one, {COLD}", "1.00", "0.50", "2.00", "0.20"] in rows
    assert ["an executor comes, tuned", "1.00", "1.00", "1.00", "0.25"] in rows
    assert ["100 MiB", "3.0", "100 MiB", "0 MiB"] in rows


def test_a_size_to_migrate_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "start", "--migration", "much"])
    assert "is not a size" in capsys.readouterr().err


def test_longer_turns_cost_less_and_let_people_wait_longer(tmp_path: Path) -> None:
    curve = rotation.sweep(1.0, 1.0, lambda _: None, quanta=(5.0, 60.0), users=8)
    short, long = curve.turns
    assert short.overhead > long.overhead
    assert short.wait_worst < long.wait_worst
    assert short.executors > long.executors
    rotation.draw(curve, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 1000
    assert curve.advised == 60.0
    assert "at most 1.1 times the least: 60 s" in bench_rotation.table(curve)
