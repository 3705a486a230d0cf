"""The documentation says what is."""

import re
from pathlib import Path

import emberhub
import pytest
from emberhub.cli import COMMANDS
from emberhub_service.alloc.model import Rules
from emberhub_service.config import ServiceRules, Site
from emberhub_spawner.profiles import Profile

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    broken = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert broken == []


def test_the_operators_page_has_every_setting() -> None:
    text = (ROOT / "docs" / "operator.md").read_text()
    inner = {"groups", "changed", "rules", "service", "pools", "queues", "profiles"}
    settings = {
        *Rules.__struct_fields__,
        *ServiceRules.__struct_fields__,
        *(set(Site.__struct_fields__) - inner),
        *(set(Profile.__struct_fields__) - {"min", "max"}),
    }
    assert [setting for setting in sorted(settings) if f"`{setting}`" not in text] == []


def test_the_defaults_on_the_operators_page_are_the_programs() -> None:
    text = (ROOT / "docs" / "operator.md").read_text()
    units = {"s": 1.0, "m": 60.0}
    told = {key: float(span) * units[unit] for key, span, unit in re.findall(r"\| `(\w+)` \| (\d+)([sm]) \|", text)}
    rules, service, site = Rules(), ServiceRules(), Site()
    real = {key: next(getattr(each, key) for each in (rules, service, site) if hasattr(each, key)) for key in told}
    assert len(told) >= 13
    assert told == real


def test_continuous_integration_runs_what_the_readme_says() -> None:
    ran = (ROOT / ".ci" / "run").read_text()
    commands = re.findall(r"^python3 -m venv .*$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(commands) == 2, "one command for the demo, one for the tests"
    demo, tests = commands
    assert demo.endswith("emberhub demo")
    for part in tests.split(" && "):
        assert part.replace("pip install", "pip install --quiet") in ran or part in ran


def test_every_command_is_in_the_changelog() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert [name for name in COMMANDS if not re.search(rf"\b{name}\b", text)] == []


def test_all_is_honest() -> None:
    for name in emberhub.__all__:
        assert getattr(emberhub, name).__doc__, name
    assert emberhub.__all__ == sorted(emberhub.__all__)
