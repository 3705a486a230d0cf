"""A real hub in a pod, as the chart runs it: notebooks, drivers and executors are pods beside it."""

from __future__ import annotations

import contextlib
import functools
import json
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.hub import Person, ask_for_token, eventually
from tests.support.kube import ROOT, Kube, a_kube_site, image

pytestmark = [pytest.mark.kubernetes, pytest.mark.spark, pytest.mark.hub, pytest.mark.timeout(600)]

PASSWORD = "a-password-for-tests-only"
STARS = "/home/jovyan/star-data"

BEFORE = f"""
import os, sys
c.JupyterHub.bind_url = "http://0.0.0.0:8000"
c.JupyterHub.hub_bind_url = "http://0.0.0.0:8081"
c.JupyterHub.hub_connect_url = "http://hub:8081"
c.JupyterHub.db_url = "sqlite://"
c.ConfigurableHTTPProxy.command = [sys.executable, "-m", "emberhub_service.proxy"]
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = "{PASSWORD}"
c.Authenticator.allow_all = True
c.KubeSpawner.namespace = os.environ["POD_NAMESPACE"]
c.KubeSpawner.image = os.environ["NOTEBOOK_IMAGE"]
c.KubeSpawner.image_pull_policy = "IfNotPresent"
c.KubeSpawner.cmd = ["jupyterhub-singleuser"]
c.KubeSpawner.profile_list = []
"""
"""What the chart sets, but for the proxy, which has a pod of its own there."""

RULES = """
rules: {min_hold: 1s, idle_after: 3s, think_time: 1s, reclaim_notice: 1s}
heartbeat: 3s
"""

GAIA = """
from importlib.resources import files
import nbformat
from nbclient import NotebookClient
book = nbformat.reads(files("emberhub_examples").joinpath("gaia", "gaia.ipynb").read_text(), 4)
NotebookClient(book, timeout=200, kernel_name="python3").execute()
for cell in book.cells:
    for output in cell.get("outputs", ()):
        print(output.get("data", {}).get("text/plain", output.get("text", "")))
import emberhub
cluster = emberhub.cluster(quiet=True)
print("cluster", cluster.id)
"""

STOP = "import emberhub; emberhub.cluster(quiet=True).stop()"

PEEK = """
import os, ssl, urllib.error, urllib.request
from pathlib import Path
print(Path("/var/run/secrets/kubernetes.io").exists(), [name for name in os.environ if "KUBECONFIG" in name])
clear = ssl.create_default_context()
clear.check_hostname, clear.verify_mode = False, ssl.CERT_NONE
try:
    urllib.request.urlopen("https://kubernetes.default.svc/api/v1/namespaces/NAMESPACE/pods", context=clear, timeout=20)
except urllib.error.HTTPError as error:
    print(error.code)
"""


class KubeHub:
    """JupyterHub in a pod, with the rights that the chart gives it, and what Emberhub's values add to it."""

    def __init__(self, kube: Kube, stars: Path) -> None:
        self.kube = kube
        values = yaml.safe_load((ROOT / "helm-values" / "base.yaml").read_text())["hub"]
        (site_at,) = [each["mountPath"] for each in values["extraFiles"].values()]
        files = {
            "jupyterhub_config.py": BEFORE + values["extraConfig"]["emberhub"],
            "emberhub.yaml": yaml.safe_dump(_site(kube.image, stars)),
        }
        kube.apply(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "hub"}},
            *_rights_of_the_chart(),
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hub"}, "stringData": files},
            _hub_service(values["service"]["extraPorts"]),
            _hub_pod(image("hub"), image("notebook"), site_at),
        )
        (service,) = [each for each in kube.get("services") if each["metadata"]["name"] == "hub"]
        self.url = f"http://{service['spec']['clusterIP']}:8000"
        self.service = f"{self.url}/services/emberhub"
        eventually(self._answers, "the hub answers", 120)

    def _answers(self) -> bool:
        (pod,) = self.kube.get("pods", "component=hub")
        restarts = sum(each["restartCount"] for each in pod["status"].get("containerStatuses", ()))
        assert not restarts, self.log("--previous")
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/hub/health", timeout=5):
            return True
        return False

    def log(self, *more: str) -> str:
        return self.kube.run("logs", "hub", "--tail=60", *more, check=False)

    def make_token(self, user: str) -> str:
        return ask_for_token(self.url, user, PASSWORD)

    @functools.cache  # noqa: B019 (a hub lives as long as the tests of its module)
    def person(self, name: str) -> Person:
        return Person(self, name)

    def ask(self, method: str, path: str, token: str, body: Any = None) -> Any:
        """One request to the hub's own API."""
        request = urllib.request.Request(
            f"{self.url}/hub/api/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def notebook(self, person: Person) -> str:
        """Start this person's notebook server; returns the name of its pod."""
        self.ask("POST", f"users/{person.name}/server", person.token, {})

        def ready() -> bool:
            servers = self.ask("GET", f"users/{person.name}", person.token)["servers"]
            assert servers, f"the notebook server has failed:\n{self.log()}"
            return bool(servers[""]["ready"])

        eventually(ready, "the notebook server is ready", 120)
        (pod,) = self.kube.get("pods", "component=singleuser-server")
        return str(pod["metadata"]["name"])

    def python(self, pod: str, code: str, within: float = 120) -> str:
        """What this code prints in the notebook's pod."""
        return self.kube.run("exec", pod, "--", "python", "-W", "ignore", "-c", code, within=within)


def _site(reference: str, stars: Path) -> dict[str, Any]:
    """With a directory of the node that is mounted where the example puts its files."""
    site: dict[str, Any] = yaml.safe_load(a_kube_site(reference, 4, RULES))
    site["kubernetes"] |= {
        "volumes": [{"name": "stars", "hostPath": {"path": str(stars)}}],
        "volume_mounts": [{"name": "stars", "mountPath": STARS}],
    }
    return site


def _rights_of_the_chart() -> list[dict[str, Any]]:
    group = "rbac.authorization.k8s.io"
    things = ["pods", "persistentvolumeclaims", "secrets", "services"]
    rules = [
        {"apiGroups": [""], "resources": things, "verbs": ["get", "watch", "list", "create", "delete"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["get", "watch", "list"]},
    ]
    common = {"apiVersion": f"{group}/v1", "metadata": {"name": "hub"}}
    reference = {"apiGroup": group, "kind": "Role", "name": "hub"}
    subjects = [{"kind": "ServiceAccount", "name": "hub"}]
    return [
        common | {"kind": "Role", "rules": rules},
        common | {"kind": "RoleBinding", "roleRef": reference, "subjects": subjects},
    ]


def _hub_service(more: list[dict[str, Any]]) -> dict[str, Any]:
    ports = [{"name": "hub", "port": 8081}, {"name": "proxy", "port": 8000}, *more]
    spec = {"selector": {"component": "hub"}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "hub"}, "spec": spec}


def _hub_pod(reference: str, notebook: str, site_at: str) -> dict[str, Any]:
    config = "/usr/local/etc/jupyterhub/jupyterhub_config.py"
    container = {
        "name": "hub",
        "image": reference,
        "imagePullPolicy": "IfNotPresent",
        "args": ["jupyterhub", "--config", config],
        "env": [
            {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            {"name": "NOTEBOOK_IMAGE", "value": notebook},
        ],
        "volumeMounts": [
            {"name": "files", "mountPath": config, "subPath": "jupyterhub_config.py"},
            {"name": "files", "mountPath": site_at, "subPath": "emberhub.yaml"},
        ],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "serviceAccountName": "hub",
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "files", "secret": {"secretName": "hub"}}],
    }
    metadata = {"name": "hub", "labels": {"app": "jupyterhub", "component": "hub"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def restricted(pod: dict[str, Any]) -> bool:
    """Whether this pod keeps to Pod Security `restricted`, but for volumes."""
    spec = pod["spec"]
    whole = spec["securityContext"]
    for container in (*spec["containers"], *spec.get("initContainers", ())):
        own = container.get("securityContext", {})
        both = whole | own
        if not (
            both.get("runAsNonRoot")
            and both.get("seccompProfile", {}).get("type") == "RuntimeDefault"
            and own.get("allowPrivilegeEscalation") is False
            and own.get("capabilities") == {"drop": ["ALL"]}
        ):
            return False
    return True


@pytest.fixture(scope="module")
def hub(kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> KubeHub:
    stars = tmp_path_factory.mktemp("stars")
    stars.chmod(0o777)
    return KubeHub(kube, stars)


def test_from_a_notebook_in_a_pod_a_cluster_of_pods_works_through_the_example_and_leaves_nothing(hub: KubeHub) -> None:
    alice = hub.person("alice")
    notebook = hub.notebook(alice)
    said: list[str] = []
    example = threading.Thread(target=lambda: said.append(hub.python(notebook, GAIA, 240)), daemon=True)
    example.start()
    drivers = eventually(lambda: hub.kube.pods("driver"), "a driver's pod", 60)
    executors = eventually(lambda: hub.kube.pods("executor"), "executors' pods", 60)
    for pod in (*hub.kube.get("pods", "component=singleuser-server"), *drivers, *executors):
        assert pod["metadata"]["labels"]["emberhub/user"] == "alice"
        assert restricted(pod), pod["spec"]
    example.join(240)
    assert said, f"the example failed:\n{hub.log()}"
    assert "482176" in said[0], said[0]
    assert drivers[0]["metadata"]["labels"]["emberhub/cluster"] == said[0].split()[-1]
    eventually(lambda: not hub.kube.pods("executor"), "idle executors go", 60)
    assert hub.kube.pods("driver"), "the cluster is still there"

    assert hub.python(notebook, PEEK.replace("NAMESPACE", hub.kube.namespace)).split() == ["False", "[]", "403"]

    hub.python(notebook, STOP)
    eventually(lambda: not hub.kube.left(), "nothing of the cluster is left", 60)
    hub.ask("DELETE", "users/alice/server", alice.token)
    eventually(lambda: len(hub.kube.get("pods")) == 1, "no pod is left but the hub's", 60)
    assert not hub.kube.get("persistentvolumeclaims")
