"""`emberhub simulate`, from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from emberhub.cli import main

ROOT = Path(__file__).parents[2]

SMALL = """\
title: Two on one
shows: That it works.
pools: [{name: main, cores: 1, memory: 1G}]
queues: {name: class}
users:
  - {name: u, count: 2, queue: class, executor: {cores: 1, memory: 1G}, cells: [{stages: [{tasks: 3, lasts: 2s}]}]}
"""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


def test_it_prints_a_table_and_writes_json_pictures_and_a_page(small, tmp_path, capsys):
    other = tmp_path / "other.yaml"
    other.write_text(SMALL.replace("Two on one", "Two more"))
    page, numbers, plot = tmp_path / "docs" / "page.md", tmp_path / "numbers.json", tmp_path / "p.svg"
    arguments = ["--markdown", str(page), "--json", str(numbers), "--plot", str(plot), "--policy", "ember,static"]
    assert main(["simulate", str(small), str(other), *arguments]) == 0
    out = capsys.readouterr().out
    assert "small: Two on one" in out
    assert "other: Two more" in out
    found = json.loads(numbers.read_text())
    assert [(m["scenario"], m["policy"]) for m in found] == [
        (scenario, policy) for scenario in ("small", "other") for policy in ("ember", "static")
    ]
    assert all(m["done"] == m["asked"] == 12.0 for m in found)
    text = page.read_text()
    assert "| ember |" in text
    assert f"--policy ember,static --markdown {page}" in text
    for name in ("small", "other"):
        assert f"](images/{name}.png)" in text
        assert (page.parent / "images" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (tmp_path / f"p-{name}.svg").read_text().count("<svg") == 1


def test_another_seed_may_be_given(tmp_path, capsys):
    path = tmp_path / "s.yaml"
    path.write_text(SMALL.replace("lasts: 2s", "lasts: [1s, 9s]"))
    tables = []
    for seed in ("1", "2", "2"):
        assert main(["simulate", str(path), "--seed", seed, "--policy", "fifo"]) == 0
        tables.append(capsys.readouterr().out)
    assert tables[0] != tables[1] == tables[2]


def test_work_that_ember_leaves_undone_is_a_failure(small, capsys):
    small.write_text(SMALL + "horizon: 3s\n")
    assert main(["simulate", str(small), "--policy", "ember"]) == 1
    assert "never done" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.yaml"], "missing.yaml cannot be read"),
        (["{small}", "--plot", "p.pdf"], "must end in .svg or .png"),
        (["{small}", "--json", "/dev/null/x"], "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_exit_status_1(small, arguments, said, capsys):
    assert main(["simulate", *(argument.format(small=small) for argument in arguments)]) == 1
    assert said in capsys.readouterr().err


def test_an_unknown_policy_is_wrong_usage(small, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["simulate", str(small), "--policy", "ember,lifo"])
    assert stop.value.code == 2
    assert "there is no policy 'lifo'; there are ember, fifo, static, spark-dynamic" in capsys.readouterr().err


def test_the_page_in_the_documentation_has_every_shipped_scenario_with_its_picture():
    text = (ROOT / "docs" / "scenarios.md").read_text()
    assert "emberhub simulate examples/scenarios/*.yaml --markdown docs/scenarios.md" in text
    for path in (ROOT / "examples" / "scenarios").glob("*.yaml"):
        assert f"`{path.name}`" in text
        assert (ROOT / "docs" / "images" / f"{path.stem}.png").exists()
