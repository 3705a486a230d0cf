"""A real hub in a pod, by the commands of docs/kubernetes.md: notebooks, drivers and executors are pods beside it."""

from __future__ import annotations

import functools
import json
import os
import re
import secrets
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.hub import Person, ask_for_token, eventually
from tests.support.kube import ROOT, Kube, image

pytestmark = [pytest.mark.kubernetes, pytest.mark.spark, pytest.mark.hub, pytest.mark.timeout(600)]

COMMANDS = re.compile(r"^## From nothing to a class\n.*?^```\n(.*?)^```", re.DOTALL | re.MULTILINE)
"""The first block of commands under that heading."""

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


def the_commands() -> list[str]:
    """Those of the documentation."""
    found = COMMANDS.search((ROOT / "docs" / "kubernetes.md").read_text())
    assert found, "docs/kubernetes.md has no commands any more"
    return found[1].splitlines()


class KubeHub:
    """JupyterHub in a pod, as somebody has it who tries Emberhub; its people reach it by the last command's port."""

    def __init__(self, kube: Kube) -> None:
        self.kube = kube
        build, *commands, forward = the_commands()
        assert build.startswith("images/build "), "the images are there already"
        try:
            said = self._shell("\n".join(commands))
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise AssertionError(f"{error.stdout}\n{error.stderr}\n{self.log()}") from error
        self.password = said.split()[-1]
        # Any free port will do.
        self._forward = subprocess.Popen(
            forward.replace(" 8000:", " :").split(), env=self._environment(), stdout=subprocess.PIPE, text=True
        )
        assert self._forward.stdout is not None
        self.url = "http://" + self._forward.stdout.readline().split()[2]
        self.service = f"{self.url}/services/emberhub"

    def close(self) -> None:
        self._forward.terminate()
        self._forward.communicate(timeout=30)

    def _environment(self) -> dict[str, str]:
        return os.environ | {"KUBECONFIG": self.kube.kubeconfig}

    def _shell(self, script: str) -> str:
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=ROOT,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=240,
            check=True,
        )
        return ran.stdout

    def log(self) -> str:
        return self.kube.run("logs", "deployment/hub", "--tail=60", check=False)

    def make_token(self, user: str) -> str:
        return ask_for_token(self.url, user, self.password)

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
def kube(kubeconfig: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kube]:
    """The namespace that the commands make, on a cluster with a disk for its claim: most bring one themselves."""
    mine = tmp_path_factory.mktemp("config") / "config"
    mine.write_text(Path(kubeconfig).read_text())  # One of the commands changes it.
    disk = tmp_path_factory.mktemp("disk")
    disk.chmod(0o777)
    for name in ("spark", "hub", "notebook"):
        image(name)
    kube = Kube(str(mine), "class", image("spark"))
    volume = f"class-data-{secrets.token_hex(4)}"
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "claimRef": {"namespace": "class", "name": "class-data"},
        "hostPath": {"path": str(disk)},
    }

    try:
        there = kube.run("get", "namespace/class", "--ignore-not-found", "--output=name")
        assert not there, "the cluster has a namespace `class`, which is not ours to delete"
        kube.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": volume}, "spec": spec})
        try:
            yield kube
        finally:
            for thing in ("namespace/class", f"persistentvolume/{volume}"):
                kube.run("delete", thing, "--ignore-not-found", "--wait=false")
            gone = "the namespace and the volume are gone"
            eventually(lambda: not kube.run("get", "namespace/class", "--ignore-not-found"), gone, 120)
    finally:
        kube.close()


@pytest.fixture(scope="module")
def hub(kube: Kube) -> Iterator[KubeHub]:
    hub = KubeHub(kube)
    try:
        yield hub
    finally:
        hub.close()


def test_there_are_ten_commands_at_most() -> None:
    assert len(the_commands()) <= 10


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
    claims = [each["metadata"]["name"] for each in hub.kube.get("persistentvolumeclaims")]
    assert claims == ["class-data"]
