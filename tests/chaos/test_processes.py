"""Processes are killed, one after the other, while people work."""

from __future__ import annotations

import ast
import inspect
import os
import signal
import time
from typing import Any

import emberhub
import pytest

from tests.support.hub import Person, Work, a_site, doze
from tests.support.site import Site

from .conftest import soon

pytestmark = [
    pytest.mark.spark,
    pytest.mark.chaos,
    pytest.mark.long,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("whole"),
]

LEASE = 8
SITE = a_site(
    3,
    f"""
rules: {{min_hold: 1s, idle_after: 2s, reclaim_notice: 1s, deferral: 1s, rotation_quantum: 5s}}
lease: {LEASE}s
heartbeat: 1s
""",
)


def at_work(person: Person, cluster: emberhub.Cluster, executors: int = 3) -> set[str]:
    """The executors of a cluster whose query runs, once it has so many."""
    soon(lambda: len(person.see(cluster).running) >= executors, f"{executors} executors run")
    return {each.id for each in person.see(cluster).running}


class Kernel:
    """A notebook's kernel, as Jupyter starts one."""

    def __init__(self) -> None:
        from jupyter_client.manager import KernelManager

        self._manager = KernelManager()
        self._manager.start_kernel(env=dict(os.environ))
        self._client = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=120)

    def run(self, code: str, *, wait: bool = True) -> None:
        if not wait:
            self._client.execute(code)
            return
        said = self._client.execute_interactive(code, timeout=120, output_hook=lambda _: None)["content"]
        assert said["status"] == "ok", said

    def value(self, name: str) -> Any:
        said = self._client.execute("pass", user_expressions={"it": name}, reply=True, timeout=120)["content"]
        return ast.literal_eval(said["user_expressions"]["it"]["data"]["text/plain"])

    def kill(self) -> None:
        self._manager.signal_kernel(signal.SIGKILL)

    def end(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()


def test_a_killed_executor_is_replaced_and_its_tasks_run_again(site: Site) -> None:
    alice = site.person("alice")
    hers = alice.cluster()
    work = Work(hers, 60, 0.25, query=doze)
    before = at_work(alice, hers)
    site.running("executor", hers)[0].kill()
    soon(lambda: len(gone := before & {e.id for e in alice.see(hers).running}) == 2 and gone, "it is missed")
    assert len(at_work(alice, hers)) == 3
    work.finish()


@pytest.mark.parametrize("kind", ["worker", "master", "engine"])
def test_sparks_own_processes_come_back_and_the_query_ends_right(site: Site, kind: str) -> None:
    alice = site.person("alice")
    hers = alice.cluster()
    work = Work(hers, 60, 0.25, again=True, query=doze)
    at_work(alice, hers)
    victim = site.running(kind)[0]
    victim.kill()
    soon(lambda: [each for each in site.running(kind) if each.pid != victim.pid], f"another {kind} runs")
    at_work(alice, hers)
    work.finish()
    # Executors still come and go as they should.
    soon(lambda: alice.see(hers).running == (), "the executors are given back")
    assert doze(hers, 6, 0.1) == 15
    scratch = site.state / "backend" / "scratch"
    soon(lambda: len(list(scratch.iterdir())) == 2, "there are the blocks of one worker, and the master's directory")


@pytest.mark.parametrize("kind", ["driver", "jvm"])
def test_a_killed_driver_frees_everything_and_its_user_reads_why(site: Site, kind: str) -> None:
    alice, bob = site.person("alice"), site.person("bob")
    alice.cluster(wait=False)
    his, hers = bob.cluster(), alice.cluster()
    work, theirs = Work(his, 30, 0.25, again=True, query=doze), Work(hers, 200, 0.25, query=doze)
    at_work(alice, hers, 1)
    site.running(kind, hers)[0].kill()

    soon(lambda: alice.see(hers).state == "failed", "the service sees it")
    at_work(bob, his)
    work.finish()
    with pytest.raises(AssertionError, match="the query failed"):
        theirs.finish()
    why = hers.why()
    assert "killed" in why or "Java process ended" in why, why
    assert "Start the cluster again" in why, why
    with pytest.raises(emberhub.ClusterFailed, match=r"killed|Java process ended") as told:
        _ = hers.spark
    assert "emberhub.cluster(" in str(told.value)
    assert doze(alice.cluster(), 6, 0.1) == 15


def test_a_driver_that_stood_still_for_longer_than_its_lease_goes_on_where_it_was(site: Site) -> None:
    alice = site.person("alice")
    hers = alice.cluster()
    work = Work(hers, 100, 0.25, query=doze)
    before = at_work(alice, hers)
    stopped = [*site.running("driver", hers), *site.running("jvm", hers)]
    since = time.monotonic()
    try:
        for each in stopped:
            each.send_signal(signal.SIGSTOP)
        soon(lambda: alice.see(hers).state == "disconnected", "the service misses it")
        assert "If it stays so" in hers.why()
        soon(lambda: time.monotonic() > since + LEASE + 1, "its lease is over")
        assert {each.id for each in site.counted(hers).executors} == before, "what may still run is counted"
    finally:
        for each in stopped:
            each.send_signal(signal.SIGCONT)
    soon(lambda: alice.see(hers).state == "running", "it is heard again")
    assert before & {each.id for each in alice.see(hers).running} == before
    work.finish()


def test_a_killed_kernel_leaves_its_cluster_to_the_next_one(site: Site) -> None:
    alice = site.person("alice")
    with alice.environment():
        kernel, other = Kernel(), Kernel()
    try:
        kernel.run("import emberhub; mine = emberhub.cluster(quiet=True)")
        kernel.run(
            f"{inspect.getsource(doze)}\nprint(doze(mine, 60, 0.25))".replace("emberhub.Cluster", "object"), wait=False
        )
        hers = alice.cluster()
        at_work(alice, hers)
        kernel.kill()
        soon(lambda: alice.see(hers).running == (), "its query ends, and the executors are given back")
        assert alice.see(hers).state == "running"
        other.run("import emberhub; mine = emberhub.cluster(quiet=True); found = mine.id, mine.spark.range(10).count()")
        assert other.value("found") == (hers.id, 10)
    finally:
        kernel.end()
        other.end()
