"""sparkmagic's settings, who its requests say they are from, and what they do while the service is away."""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import requests
from emberhub import sparkmagic
from emberhub.errors import ConfigError
from emberhub.sparkmagic_auth import Emberhub, Patient

# sparkmagic gives its widgets a width as ipywidgets no longer has it.
pytestmark = pytest.mark.filterwarnings("ignore:Passing unrecognized arguments:DeprecationWarning")
URL = "http://127.0.0.1:8089/services/emberhub"


@pytest.fixture(autouse=True)
def in_a_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBERHUB_URL", URL)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "alices-token")


def signed(address: str) -> requests.PreparedRequest:
    return requests.Request("GET", address, auth=Emberhub()).prepare()


def test_a_home_gets_settings_and_a_kernel_once(tmp_path: Path) -> None:
    kept, written = sparkmagic.install(tmp_path)
    config, kernel = written
    assert kept == []
    settings = json.loads(config.read_text())
    assert settings["kernel_python_credentials"]["url"] == "http://emberhub/livy"
    assert settings["authenticators"]["Emberhub"] == f"{Emberhub.__module__}.Emberhub"
    assert settings["http_session_config"]["adapters"][0]["adapter"] == f"{Patient.__module__}.Patient"
    assert kernel == tmp_path / ".local/share/jupyter/kernels/pysparkkernel/kernel.json"
    assert "token" not in config.read_text() + kernel.read_text()
    assert sparkmagic.install(tmp_path) == ([], [])


def test_what_a_user_has_set_stays(tmp_path: Path) -> None:
    mine = {"wait_for_idle_timeout_seconds": 5, "use_auto_viz": False, "authenticators": {"Ours": "ours.Auth"}}
    file = tmp_path / ".sparkmagic" / "config.json"
    file.parent.mkdir()
    file.write_text(json.dumps(mine))
    kept, _ = sparkmagic.install(tmp_path)
    settings = json.loads(file.read_text())
    assert kept == ["wait_for_idle_timeout_seconds"]
    assert (settings["wait_for_idle_timeout_seconds"], settings["use_auto_viz"]) == (5, False)
    assert {"Ours", "Emberhub"} < set(settings["authenticators"])
    file.write_text("{")
    with pytest.raises(ConfigError, match="is not JSON"):
        sparkmagic.install(tmp_path)
    assert file.read_text() == "{"


def test_requests_go_to_the_hubs_service_with_the_notebooks_token_in_a_header() -> None:
    for address in ("http://emberhub/livy/sessions/1/log?from=0", f"{URL}/livy/sessions/1/log?from=0"):
        request = signed(address)
        assert request.url == f"{URL}/livy/sessions/1/log?from=0"
        assert request.headers["Authorization"] == "token alices-token"


def test_the_token_goes_nowhere_else() -> None:
    for address in (
        "http://elsewhere.example/livy/sessions",
        "http://emberhub/livyish",
        "http://emberhub.example/livy",
    ):
        with pytest.raises(ConfigError, match="the authenticator Emberhub is for http://emberhub/livy"):
            signed(address)


def test_what_finds_no_service_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    heard = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    opened: list[HTTPServer] = []

    def open_late() -> None:
        opened.append(HTTPServer(("127.0.0.1", port), Handler))
        opened[0].serve_forever(0.02)

    late = threading.Timer(0.6, open_late)
    late.start()
    with requests.Session() as session:
        session.mount("http://", Patient())
        assert session.post(f"http://127.0.0.1:{port}/statements", data=b"once", timeout=30).status_code == 201
    assert heard == [b"once"]
    opened[0].shutdown()
    late.join()
    opened[0].server_close()
