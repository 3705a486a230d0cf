"""Settings for sparkmagic, so that its magics and its PySpark kernel work at once with one's own cluster.

They name the service by an address that stands for it in every hub, `http://emberhub/livy`; `sparkmagic_auth` puts the
real one in its place, and the token of the notebook server with it.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

from .errors import ConfigError

ADDRESS = "http://emberhub/livy"
AUTH = "Emberhub"
ENV_DIRECTORY = "SPARKMAGIC_CONF_DIR"
KERNEL = "pysparkkernel"
"""The name that sparkmagic's own kernel has."""
_PATIENT = "emberhub.sparkmagic_auth.Patient"

SETTINGS: dict[str, Any] = {
    "kernel_python_credentials": {"username": "", "password": "", "url": ADDRESS, "auth": AUTH},
    "authenticators": {
        # The first is what %manage_spark offers first.
        AUTH: "emberhub.sparkmagic_auth.Emberhub",
        "Kerberos": "sparkmagic.auth.kerberos.Kerberos",
        "None": "sparkmagic.auth.customauth.Authenticator",
        "Basic_Access": "sparkmagic.auth.basic.Basic",
    },
    "http_session_config": {
        "adapters": [{"prefix": "http://", "adapter": _PATIENT}, {"prefix": "https://", "adapter": _PATIENT}]
    },
    # A class that begins all at once takes a while, and a cell that waits for executors is no error.
    "livy_session_startup_timeout_seconds": 300,
    "wait_for_idle_timeout_seconds": 300,
    "configurable_retry_policy_max_retries": 20,
    "retry_seconds_to_sleep_list": [0.2, 0.5, 1, 2],
    # To end a session, sparkmagic waits for its next sign of life.
    "heartbeat_refresh_seconds": 2,
    "heartbeat_retry_seconds": 2,
    "livy_server_heartbeat_timeout_seconds": 120,
    # By itself it writes every cell's code into a file.
    "logging_config": {
        "version": 1,
        "handlers": {"nowhere": {"class": "logging.NullHandler"}},
        "loggers": {"magicsLogger": {"handlers": ["nowhere"], "propagate": 0}},
    },
}
"""All that we set; whatever a file says already stays as it is."""


def installed() -> bool:
    """Whether sparkmagic can be imported here."""
    return importlib.util.find_spec("sparkmagic") is not None


def install(home: Path, data: Path | None = None, settings: Path | None = None) -> tuple[list[str], list[Path]]:
    """Write sparkmagic's settings and the PySpark kernel into this home directory.

    `data` is Jupyter's data directory, if not the usual one of `home`, and `settings` sparkmagic's. Returns the
    settings that were there already and stay as they are, and the files that were written.
    Raises ConfigError if the file that is there is no JSON, OSError where it cannot be written.
    """
    file = (settings or home / ".sparkmagic") / "config.json"
    theirs = _read(file)
    merged = SETTINGS | theirs
    different = sorted(key for key in SETTINGS if merged[key] != SETTINGS[key] and key != "authenticators")
    merged["authenticators"] = SETTINGS["authenticators"] | theirs.get("authenticators", {})
    kernel = (data or home / ".local" / "share" / "jupyter") / "kernels" / KERNEL / "kernel.json"
    command = [sys.executable, "-m", f"sparkmagic.kernels.{KERNEL}.{KERNEL}", "-f", "{connection_file}"]
    spec = {"argv": command, "display_name": "PySpark", "language": "python"}
    written = [path for path, document in ((file, merged), (kernel, spec)) if _write(path, document)]
    return different, written


def _read(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text()
    except FileNotFoundError:
        return {}
    try:
        known = json.loads(text or "{}")
    except ValueError as wrong:
        raise ConfigError(f"{file} is not JSON ({wrong}): correct or remove it") from None
    if not isinstance(known, dict):
        raise ConfigError(f"{file} holds no JSON object: correct or remove it")
    return known


def _write(path: Path, document: dict[str, Any]) -> bool:
    """Whether the file had to be written."""
    text = json.dumps(document, indent=2) + "\n"
    if path.exists() and path.read_text() == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.new")
    aside.write_text(text)
    aside.replace(path)
    return True
