"""Hypothesis for property tests: the same few examples each time, or many with EMBERHUB_EXAMPLES=1000."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "alloc",
    max_examples=int(os.environ.get("EMBERHUB_EXAMPLES", "60")),
    derandomize="EMBERHUB_EXAMPLES" not in os.environ,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)

settings.load_profile("alloc")
