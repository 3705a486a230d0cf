"""How the allocator is built: short modules, a ledger that restores itself, and nothing impure."""

from __future__ import annotations

import ast
import gc
from pathlib import Path

import emberhub_service.alloc as alloc
import pytest
from emberhub_service.alloc.ledger import UNBOUNDED, Ledger

from .builders import a_cluster, a_pool, a_site

MODULES = sorted(Path(alloc.__file__).parent.glob("*.py"))
IMPURE = {"time", "datetime", "random", "secrets", "logging", "os", "io", "pathlib", "socket", "subprocess", "asyncio"}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_a_module_has_at_most_300_lines(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= 300


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_a_module_imports_no_clock_no_dice_and_no_files(module: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            imported |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            imported.add((node.module or "").split(".")[0])
    assert not imported & IMPURE


def test_what_is_exported_exists() -> None:
    assert all(hasattr(alloc, name) for name in alloc.__all__)


@pytest.mark.parametrize("collects", [True, False])
def test_a_plan_leaves_the_collector_as_it_was_also_after_an_error(collects: bool) -> None:
    was = gc.isenabled()
    try:
        (gc.enable if collects else gc.disable)()
        alloc.plan(a_site(a_pool(cores=1, memory="1G"), a_cluster("ana").wanting(1)))
        assert gc.isenabled() is collects
        with pytest.raises(AttributeError):
            alloc.plan(None)  # type: ignore[arg-type]
        assert gc.isenabled() is collects
    finally:
        (gc.enable if was else gc.disable)()


def test_the_ledger_without_victims_is_restored_also_after_an_error() -> None:
    ledger = Ledger([[4, 4, 0, 0], [2, UNBOUNDED, UNBOUNDED, UNBOUNDED]])
    need = (3, 1, 0, 0)
    assert not ledger.fits(need, (0, 1))
    with ledger.without([((1, 1, 0, 0), (0, 1))]) as larger:
        assert larger.fits(need, (0, 1))
    assert not ledger.fits(need, (0, 1))
    with pytest.raises(ZeroDivisionError), ledger.without([(need, (0,))]):
        assert ledger.short((8, 0, 0, 0), (0,)) == (0, 0)
        raise ZeroDivisionError
    assert ledger.rooms[0] == [4, 4, 0, 0]


def test_the_ledger_says_what_is_short() -> None:
    ledger = Ledger([[4, 1, 0, 0]])
    assert ledger.short((1, 1, 0, 0), (0,), 2) == (0, 1)
    assert ledger.short((1, 1, 0, 0), (0,)) is None
