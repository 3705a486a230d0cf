"""A discrete-event simulator over the allocator: what a scenario does to its users under each policy.

It keeps a clock of its own and draws everything from a seed, so that the same scenario gives the same result on any
machine. `load` reads a scenario, `simulate` plays it under one policy, `measure` turns what happened into numbers.
"""

from __future__ import annotations

from .metrics import Metrics, measure
from .reading import load, parse
from .run import POLICIES, Outcome, simulate
from .scenario import Scenario

__all__ = ["POLICIES", "Metrics", "Outcome", "Scenario", "load", "measure", "parse", "simulate"]
