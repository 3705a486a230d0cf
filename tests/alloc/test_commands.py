"""`emberhub plan` and `emberhub bench plan`, as people call them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import msgspec
import pytest
from emberhub.cli import main
from emberhub_service.commands.bench import contended, exponent

from .builders import a_cluster, a_pool, a_site


def saved(tmp_path: Path) -> Path:
    greedy = a_cluster("greedy").wanting(9).holding(4)
    site = a_site(a_pool(cores=4, memory="8G"), greedy, a_cluster("new").wanting(2))
    path = tmp_path / "snapshot.json"
    path.write_bytes(msgspec.json.encode(site))
    return path


def test_a_plan_as_text_says_who_has_what_and_why_somebody_waits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", str(saved(tmp_path))]) == 0
    text = capsys.readouterr().out
    assert "Pool main: 4 cores, 4 GiB memory in use or promised, of 4 cores, 8 GiB memory" in text
    assert "greedy (greedy): 4 running" in text
    assert "reclaim  greedy: greedy-0, greedy-1, to leave in 5 s." in text
    assert "new lacks 2: Executors are on their way to it" in text
    assert "short of millicores" in text
    assert "place 1 in line; next executor in about 10 s" in text


def test_a_plan_as_json_is_the_types_own_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(saved(tmp_path)), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {decision["do"] for decision in found["decisions"]} == {"Reclaim", "Refuse"}
    assert found["fair"] == {"greedy": 2, "new": 2}


def test_a_snapshot_may_come_from_standard_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(saved(tmp_path).read_bytes())))
    assert main(["plan", "-"]) == 0
    assert "Decisions" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not JSON"),
        ('{"now": 1, "pools": [], "queues": {"name": 5}}', "$.queues.name"),
        ('{"now": 1, "pools": [], "queues": {"name": "root", "colour": 1}}', "colour"),
        (
            '{"now": 1, "pools": [{"name": "p", "capacity": {"cores": 1}}], "queues": {"name": "r"}}',
            "$.pools[0].capacity",
        ),
    ],
)
def test_a_file_that_is_no_snapshot_gets_one_line_that_names_the_place(
    text: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    assert main(["plan", str(path)]) == 1
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_a_file_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(tmp_path / "none.json")]) == 1
    assert "none.json" in capsys.readouterr().err


def test_an_empty_site_has_an_empty_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "empty.json"
    path.write_text('{"now": 0, "pools": [], "queues": {"name": "root"}}')
    assert main(["plan", str(path)]) == 0
    assert "There are no clusters." in capsys.readouterr().out


def test_bench_writes_what_it_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bench.json"
    assert main(["bench", "plan", "--clusters", "10,20", "--json", str(path)]) == 0
    found = json.loads(path.read_text())
    assert [row["clusters"] for row in found["plan"]] == [10, 20]
    assert all(row["seconds"] > 0 and row["peak_bytes"] > 0 for row in found["plan"])
    assert all(row["decisions"]["reclaim"] and row["decisions"]["refuse"] for row in found["plan"])
    assert "exponent" in found
    assert "clusters" in capsys.readouterr().out


def test_bench_refuses_sizes_that_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["bench", "plan", "--clusters", "10,x"])
    assert stopped.value.code == 2
    assert "write whole numbers with commas" in capsys.readouterr().err


def test_the_benchmark_has_ten_executors_a_cluster_and_its_exponent_is_a_power() -> None:
    site = contended(300)
    assert sum(len(cluster.executors) for cluster in site.clusters) == pytest.approx(3000, rel=0.02)
    upheaval = contended(300, upheaval=True)
    assert sum(len(cluster.executors) for cluster in upheaval.clusters) == pytest.approx(3000, rel=0.02)
    assert exponent([10, 100, 1000], [0.01, 0.1, 1.0]) == pytest.approx(1.0)
    assert exponent([10, 100], [1.0, 100.0]) == pytest.approx(2.0)
