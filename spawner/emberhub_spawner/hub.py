"""What a site's `jupyterhub_config.py` needs for Emberhub, in one call.

from emberhub_spawner.hub import configure

configure(c, site="/etc/emberhub/emberhub.yaml", state_dir="/var/lib/emberhub")
c.JupyterHub.spawner_class = "emberhub_spawner.notebook.LocalSpawner"
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jupyterhub

SERVICE = "emberhub"
ACCESS = f"access:services!service={SERVICE}"

_PREFIX = f"/services/{SERVICE}"


def configure(
    c: Any,
    *,
    site: str | Path,
    state_dir: str | Path,
    service_url: str = "http://127.0.0.1:8089",
    backend: str = "local",
    reachable_at: str | None = None,
    notebook_url: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Add the Emberhub service to JupyterHub's configuration `c`, and let every user reach it.

    `service_url` is where the service listens. `reachable_at` is where the hub's proxy, drivers and notebooks reach it,
    such as http://hub:8089; without it they go to `service_url`, which is right on one machine. `notebook_url` is where
    notebooks reach it if not there, as far as `/services/emberhub`. `backend` is what runs drivers: `local` or
    `kubernetes`. `environment` is added to the service's. The spawner class stays the site's choice: it must have
    `emberhub_spawner.notebook.EmberhubSpawnerMixin` among its bases.
    """
    c.JupyterHub.services.append(
        {
            "name": SERVICE,
            "url": reachable_at or service_url,
            "display": True,
            # The service is the hub's own: asking each user whether it may know their name would only puzzle.
            "oauth_no_confirm": True,
            "command": [
                sys.executable,
                "-m",
                "emberhub_service",
                f"--EmberhubService.site={Path(site).absolute()}",
                f"--EmberhubService.state_dir={Path(state_dir).absolute()}",
                f"--EmberhubService.backend={backend}",
                f"--EmberhubService.service_url={service_url}",
                *([f"--EmberhubService.agent_url={_socket(reachable_at)}"] if reachable_at else []),
            ],
            "environment": _kubernetes_of_hub(backend) | dict(environment or {}),
        }
    )
    # So that it knows for how many people to keep a driver ready.
    c.JupyterHub.load_roles.append({"name": SERVICE, "services": [SERVICE], "scopes": ["list:users"]})
    _let_users_in(c)
    at = (reachable_at or service_url).rstrip("/")
    c.EmberhubSpawnerMixin.emberhub_url = (notebook_url or at + _PREFIX).rstrip("/")
    c.EmberhubSpawnerMixin.emberhub_site = str(Path(site).absolute())


def _kubernetes_of_hub(backend: str) -> dict[str, str]:
    """Where the hub finds Kubernetes: JupyterHub keeps its own environment from its services."""
    names = ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "KUBECONFIG") if backend == "kubernetes" else ()
    return {name: os.environ[name] for name in names if name in os.environ}


def _socket(address: str) -> str:
    """Where drivers call a service at this address."""
    return f"ws{address.rstrip('/').removeprefix('http')}{_PREFIX}/agent"


def _let_users_in(c: Any) -> None:
    """Give every user the scope to reach the service."""
    if jupyterhub.version_info[0] >= 6:
        c.JupyterHub.extra_user_scopes.update({ACCESS})
        return
    # JupyterHub 5 has no such setting: the role of all users is extended, the site's own if it has one.
    roles = c.JupyterHub.load_roles
    for role in roles if isinstance(roles, list) else []:
        if role.get("name") == "user":
            role["scopes"] = [*role.get("scopes", ["self"]), ACCESS]
            return
    roles.append({"name": "user", "scopes": ["self", ACCESS]})
