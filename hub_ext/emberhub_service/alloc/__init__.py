"""The allocator: `plan(snapshot) -> Plan`, a pure function.

No clock, no input or output, no logging, no randomness: everything that a decision depends on is in the snapshot.
"""

from __future__ import annotations

from .applying import apply, remember
from .constraints import ConstraintError
from .constraints import parse as parse_constraint
from .credits import advance
from .plan import plan
from .reservations import Refusal, admit

__all__ = ["ConstraintError", "Refusal", "admit", "advance", "apply", "parse_constraint", "plan", "remember"]
