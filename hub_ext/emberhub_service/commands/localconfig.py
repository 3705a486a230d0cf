"""JupyterHub's configuration for a hub on one machine."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from emberhub_spawner.hub import configure

from .leftovers import ENV_STATE

ADMIN = "admin"


def configure_local(c: Any, settings: dict[str, Any]) -> None:
    """Fill in JupyterHub's `c` from what `emberhub up` has decided."""
    state, host = Path(settings["state"]), "127.0.0.1"
    marker = {ENV_STATE: str(state)}
    configure(
        c,
        site=settings["site"],
        state_dir=state,
        service_url=f"http://{host}:{settings['service_port']}",
        # Whatever Spark needs from the machine must reach the drivers, which the service starts.
        environment={**marker, **{key: os.environ[key] for key in _FOR_SPARK if key in os.environ}},
    )
    c.JupyterHub.bind_url = f"http://{host}:{settings['port']}"
    c.JupyterHub.hub_bind_url = f"http://{host}:{settings['hub_port']}"
    c.JupyterHub.db_url = f"sqlite:///{state / 'jupyterhub.sqlite'}"
    c.JupyterHub.cookie_secret_file = str(state / "cookie-secret")
    c.ConfigurableHTTPProxy.command = [sys.executable, "-m", "emberhub_service.proxy"]
    c.ConfigurableHTTPProxy.api_url = f"http://{host}:{settings['proxy_api_port']}"
    c.ConfigurableHTTPProxy.pid_file = str(state / "proxy.pid")

    c.JupyterHub.authenticator_class = "shared-password"
    c.SharedPasswordAuthenticator.user_password = (state / "password").read_text().strip()
    c.SharedPasswordAuthenticator.admin_password = (state / "admin-password").read_text().strip()
    c.Authenticator.admin_users = {ADMIN}
    if settings["users"]:
        c.Authenticator.allowed_users = set(settings["users"])
    else:
        c.Authenticator.allow_all = True

    c.JupyterHub.spawner_class = "emberhub_spawner.notebook.LocalSpawner"
    c.LocalSpawner.homes = str(state / "homes")
    c.Spawner.environment = marker
    c.Spawner.default_url = "/lab"
    # A class that logs in all at once on a small machine takes a while.
    c.Spawner.start_timeout = 180
    c.Spawner.http_timeout = 120
    c.LocalProcessSpawner.interrupt_timeout = 10
    c.LocalProcessSpawner.term_timeout = 5
    # Also how soon the hub notices that the service has died, and starts it again.
    c.Spawner.poll_interval = 2
    c.Spawner.pre_spawn_hook = give_example


_FOR_SPARK = ("JAVA_HOME", "EMBERHUB_CACHE", "XDG_CACHE_HOME", "HOME", "TMPDIR")


def example_notebook() -> Path:
    """The example that comes with Emberhub. Raises FileNotFoundError."""
    import emberhub_examples  # noqa: PLC0415 (data: only there where it was installed)

    path = Path(next(iter(emberhub_examples.__path__))) / "gaia" / "gaia.ipynb"
    if not path.exists():
        raise FileNotFoundError(path)
    return path


def give_example(spawner: Any) -> None:
    """Put the example notebook into the home of a user who has none."""
    target = spawner.home / "gaia.ipynb"
    if not target.exists():
        spawner.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(example_notebook(), target)
