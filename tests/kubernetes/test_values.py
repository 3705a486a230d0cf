"""What is in helm-values can be taken as it stands: pure."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from emberhub.wire.resources import Resources
from emberhub_service.config import Site, parse_site
from emberhub_spawner.backend import DriverSpec
from emberhub_spawner.kubernetes import manifests
from emberhub_spawner.kubernetes.notebook import EmberhubKubeSpawner
from emberhub_spawner.pods import of_driver, over
from traitlets.config import Config
from traitlets.utils.importstring import import_item

VALUES = Path(__file__).parents[2] / "helm-values"
NEWEST = "1.32"
OVERLAYS = ("kind", "openstack", "gpu-nvme", "monitoring")
CHART = os.environ.get("EMBERHUB_CHART", "")
"""A folder with the Zero-to-JupyterHub chart, where there is one; with `helm` the values are rendered too."""


def sites() -> list[Path]:
    return [path for path in sorted(VALUES.glob("*.yaml")) if "emberhub.yaml" in path.read_text()]


def site_in(path: Path) -> Site:
    values = yaml.safe_load(path.read_text())
    return parse_site(values["hub"]["extraFiles"]["emberhub.yaml"]["stringData"], path.name)


def accepted(manifest: dict[str, Any]) -> None:
    kubernetes_validate.validate(manifest, NEWEST, strict=True)


@pytest.mark.parametrize("path", sites(), ids=lambda path: path.stem)
def test_the_site_file_in_the_values_is_right_and_makes_pods_that_kubernetes_takes(path: Path) -> None:
    site = site_in(path)
    assert site.profiles[0].name == "small"
    for profile in site.profiles:
        spec = DriverSpec(
            *("c-0123456789abcdef", 1, "alice", "main", "main", "ws://hub:8089/", "a", "b"),
            executor=profile.executor or Resources(),
            conf={},
            lease=60.0,
            driver_pod=of_driver(site.kubernetes, profile.pod),
            executor_pod=over(site.kubernetes, profile.pod),
        )
        accepted(manifests.driver_pod(spec))
        accepted(manifests.executor_pod(spec))
        accepted(manifests.secret(spec, "hub", "secret"))


def laid_over(below: Any, above: Any) -> Any:
    """As helm merges one file of values over another."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return below | {key: laid_over(below.get(key), value) for key, value in above.items()}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_chart_takes_the_values(overlay: str) -> None:
    schema = yaml.safe_load(Path(__file__).with_name("chart-schema.yaml").read_text())
    base, above = (yaml.safe_load((VALUES / f"{name}.yaml").read_text()) for name in ("base", overlay))
    values = laid_over(base, above)
    jsonschema.validate(values, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(laid_over(values, {"hub": {"no-such-key": 1}}), schema)


@pytest.mark.long
@pytest.mark.skipif(not (CHART and shutil.which("helm")), reason="EMBERHUB_CHART names no chart, or there is no helm")
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_the_chart_makes_of_the_values_is_taken_by_kubernetes(overlay: str) -> None:
    files = [f"--values={VALUES / name}.yaml" for name in ("base", overlay)]
    command = ["helm", "template", "hub", CHART, f"--kube-version={NEWEST}", *files]
    rendered = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    made = [manifest for manifest in yaml.safe_load_all(rendered) if manifest]
    assert "Deployment" in {manifest["kind"] for manifest in made}
    for manifest in made:
        accepted(manifest)


def test_the_hubs_configuration_in_the_values_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    values = yaml.safe_load((VALUES / "base.yaml").read_text())
    c = Config()
    c.JupyterHub.services, c.JupyterHub.load_roles = [], []
    c.JupyterHub.extra_user_scopes = set()
    exec(values["hub"]["extraConfig"]["emberhub"], {"c": c})  # as the chart does
    (service,) = c.JupyterHub.services
    assert service["url"] == "http://hub:8089", "as the proxy reaches it"
    assert service["command"][:3] == [sys.executable, "-m", "emberhub_service"]
    assert service["environment"]["KUBERNETES_SERVICE_HOST"] == "10.0.0.1", "JupyterHub would keep it from the service"
    assert "--EmberhubService.service_url=http://0.0.0.0:8089" in service["command"]
    assert "--EmberhubService.agent_url=ws://hub:8089/services/emberhub/agent" in service["command"]
    assert import_item(c.JupyterHub.spawner_class) is EmberhubKubeSpawner
    (port,) = values["hub"]["service"]["extraPorts"]
    assert port["port"] == 8089


def made_by(folder: Path) -> Iterator[dict[str, Any]]:
    """What its kustomization names, with what it builds on."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    for name in kustomization["resources"]:
        if (folder / name).is_dir():
            yield from made_by(folder / name)
        else:
            yield from yaml.safe_load_all((folder / name).read_text())
    generated = {name for each in kustomization.get("configMapGenerator", ()) for name in each["files"]}
    named = {"kustomization.yaml", *kustomization["resources"], *generated}
    assert {path.name for path in folder.iterdir()} <= named, "a file that nothing names"


@pytest.mark.parametrize("folder", ["cluster", "trial"])
def test_what_has_no_chart_is_taken_by_kubernetes(folder: str) -> None:
    manifests = list(made_by(VALUES / folder))
    assert "NetworkPolicy" in {each["kind"] for each in manifests}
    for manifest in manifests:
        accepted(manifest)


def test_a_hub_without_the_chart_is_configured_as_with_it() -> None:
    config = (VALUES / "trial" / "jupyterhub_config.py").read_text()
    with_chart = yaml.safe_load((VALUES / "base.yaml").read_text())["hub"]["extraConfig"]["emberhub"]
    imported, call, more = re.split(r"\n(?=configure\()|(?=# The chart sets)", with_chart)
    assert more
    assert imported in config
    assert config.endswith(call)
    parse_site((VALUES / "trial" / "emberhub.yaml").read_text(), "trial")
