"""What Kubernetes is told for one cluster: pure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from emberhub.errors import ConfigError
from emberhub.wire.driver import DriverConfig
from emberhub.wire.resources import Resources
from emberhub_driver.conf import driver_properties
from emberhub_driver.executor import command
from emberhub_service.config import parse_site
from emberhub_spawner.backend import DriverSpec
from emberhub_spawner.kubernetes import manifests
from emberhub_spawner.pods import Pod, in_queue, of_driver, over
from jupyterhub.slugs import safe_slug

TOKENS = ("the-agents-token", "the-connect-token", "the-spark-secret")


def a_spec(executor: Resources | None = None, site: Pod | None = None, profile: Pod | None = None) -> DriverSpec:
    below, above = site or Pod(image="registry/spark:1"), profile or Pod()
    return DriverSpec(
        cluster="c-0123456789abcdef",
        generation=3,
        user="Alice@example.org",
        name="main",
        pool="main",
        agent_url="ws://hub:8089/services/emberhub/agent",
        agent_token=TOKENS[0],
        connect_token=TOKENS[1],
        executor=executor or Resources.of(cores=2, memory="4G"),
        conf={"spark.sql.ansi.enabled": "false"},
        lease=60.0,
        driver_pod=of_driver(below, above),
        executor_pod=over(below, above),
    )


def told(spec: DriverSpec) -> tuple[DriverConfig, dict[str, Any]]:
    data = manifests.secret(spec, "hub", TOKENS[2])["stringData"]
    return msgspec.json.decode(data["config.json"], type=DriverConfig), json.loads(data["executor.json"])


def test_tokens_are_in_the_secret_and_nowhere_else() -> None:
    spec = a_spec()
    data = manifests.secret(spec, "hub", TOKENS[2])["stringData"]
    assert [data[key] for key in ("agent-token", "connect-token", "spark-secret")] == list(TOKENS)
    elsewhere = json.dumps([manifests.driver_pod(spec), data["config.json"], data["executor.json"]])
    assert not [token for token in TOKENS if token in elsewhere]


def test_executors_see_no_more_of_the_secret_than_what_their_driver_knows_them_by() -> None:
    _, executor = told(a_spec())
    volume = next(each for each in executor["spec"]["volumes"] if each["name"] == "secret")
    assert [item["key"] for item in volume["secret"]["items"]] == ["spark-secret"]
    assert executor["spec"]["automountServiceAccountToken"] is False


@pytest.mark.parametrize("kind", ["driver", "executor"])
def test_pods_keep_to_pod_security_restricted(kind: str) -> None:
    spec = a_spec()
    pod = (manifests.driver_pod(spec) if kind == "driver" else manifests.executor_pod(spec))["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {next(key for key in volume if key != "name") for volume in pod["volumes"]} <= {"secret", "emptyDir"}


def test_labels_say_whose_pods_they_are_whatever_the_user_is_called() -> None:
    labels = manifests.driver_pod(a_spec())["metadata"]["labels"]
    assert labels["emberhub/user"] == safe_slug("Alice@example.org")
    assert (labels["emberhub/cluster"], labels["emberhub/generation"]) == ("c-0123456789abcdef", "3")
    assert manifests.driver_pod(a_spec())["metadata"]["annotations"]["emberhub/user"] == "Alice@example.org"


def test_drivers_are_placed_by_the_site_and_executors_by_their_profile_too() -> None:
    site = Pod(image="registry/spark:1", node_selector={"pool": "hub"}, labels={"team": "a"}, cpu_request=0.5)
    gpu = Pod(
        image="registry/spark:cuda",
        node_selector={"gpu": "a100"},
        tolerations=({"key": "gpu", "operator": "Exists"},),
        priority_class="low",
        environment={"RAPIDS": "1"},
    )
    spec = a_spec(site=site, profile=gpu)
    driver, (_, executor) = manifests.driver_pod(spec), told(spec)
    assert driver["spec"]["nodeSelector"] == {"pool": "hub"}
    assert executor["spec"]["nodeSelector"] == {"pool": "hub", "gpu": "a100"}
    assert "tolerations" not in driver["spec"]
    assert executor["spec"]["tolerations"] == [{"key": "gpu", "operator": "Exists"}]
    assert "priorityClassName" not in driver["spec"]
    assert executor["spec"]["priorityClassName"] == "low"
    for pod in (driver, executor):
        assert pod["spec"]["containers"][0]["image"] == "registry/spark:cuda"
        assert pod["metadata"]["labels"]["team"] == "a"
        assert {"name": "RAPIDS", "value": "1"} in pod["spec"]["containers"][0]["env"]
    assert executor["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "1000m"
    assert executor["spec"]["containers"][0]["resources"]["limits"]["cpu"] == "2000m"


def test_a_label_may_carry_the_name_of_the_queue() -> None:
    site = Pod(labels={"kueue.x-k8s.io/queue-name": "{queue}"}, annotations={"path": "root.{queue}"})
    assert in_queue(site, "class").labels == {"kueue.x-k8s.io/queue-name": "class"}
    assert in_queue(site, "class").annotations == {"path": "root.class"}


def test_scratch_volumes_are_for_executors_and_other_volumes_for_all() -> None:
    profile = Pod(
        volumes=(
            {"name": "spark-local-dir-1", "hostPath": {"path": "/nvme"}},
            {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
        ),
        volume_mounts=(
            {"name": "spark-local-dir-1", "mountPath": "/scratch"},
            {"name": "data", "mountPath": "/data"},
        ),
    )
    spec = a_spec(profile=profile)
    driver, (_, executor) = manifests.driver_pod(spec), told(spec)

    def mounted(pod: dict[str, Any]) -> set[str]:
        names = {volume["name"] for volume in pod["spec"]["volumes"]}
        mounts = {each["name"] for each in pod["spec"]["containers"][0]["volumeMounts"]}
        assert mounts <= names
        return mounts

    assert "data" in mounted(driver)
    assert "spark-local-dir-1" not in mounted(driver)
    assert {"data", "spark-local-dir-1"} <= mounted(executor)


def test_gpus_are_spark_resources_with_a_discovery_script() -> None:
    config, executor = told(a_spec(Resources.of(cores=4, memory="8G", gpus=1)))
    assert config.conf["spark.executor.resource.gpu.amount"] == "1"
    assert config.conf["spark.executor.resource.gpu.vendor"] == "nvidia.com"
    assert config.conf["spark.task.resource.gpu.amount"] == "0.25"
    assert executor["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert "spark.executor.resource.gpu.amount" not in told(a_spec())[0].conf


def test_a_driver_is_told_all_that_spark_needs_and_cannot_be_told_otherwise_by_its_user() -> None:
    spec = a_spec()
    config, _ = told(spec)
    assert config.conf["spark.kubernetes.driver.pod.name"] == manifests.driver_pod(spec)["metadata"]["name"]
    properties = driver_properties(msgspec.structs.replace(config, host="192.0.2.7"), secret=TOKENS[2])
    assert properties["spark.master"].startswith("k8s://https://")
    assert properties["spark.driver.bindAddress"] == "192.0.2.7"
    assert properties["spark.connect.grpc.binding.port"] == "15002"
    assert properties["spark.authenticate.secret.file"].startswith("/etc/emberhub/")
    assert properties["spark.sql.ansi.enabled"] == "false"


def test_an_executors_command_is_made_of_what_spark_says_in_its_environment(tmp_path: Path) -> None:
    (tmp_path / "classpath").write_text("/jars/b.jar:/jars/a.jar")
    environment = {
        "SPARK_DRIVER_URL": "spark://CoarseGrainedScheduler@192.0.2.7:7078",
        "SPARK_EXECUTOR_ID": "4",
        "SPARK_EXECUTOR_CORES": "2",
        "SPARK_EXECUTOR_MEMORY": "3g",
        "SPARK_APPLICATION_ID": "spark-1",
        "SPARK_EXECUTOR_POD_IP": "192.0.2.8",
        "SPARK_EXECUTOR_POD_NAME": "pod-exec-4",
        "SPARK_RESOURCE_PROFILE_ID": "0",
        "SPARK_JAVA_OPT_10": "-Dlast=1",
        "SPARK_JAVA_OPT_2": f"-XX:SharedArchiveFile=/base.jsa:{tmp_path}/executor.jsa",
    }
    made = command(Path("/java"), environment)
    assert made[:4] == ["/java", environment["SPARK_JAVA_OPT_2"], "-Dlast=1", "-Xmx3g"]
    assert made[made.index("-cp") + 1] == "/jars/b.jar:/jars/a.jar", "the order that the archive was made for"
    assert made[made.index("-cp") + 2].endswith("KubernetesExecutorBackend")
    assert made[made.index("--executor-id") + 1] == "4"


def test_pods_are_read_with_the_line_of_what_is_wrong() -> None:
    site = parse_site(
        """
kubernetes:
  image: registry/spark:1
  cpu_request: 25%
  driver: {cores: 1, memory: 2G}
profiles:
  - name: nvme
    executor: {cores: 1, memory: 2G}
    pod:
      node_selector: {disk: nvme}
      tolerations: [{key: dedicated, operator: Equal, value: spark, effect: NoSchedule}]
      volumes: [{name: spark-local-dir-1, hostPath: {path: /nvme, type: Directory}}]
      volume_mounts: [{name: spark-local-dir-1, mountPath: /scratch}]
"""
    )
    assert site.kubernetes.cpu_request == 0.25
    assert site.kubernetes.driver.memory == 2 << 30
    assert site.profiles[0].pod.volumes[0]["hostPath"] == {"path": "/nvme", "type": "Directory"}
    for wrong, says in (
        ("kubernetes: {image_pull_policy: Sometimes}", "line 1: kubernetes.image_pull_policy: is one of Always"),
        ("kubernetes: {cpu_request: 0}", "must be a share of a core"),
        ("kubernetes: {volumes: [{hostPath: {path: /x}}]}", r"volumes\[0\]: lacks the key 'name'"),
        ("kubernetes: {volumes: [data]}", "must be a mapping"),
        ("kubernetes: {node: x}", "there is no such key"),
    ):
        with pytest.raises(ConfigError, match=says):
            parse_site(wrong)
