"""`emberhub bench panel` measures a service of its own, with panels and a page that listen to it."""

import json

from emberhub.cli import main
from emberhub_service.commands import bench_panel


def test_open_panels_and_the_class_page_are_told_of_changes_and_not_too_often(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(bench_panel, "_SETTLE", 1.0)
    monkeypatch.setattr(bench_panel, "page_costs", lambda seconds: None)
    assert main(["bench", "panel", "--seconds", "1", "--json", str(tmp_path / "found.json")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((tmp_path / "found.json").read_text())
    assert 0 < found["messages_a_second"]["busiest_panel"] <= 5
    assert 0 < found["messages_a_second"]["class_page"] <= 5
    assert found["messages_a_second"]["class_page_bytes"] > 0
    service = found["service_percent_of_a_core"]
    assert service["panels_and_class_page"]["busy"] > 0
    assert found["page"] is None, "without a browser its part is left out"
