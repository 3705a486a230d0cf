"""A cluster that nobody uses is parked, and comes back when it is used; one that its user stopped does not."""

from __future__ import annotations

from typing import Any

import emberhub
import pytest
from emberhub import memory

from tests.support.hub import Hub, a_site, eventually
from tests.support.processes import line_of

pytestmark = [pytest.mark.spark, pytest.mark.hub, pytest.mark.timeout(600)]

SITE = a_site(
    2,
    """
rules: {min_hold: 1s, idle_after: 2s, reclaim_notice: 1s, stop_after: 12s}
lease: 20s
heartbeat: 2s
""",
)


def test_a_session_goes_on_after_its_cluster_was_parked(
    hub: Hub, clean: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = hub.person("alice")
    cluster = alice.cluster(quiet=False)
    spark = cluster.spark
    spark.conf.set("spark.sql.ansi.enabled", "false")
    spark.sql("SET spark.sql.session.timeZone = Asia/Tokyo")
    numbers = spark.range(8)
    numbers.createOrReplaceTempView("numbers")
    spark.sql("-- not OR REPLACE\nCREATE TEMPORARY VIEW once AS SELECT 1 AS one")
    numbers.cache()
    assert numbers.count() == 8
    eventually(lambda: alice.see(cluster).state == "stopped", "the driver is stopped", 90)
    assert "parked after 12 seconds without work" in alice.see(cluster).message
    assert not [each for each in hub.processes() if line_of(each)[-1:] == ["emberhub_driver"]]

    repeat = memory._repeat

    def stop_after_the_last(stub: Any, made: Any) -> bool:
        done = repeat(stub, made)
        if "once" in str(made):
            monkeypatch.undo()
            raise KeyboardInterrupt
        return done

    monkeypatch.setattr(memory, "_repeat", stop_after_the_last)
    with pytest.raises(KeyboardInterrupt):
        numbers.count()
    assert numbers.count() == 8
    assert alice.see(cluster).generation == 2
    told = capsys.readouterr().err
    assert "Cluster main is back. It was parked after 12 seconds without work." in told
    assert "not set again yet" in told
    assert "temporary views numbers, once. Not kept: cached data." in told
    assert spark.conf.get("spark.sql.ansi.enabled") == "false"
    assert spark.conf.get("spark.sql.session.timeZone") == "Asia/Tokyo"
    assert spark.sql("SELECT sum(id) FROM numbers").first()[0] == 28
    assert cluster.spark is spark
    assert alice.cluster().id == cluster.id

    status, _ = alice.ask("DELETE", f"clusters/{cluster.id}")
    assert status in {200, 202}
    # A query that is under way while the driver ends is cut off in the middle, and reads so.
    eventually(lambda: alice.see(cluster).state == "stopped", "the driver is stopped", 90)
    with pytest.raises(emberhub.ClusterFailed, match=r"It was stopped by alice"):
        spark.range(3).count()
    assert alice.see(cluster).generation == 2
