"""The settings of a driver: sizes, and what its user cannot change."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from emberhub.wire.driver import DriverConfig
from emberhub.wire.resources import Resources
from emberhub_driver.conf import MIB, driver_properties, executor_heap, write_properties
from emberhub_driver.jvm import LATE_OPTIONS, STEADY_OPTIONS, SparkFailed


def config(**changes: object) -> DriverConfig:
    given: dict[str, object] = {
        "cluster": "c",
        "generation": 1,
        "user": "alice",
        "name": "main",
        "agent_url": "",
        "master": "spark://127.0.0.1:7077",
        "executor": Resources.of(cores=2, memory="2G"),
        "directory": "/private",
    }
    return DriverConfig(**(given | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(("memory", "heap"), [(1024, 640), (2048, 1664), (4224, 3840), (11 * 1024, 10 * 1024)])
def test_heap_and_overhead_together_are_the_executors_memory(memory: int, heap: int) -> None:
    assert executor_heap(memory * MIB) == heap * MIB
    properties = driver_properties(config(executor=Resources(1000, memory * MIB)), secret="s")
    assert properties["spark.executor.memory"] == f"{heap}m"
    assert properties["spark.executor.memoryOverhead"] == f"{memory - heap}m"


def test_an_executor_that_spark_cannot_start_is_refused_with_the_least_size() -> None:
    with pytest.raises(SparkFailed, match="834 MiB or more"):
        driver_properties(config(executor=Resources.of(cores=1, memory="800M")), secret="s")
    with pytest.raises(SparkFailed, match="whole cores"):
        driver_properties(config(executor=Resources.of(cores=1.5, memory="2G")), secret="s")


def test_paths_with_spaces_reach_executors_whole() -> None:
    options = driver_properties(config(), secret="s", executor_archive="/my cache/e.jsa")[
        "spark.executor.extraJavaOptions"
    ]
    assert shlex.split(options) == [*STEADY_OPTIONS, *LATE_OPTIONS, "-XX:SharedArchiveFile=/my cache/e.jsa"]


def test_java_is_told_where_log4js_settings_lie() -> None:
    (told,) = [each.partition("=")[2] for each in STEADY_OPTIONS if "configurationFile" in each]
    assert "rootLogger.level" in Path(told).read_text()


@pytest.mark.parametrize(
    "key",
    [
        "spark.master",
        "spark.authenticate",
        "spark.authenticate.secret",
        "spark.plugins",
        "spark.connect.grpc.binding.address",
        "spark.dynamicAllocation.initialExecutors",
        "spark.executor.instances",
        "spark.cores.max",
        "spark.executor.memory",
        "spark.executor.cores",
        "spark.driver.host",
        "spark.driver.extraJavaOptions",
        "spark.executorEnv.EMBERHUB_DRIVER",
    ],
)
def test_a_user_cannot_change_what_isolates_or_counts(key: str) -> None:
    ours = driver_properties(config(), secret="s")
    assert driver_properties(config(conf={key: "theirs"}), secret="s") == ours


def test_a_users_own_settings_are_kept() -> None:
    properties = driver_properties(
        config(conf={"spark.sql.shuffle.partitions": "7", "spark.executor.extraJavaOptions": "-Da=b"}), secret="s"
    )
    assert properties["spark.sql.shuffle.partitions"] == "7"
    assert properties["spark.executor.extraJavaOptions"].endswith(" -Da=b")


def test_the_file_of_settings_is_private_and_takes_any_text(tmp_path: Path) -> None:
    path = tmp_path / "spark.properties"
    write_properties({"a b": "x=y: #!\\n", "name": "Zoë 🚀"}, path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == "a\\ b=x\\=y\\:\\ \\#\\!\\\\n\nname=Zo\\u00eb\\ \\ud83d\\ude80\n"
