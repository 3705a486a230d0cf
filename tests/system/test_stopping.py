"""A cluster that nobody uses is stopped, and comes back when it is asked for."""

from __future__ import annotations

import pytest

from tests.support.hub import Hub, a_site, busy, eventually

pytestmark = [pytest.mark.spark, pytest.mark.hub, pytest.mark.timeout(600)]

SITE = a_site(
    2,
    """
rules: {min_hold: 1s, idle_after: 2s, reclaim_notice: 1s, stop_after: 12s}
lease: 20s
heartbeat: 2s
""",
)


def test_an_idle_cluster_is_stopped_and_the_next_call_starts_it_again_and_says_so(
    hub: Hub, clean: None, capsys: pytest.CaptureFixture[str]
) -> None:
    alice = hub.person("alice")
    first = alice.cluster()
    assert busy(first, 4, 0.1) == 6
    eventually(lambda: alice.see(first).granted == 0, "the executors are given back")
    eventually(lambda: alice.see(first).state == "stopped", "the driver is stopped", 90)
    assert "12 seconds without work" in alice.see(first).message
    assert not [each for each in hub.processes() if each.cmdline()[-1:] == ["emberhub_driver"]]

    again = alice.cluster(quiet=False)
    assert again.id == first.id
    assert alice.see(again).generation == 2
    assert "started again" in capsys.readouterr().err
    assert busy(again, 4, 0.1) == 6
