"""The allocator: `plan(snapshot) -> Plan`, a pure function.

No clock, no input or output, no logging, no randomness: everything that a decision depends on is in the snapshot.
"""

from __future__ import annotations

from .plan import plan

__all__ = ["plan"]
