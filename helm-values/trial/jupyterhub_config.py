"""A hub in one pod, proxy and all. People log in with the class's password and a name of their choice."""

import sys
from pathlib import Path

from emberhub_spawner.hub import configure

c = get_config()  # noqa: F821
c.JupyterHub.bind_url = "http://0.0.0.0:8000"
c.JupyterHub.hub_bind_url = "http://0.0.0.0:8081"
c.JupyterHub.hub_connect_url = "http://hub:8081"
c.ConfigurableHTTPProxy.command = [sys.executable, "-m", "emberhub_service.proxy"]
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = Path("/etc/class/password").read_text().strip()
c.Authenticator.allow_all = True
c.KubeSpawner.image = "localhost/emberhub-notebook:dev"
c.KubeSpawner.cmd = ["jupyterhub-singleuser"]
c.KubeSpawner.delete_pvc = False  # There are none: what people keep is in the class's volume.

configure(
    c,
    site="/usr/local/etc/emberhub/emberhub.yaml",
    state_dir="/srv/jupyterhub/emberhub",
    backend="kubernetes",
    service_url="http://0.0.0.0:8089",
    reachable_at="http://hub:8089",
)
c.JupyterHub.spawner_class = "emberhub_spawner.kubernetes.notebook.EmberhubKubeSpawner"
