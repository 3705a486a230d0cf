"""The environment that drivers and the engine inherit: the service's own, without what is none of their business."""

from __future__ import annotations

import os

_OURS = ("JUPYTERHUB_", "CONFIGPROXY_", "EMBERHUB_", "SPARK_", "PYSPARK_")
# EMBERHUB_STATE marks every process of a hub on one machine, so that none is missed when it ends.
_KEPT = ("EMBERHUB_CACHE", "EMBERHUB_STATE")
_SECRET_WORDS = ("TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "PRIVATE_KEY", "API_KEY")


def for_driver() -> dict[str, str]:
    """Variables to hand on. User code runs with them, so none that is the service's or sounds like a secret."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or not (name.startswith(_OURS) or any(word in name.upper() for word in _SECRET_WORDS))
    }
