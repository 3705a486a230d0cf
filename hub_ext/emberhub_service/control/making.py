"""How the driver and the executors of a cluster are made, where they are pods."""

from __future__ import annotations

from emberhub_spawner.pods import Pod, in_queue, of_driver, over
from emberhub_spawner.profiles import Profile

from ..config import Site


def pods_of(site: Site, profile: Profile | None, queue: str) -> tuple[Pod, Pod]:
    """The driver's, and the executors'."""
    pod = profile.pod if profile is not None else Pod()
    return in_queue(of_driver(site.kubernetes, pod), queue), in_queue(over(site.kubernetes, pod), queue)
