"""The allocator: `plan(snapshot) -> Plan`, a pure function.

No clock, no input or output, no logging, no randomness: everything that a decision depends on is in the snapshot.
"""
