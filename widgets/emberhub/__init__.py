"""Emberhub in a notebook: start a personal Spark cluster and use it.

    import emberhub

    cluster = emberhub.cluster()
    cluster.spark.range(1000).count()

Importing this package needs msgspec alone; Spark and IPython are loaded when they are used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import Cluster, cluster, clusters
    from .errors import (
        ClusterFailed,
        ConfigError,
        EmberhubError,
        NotInHub,
        RequestRefused,
        ServiceUnavailable,
    )
    from .notebook import launcher
    from .status import Status

__all__ = [
    "Cluster",
    "ClusterFailed",
    "ConfigError",
    "EmberhubError",
    "NotInHub",
    "RequestRefused",
    "ServiceUnavailable",
    "Status",
    "cluster",
    "clusters",
    "launcher",
]

_ERRORS = {"ClusterFailed", "ConfigError", "EmberhubError", "NotInHub", "RequestRefused", "ServiceUnavailable"}
_HOMES = {"Status": ".status", "launcher": ".notebook"}


def __getattr__(name: str) -> Any:
    # Drivers and the service import `emberhub.wire`, which imports this package: they need not load the client.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = ".errors" if name in _ERRORS else _HOMES.get(name, ".client")
    value = getattr(importlib.import_module(home, __name__), name)
    globals()[name] = value
    return value


def load_ipython_extension(shell: Any) -> None:
    """What `%load_ext emberhub` does: `%ember` and `%%sql`."""
    importlib.import_module(".notebook.magics", __name__).load(shell)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
