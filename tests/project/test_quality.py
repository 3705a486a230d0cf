"""The project's own rules, held by tools in every test run."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["ruff", "check", "."], id="lint"),
        pytest.param(["ruff", "format", "--check", "."], id="format"),
        pytest.param(["mypy"], id="types"),
        pytest.param(["lint-imports"], id="layers"),
    ],
)
def test_the_tools_find_nothing(command: list[str]) -> None:
    ran = subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def sources() -> list[Path]:
    return sorted(path for root in ("widgets", "spawner", "hub_ext") for path in (ROOT / root).rglob("*.py"))


def test_no_module_outgrows_three_hundred_lines() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in sources()}
    assert lengths
    assert {path: lines for path, lines in lengths.items() if lines > 300} == {}


def test_every_module_says_what_it_is_for() -> None:
    silent = [path for path in sources() if path.stat().st_size and not path.read_text().startswith('"""')]
    assert silent == []
