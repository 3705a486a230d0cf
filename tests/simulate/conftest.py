"""Small scenarios, and the shipped ones played once for all tests."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from emberhub_service.simulate import load, parse, simulate

SCENARIOS = Path(__file__).parents[2] / "examples" / "scenarios"


@pytest.fixture
def tiny():
    """Builds a scenario: a pool of so many cores, executors of one core that start in 1 s, and users as YAML lines."""

    def build(cores: int, *users: str, more: str = ""):
        lines = "\n".join(
            f"  - {{queue: class, executor: {{cores: 1, memory: 1G}}, executors: {{min: 0, max: {cores}}}, {user}}}"
            for user in users
        )
        return parse(
            f"title: A tiny case\nshows: Arithmetic.\n"
            f"pools:\n  - {{name: main, cores: {cores}, memory: {cores}G}}\n"
            f"queues: {{name: class}}\n{more}\nusers:\n{lines}\n"
        )

    return build


@cache
def _played(name: str, policy: str):
    return simulate(load(SCENARIOS / f"{name}.yaml"), policy)


@pytest.fixture(scope="session")
def played():
    """The outcome of a shipped scenario under a policy."""
    return _played
