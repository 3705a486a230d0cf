"""Scenarios that are wrong say where and how."""

from __future__ import annotations

from pathlib import Path

import pytest
from emberhub.errors import ConfigError
from emberhub_service.simulate import load, parse
from emberhub_service.simulate.workload import draw

GOOD = """\
title: A title
shows: Something.
pools: [{name: main, cores: 4, memory: 8G}]
queues: {name: class}
users:
  - name: ann
    queue: class
    executor: {cores: 2, memory: 2G}
    executors: {min: 0, max: 2}
    arrives: [10s, 1m]
    cells:
      - think: 5s
        repeat: 3
        stages: [{tasks: 4, lasts: [500ms, 2s], cached: 1M}]
"""


def test_a_scenario_is_read_in_human_units():
    scenario = parse(GOOD)
    (user,) = scenario.users
    assert (user.arrives.low, user.arrives.high) == (10.0, 60.0)
    assert (user.slots, user.ceiling) == (2, 2)
    stage = user.cells[0].stages[0]
    assert (stage.lasts.low, stage.lasts.high, stage.cached) == (0.5, 2.0, 1 << 20)
    (session,) = draw(scenario, 1)
    assert len(session.cells) == 3
    assert 10 <= session.arrives <= 60


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("title: A title\n", "", "lacks the key 'title'"),
        ("tasks: 4", "task: 4", r"users\[0\]\.cells\[0\]\.stages\[0\]\.task: there is no such key"),
        ("tasks: 4", "tasks: 0", r"line 14: users\[0\]\.cells\[0\]\.stages\[0\]\.tasks: must be a whole number from 1"),
        ("tasks: 4", "gang: 3", r"stages\[0\]\.gang: 3 executors at once can never be had here: at most 2"),
        ("tasks: 4", "tasks: 4, gang: 2", "leave tasks out"),
        ("tasks: 4", "tasks: 2000000", "tasks in all; at most"),
        ("[500ms, 2s]", "[2s, 500ms]", r"lasts: the range ends before it starts"),
        ("[500ms, 2s]", "soon", r"lasts: 'soon' is not a time"),
        ("[500ms, 2s]", "-1", r"lasts: .* is not a time"),
        ("queue: class", "queue: clas", r"users\[0\]\.queue: 'clas' is not a leaf .*; the leaves are class"),
        ("{cores: 2, memory: 2G}", "{cores: 20, memory: 2G}", r"users\[0\]\.executor: .* fits in no pool"),
        ("{cores: 2, memory: 2G}", "{}", r"users\[0\]\.executor: .* fits in no pool"),
        ("min: 0, max: 2", "min: 5, max: 2", r"users\[0\]\.executors: min is 5, more than max, 2"),
        ("cores: 4", "cores: many", r"pools\[0\]\.cores: must be a number"),
        ("users:", "seed: x\nusers:", "seed: must be a whole number"),
        ("users:", "costs: {bandwidth: 0}\nusers:", "costs: bandwidth must be more than 0"),
        (
            "users:",
            "reservations: [{name: w, queue: class, amount: {cores: 1}, start: 5m, end: 1m}]\nusers:",
            r"reservations\[0\]\.end: must be after start",
        ),
        ("users:", "users: []\nothers:", "others: there is no such key"),
        ("title: A title", "title: [", "is not YAML"),
    ],
)
def test_what_is_wrong_is_named_with_its_key(old, new, said):
    assert old in GOOD
    with pytest.raises(ConfigError, match=said):
        parse(GOOD.replace(old, new, 1))


def test_an_empty_or_missing_file_says_so(tmp_path):
    (tmp_path / "empty.yaml").write_text("")
    with pytest.raises(ConfigError, match=r"empty\.yaml: is empty"):
        load(tmp_path / "empty.yaml")
    with pytest.raises(ConfigError, match=r"missing\.yaml cannot be read"):
        load(tmp_path / "missing.yaml")


def test_every_shipped_scenario_starts_with_a_comment_that_says_what_it_shows():
    files = sorted((Path(__file__).parents[2] / "examples" / "scenarios").glob("*.yaml"))
    assert len(files) == 7
    for path in files:
        assert path.read_text().startswith("# ")
        assert load(path).shows.endswith(".")
