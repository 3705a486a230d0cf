"""The KubeSpawner of ours: what its pods carry. Pure."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from emberhub_spawner.kubernetes.notebook import EmberhubKubeSpawner
from emberhub_spawner.notebook import SERVER_TOKEN_SCOPES
from jupyterhub.slugs import safe_slug
from kubernetes_asyncio.config import kube_config
from traitlets.config import Config

SITE = """
kubernetes:
  image: registry/spark:1
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
  volume_mounts: [{name: data, mountPath: /data}]
profiles:
  - {name: small, title: Small, executor: {cores: 1, memory: 1G}, default: true}
  - name: nvme
    executor: {cores: 1, memory: 2G}
    pod:
      volumes: [{name: spark-local-dir-1, hostPath: {path: /nvme}}, {name: more, emptyDir: {}}]
      volume_mounts: [{name: spark-local-dir-1, mountPath: /scratch}, {name: more, mountPath: /more}]
  - {name: research, executor: {cores: 1, memory: 2G}, groups: [researchers]}
"""


KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: none}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
"""


@pytest.fixture
async def spawner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EmberhubKubeSpawner]:
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "kubeconfig"))
    site = tmp_path / "emberhub.yaml"
    site.write_text(SITE)
    config = Config()
    config.EmberhubSpawnerMixin.emberhub_url = "http://hub:8089/services/emberhub"
    config.EmberhubSpawnerMixin.emberhub_site = str(site)
    config.KubeSpawner.namespace = "hub"
    user: Any = SimpleNamespace(name="Alice@example.org", groups=[SimpleNamespace(name="students")], url="/u", id=1)
    user.escaped_name = "alice-40example.org"
    hub: Any = SimpleNamespace(base_url="/hub/", api_url="http://hub:8081/hub/api", public_host="")
    spawner = EmberhubKubeSpawner(config=config, user=user, hub=hub, _mock=True)
    yield spawner
    await spawner.api.api_client.close()


async def test_the_list_of_profiles_is_the_services_for_this_user(spawner: EmberhubKubeSpawner) -> None:
    listed = spawner.emberhub_profile_list()
    assert [(each["slug"], each["default"]) for each in listed] == [("small", True), ("nvme", False)]
    spawner.user_options = {"profile": "nvme"}
    await spawner.load_user_options()
    spawner.user_options = {"profile": "research"}
    with pytest.raises(ValueError, match="research"):
        await spawner.load_user_options()


async def test_the_notebook_has_the_scopes_of_every_emberhub_spawner(spawner: EmberhubKubeSpawner) -> None:
    assert spawner.server_token_scopes == list(SERVER_TOKEN_SCOPES)


async def test_the_pod_is_labelled_confined_and_shares_its_profiles_volumes(
    spawner: EmberhubKubeSpawner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spawner, "get_env", dict)
    monkeypatch.setattr(spawner, "get_args", list)
    spawner.user_options = {"profile": "nvme"}
    pod = await spawner.get_pod_manifest()
    assert pod.metadata.labels["emberhub/user"] == safe_slug("Alice@example.org")
    assert {"data", "more"} <= {volume["name"] for volume in pod.spec.volumes if isinstance(volume, dict)}
    assert "spark-local-dir-1" not in str(pod.spec.volumes)
    container = pod.spec.containers[0]
    assert {"name": "data", "mountPath": "/data"} in container.volume_mounts
    assert container.security_context["runAsNonRoot"] is True
    assert container.security_context["allowPrivilegeEscalation"] is False
    assert pod.spec.automount_service_account_token is False
