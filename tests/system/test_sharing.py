"""Two people on four executors: each has half while both work, and all while the other does not."""

from __future__ import annotations

import re
from pathlib import Path

import emberhub
import nbformat
import pytest
from emberhub.wire import rest
from nbclient import NotebookClient

from tests.support.hub import Hub, Person, Work, a_site, busy, eventually, remember

pytestmark = [pytest.mark.spark, pytest.mark.hub, pytest.mark.timeout(600)]

EXAMPLES = Path(__file__).parents[2] / "examples"
SITE = a_site(
    4,
    """
# Without memory of who has lent what, shares are equal at every moment.
rules: {rotation_quantum: 10s, min_hold: 1s, idle_after: 5s, reclaim_notice: 2s, deferral: 1s, credit_half_life: 0s}
""",
)


def running(person: Person, cluster: emberhub.Cluster) -> int:
    """Executors that run and stay."""
    return sum(not each.decommissioning for each in person.see(cluster).running)


def test_two_busy_users_share_equally_lend_and_get_back_without_losing_anything(
    hub: Hub, tmp_path: Path, clean: None
) -> None:
    alice, bob = hub.person("alice"), hub.person("bob")
    hers, his = alice.cluster(), bob.cluster()

    marks = tmp_path / "computed"
    marks.mkdir()
    one, two = Work(hers, 60, 0.3, again=True), Work(his, 40, 0.3, again=True)
    eventually(lambda: running(alice, hers) == 2 and running(bob, his) == 2, "each has two of the four", 150)

    # Bob's query ends: within a few seconds alice has everything.
    two.finish()
    eventually(lambda: running(alice, hers) == 4, "alice has what bob left", 90)
    assert one.running()
    # What she caches now lies on executors that bob will ask for.
    table = remember(hers, marks, 16)
    assert len(list(marks.iterdir())) == 16
    before = {each.id for each in alice.see(hers).running}
    assert len(before) == 4

    three = Work(his, 40, 0.3, again=True)
    seen: list[rest.ReclaimNotice] = []

    def shared() -> bool:
        seen.extend(alice.see(hers).reclaims)
        return running(alice, hers) == 2 and running(bob, his) == 2

    eventually(shared, "each has two again", 150)
    assert seen, "alice was told before executors were taken"
    assert {notice.executor for notice in seen} <= before

    assert table.count() == 16
    assert len(list(marks.iterdir())) == 16, "a cached block was computed again"
    one.finish()
    three.finish()


def test_a_cluster_without_work_gives_its_executors_back(hub: Hub, clean: None) -> None:
    alice = hub.person("alice")
    hers = alice.cluster()
    assert busy(hers, 8, 0.1) == sum(range(8))
    eventually(lambda: alice.see(hers).running == () and alice.see(hers).granted == 0, "no executor is held", 60)
    assert alice.see(hers).state == "running"
    # And it works again when there is work again.
    assert busy(hers, 8, 0.1) == sum(range(8))


@pytest.mark.long
def test_the_examples_about_stars_run_from_top_to_bottom(
    hub: Hub, clean: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    shown = []
    for name in ("1-set-up", "2-motions", "3-counts", "4-forest"):
        example = nbformat.read(EXAMPLES / "gaia" / f"{name}.ipynb", as_version=4)
        with hub.person("carol").environment():
            NotebookClient(example, timeout=180, kernel_name="python3").execute()
        shown.append(str([cell.get("outputs") for cell in example.cells]))
    assert "482176" in shown[0]
    assert all("image/png" in text for text in shown[1:3])
    assert "482176" in shown[2]
    assert re.search(r"8\d\.\d% of the solutions were told rightly", shown[3]), shown[3]


@pytest.mark.long
def test_the_example_about_sharing_runs_from_top_to_bottom_and_shows_it(hub: Hub, clean: None) -> None:
    example = nbformat.read(EXAMPLES / "sharing" / "sharing.ipynb", as_version=4)
    with hub.person("carol").environment():
        NotebookClient(example, timeout=180, kernel_name="python3").execute()
    said = "".join(
        output.get("text", "") for cell in example.cells for output in cell.get("outputs", []) if "text" in output
    )
    found = re.search(r"Alone I had (\d) executors; now I have (\d), and the neighbour has (\d)", said)
    assert found, said
    assert int(found[1]) > int(found[2])
    assert int(found[3]) >= 1
    assert "Both queries are done." in said
