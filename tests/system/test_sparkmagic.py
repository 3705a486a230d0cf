"""The unmodified sparkmagic, in real kernels, with one's own cluster by way of the hub's service."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import nbformat
import pytest
from emberhub import sparkmagic

from tests.support.hub import Hub, Person, a_site, eventually
from tests.support.kernels import Kernel, a_kernel

pytestmark = [pytest.mark.spark, pytest.mark.hub]
SITE = a_site(2)
EXAMPLE = Path(__file__).parents[2] / "examples" / "sparkmagic" / "sparkmagic.ipynb"
LONG = "sc.parallelize(range(2), 2).map(lambda n: __import__('time').sleep({seconds}) or n).collect()"


class Notebook:
    """Somebody's home, as the spawner has prepared it, and kernels in it."""

    def __init__(self, person: Person, home: Path) -> None:
        self.person = person
        self._home = home
        self._open = ExitStack()
        home.mkdir()
        sparkmagic.install(home)

    def kernel(self, name: str) -> Kernel:
        mine = {
            **os.environ,
            "HOME": str(self._home),
            "IPYTHONDIR": str(self._home / "ipython"),
            "EMBERHUB_URL": self.person.hub.service,
            "JUPYTERHUB_API_TOKEN": self.person.token,
        }
        return self._open.enter_context(a_kernel(name, self._home, mine))

    def close(self) -> None:
        self._open.close()

    def livy(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        return self.person.ask(method, path, body, under="livy")

    def sessions(self) -> list[int]:
        _, body = self.livy("GET", "sessions")
        return [session["id"] for session in body["sessions"]]

    def running(self, code: str) -> Callable[[], list[tuple[int, int]]]:
        """The session and number of the statements that run just now and hold this code."""

        def look() -> list[tuple[int, int]]:
            return [
                (session, statement["id"])
                for session in self.sessions()
                for statement in self.livy("GET", f"sessions/{session}/statements")[1].get("statements", ())
                if statement["state"] == "running" and code in statement["code"]
            ]

        return look


@pytest.fixture(scope="module")
def alice(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    notebook = Notebook(hub.person("alice"), tmp_path_factory.mktemp("homes") / "alice")
    yield notebook
    notebook.close()


@pytest.fixture(scope="module")
def magics(alice: Notebook) -> Kernel:
    """A notebook of Python's, which the tests go through in order."""
    return alice.kernel("python3")


def test_the_example_draws_its_map_and_ends_its_session(magics: Kernel, alice: Notebook) -> None:
    magics.run("import matplotlib; matplotlib.use('agg')")
    cells = nbformat.read(EXAMPLE, as_version=4).cells
    shown = [magics.run(cell.source) for cell in cells if cell.cell_type == "code"]
    assert [cell.errors for cell in shown if cell.errors] == []
    assert "482176 stars" in "".join(cell.text for cell in shown)
    assert magics.value("sky.stars.sum()").strip().endswith("482176)")
    assert alice.sessions() == []


def test_manage_spark_says_what_is_not_offered_and_makes_a_session(magics: Kernel) -> None:
    made = magics.run("widget = get_ipython().run_line_magic('manage_spark', ''); form = widget.create_session")
    assert made.errors == ""
    assert magics.value("form.endpoints_dropdown_widget.value.url") == f"'{sparkmagic.ADDRESS}'"
    refused = magics.run("form.session_widget.value = 'mine'; form.submit_widget.click()")
    assert "There are no sessions of kind spark here: choose the kind pyspark" in refused.text + refused.errors
    created = magics.run("form.lang_widget.value = 'python'; form.submit_widget.click()")
    assert created.errors == ""
    assert "SparkSession available as 'spark'" in created.text
    assert "State: idle" in magics.value("str(widget.spark_controller.get_managed_clients()['mine'])")


def test_cells_run_in_the_cluster_and_their_errors_are_errors(magics: Kernel) -> None:
    assert magics.run("%%spark\nprint(sc.parallelize(range(10)).map(lambda n: n * n).sum())").text.strip() == "285"
    failed = magics.run("%%spark\nspark.range(3).select('nonsense').show()")
    assert "UNRESOLVED_COLUMN" in failed.text + failed.errors
    assert "SparkStatementException" in failed.errors or "UNRESOLVED_COLUMN" in failed.errors
    assert magics.run("%%spark\nlen([1, 2])").text.strip() == "2", "the session goes on"


def test_a_query_becomes_a_data_frame(magics: Kernel) -> None:
    assert magics.run("%%spark -c sql -o found\nSELECT id, id * id AS square FROM range(4)").errors == ""
    assert magics.value("type(found).__module__, found.square.tolist()").strip() == (
        "('pandas.core.frame', [0, 1, 4, 9])"
    )


def test_an_interrupt_cancels_what_runs(magics: Kernel, alice: Notebook) -> None:
    def stop(kernel: Kernel) -> None:
        eventually(alice.running("sleep(100)"), "the statement runs")
        kernel.interrupt()

    stopped = magics.run("%%spark\n" + LONG.format(seconds=100), 60, stop)
    assert "Interrupted by user" in stopped.errors
    assert alice.running("sleep(100)")() == []
    assert magics.run("%%spark\nprint('next')").text.strip() == "next"


def test_nobody_sees_anothers_session(alice: Notebook, hub: Hub) -> None:
    bob = hub.person("bob")
    (session,) = alice.sessions()
    assert bob.ask("GET", "sessions", under="livy") == (200, {"from": 0, "total": 0, "sessions": []})
    for method, path, body in (
        ("GET", f"sessions/{session}", None),
        ("GET", f"sessions/{session}/log", None),
        ("GET", f"sessions/{session}/statements/0", None),
        ("POST", f"sessions/{session}/statements", {"code": "1"}),
        ("POST", f"sessions/{session}/statements/0/cancel", {}),
        ("DELETE", f"sessions/{session}", None),
    ):
        status, problem = bob.ask(method, path, body, under="livy")
        assert (status, problem["message"][:19]) == (404, "You have no session"), (method, path)


def test_a_restart_of_the_service_loses_no_statement(magics: Kernel, alice: Notebook, hub: Hub) -> None:
    def kill(_: Kernel) -> None:
        eventually(alice.running("sleep(6)"), "the statement runs")
        service = hub.service_process()
        assert service is not None
        service.kill()

    shown = magics.run("%%spark\nprint(sum(" + LONG.format(seconds=6) + "))", 90, kill)
    assert (shown.text.strip(), shown.errors) == ("1", "")


def test_the_pyspark_kernel_works_at_once_and_takes_its_session_along(alice: Notebook) -> None:
    before = alice.sessions()
    kernel = alice.kernel(sparkmagic.KERNEL)
    counted = kernel.run("spark.range(1000).count()")
    assert counted.errors == ""
    assert counted.text.rstrip().endswith("1000")
    (session,) = set(alice.sessions()) - set(before)
    assert kernel.run("%%sql -q -o mine\nSELECT 7 AS seven").errors == ""
    assert kernel.run("%%local\nprint(mine.seven.sum())").text.strip() == "7"
    failed = kernel.run("1 / 0")
    assert "ZeroDivisionError" in failed.text + failed.errors

    def stop(running: Kernel) -> None:
        eventually(alice.running("sleep(200)"), "the statement runs")
        running.interrupt()

    stopped = kernel.run("import time\ntime.sleep(200)", 60, stop)
    assert "Interrupted by user" in stopped.errors
    alice.close()
    assert session not in alice.sessions()
