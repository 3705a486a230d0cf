"""Whether what is asked for may be. Each raises RequestRefused with the sentence to answer."""

from __future__ import annotations

from collections.abc import Mapping

from emberhub.errors import RequestRefused
from emberhub.wire import rest
from emberhub_spawner.profiles import Profile
from emberhub_spawner.sparkconf import check

from ..config import Site


def check_range(site: Site, wanted: rest.ExecutorRange, profile: Profile | None) -> None:
    """Numbers of executors, of this profile if it is still there."""
    if wanted.min > wanted.max:
        raise RequestRefused(
            f"executors ({wanted.min}, {wanted.max}) has its minimum above its maximum; write the smaller first.", 400
        )
    if wanted.max < 1:
        raise RequestRefused("executors must allow at least 1; give a maximum of 1 or more.", 400)
    if profile is None:
        return
    if wanted.max < profile.gang:
        raise RequestRefused(
            f"Profile {profile.name} needs {profile.gang} executors at once; allow at least so many.", 400
        )
    room = max(profile.executor.how_many(pool.capacity) for pool in site.pools)
    if wanted.min > room:
        raise RequestRefused(
            f"A minimum of {wanted.min} executors is more than the {room} that there are; ask for fewer.", 400
        )


def check_conf(site: Site, conf: Mapping[str, str]) -> None:
    """Settings of Spark."""
    for key, value in conf.items():
        problem = check(key, value, site.allowed_conf)
        if problem:
            raise RequestRefused(problem, 400)
