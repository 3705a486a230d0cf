"""Profiles: what a user picks. Read by the service, and by the hub for its options form."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import msgspec
from emberhub.wire.resources import Resources

from .pods import Pod, read_pod
from .reading import Reader, read_file
from .sparkconf import loads_code, why_refused

_KEYS = (
    "name",
    "title",
    "description",
    "executor",
    "executors",
    "default",
    "groups",
    "conf",
    "needs",
    "prefers",
    "gang",
    "warm",
    "pod",
)


class Profile(msgspec.Struct, frozen=True):
    """One entry of `profiles` in the site's file."""

    name: str
    title: str
    description: str
    executor: Resources
    """One executor, overhead included."""
    min: int = 0
    max: int = 4
    default: bool = False
    groups: tuple[str, ...] = ()
    """The hub's groups that may use it; empty: everyone."""
    conf: dict[str, str] = {}
    """`spark.*` settings that come with it."""
    needs: str = ""
    """Constraint on the labels of pools that must hold."""
    prefers: str = ""
    gang: int = 1
    """Executors that work of this kind needs at once: it gets all of them or none."""
    warm: int = 0
    """Most drivers that are kept ready for people to come: one for each who is logged in without a cluster."""
    pod: Pod = Pod()
    """On Kubernetes, how its executors' pods are made."""


DEFAULT = Profile(
    name="small",
    title="Small",
    description="One core and 1 GB for each executor.",
    executor=Resources.of(cores=1, memory="1G"),
    default=True,
)


def read_profiles(reader: Reader) -> tuple[Profile, ...]:
    """The list under `profiles`. Raises ConfigError."""
    profiles = tuple(_read_profile(item) for item in reader.items())
    if not profiles:
        raise reader.error("must hold at least one profile")
    names = [profile.name for profile in profiles]
    for item, name in zip(reader.items(), names, strict=True):
        if names.count(name) > 1:
            raise item.error(f"the name {name!r} comes twice")
    if sum(profile.default for profile in profiles) > 1:
        raise reader.error("only one profile may be the default")
    return profiles


def _read_profile(reader: Reader) -> Profile:
    fields = reader.fields(_KEYS)
    for needed in ("name", "executor"):
        if needed not in fields:
            raise reader.error(f"lacks the key {needed!r}")
    executor = fields["executor"].resources()
    if executor.millicores < 1000 or executor.millicores % 1000:
        raise fields["executor"].error("cores must be a whole number of at least 1: Spark knows no parts of cores")
    if executor.memory < 450 << 20:
        raise fields["executor"].error("memory must be at least 450m: Spark's executor does not start with less")
    least, most = 0, 4
    if "executors" in fields:
        span = fields["executors"].fields(("min", "max"))
        least = span["min"].count(most=10_000) if "min" in span else 0
        most = span["max"].count(least=1, most=10_000) if "max" in span else max(4, least)
        if least > most:
            raise fields["executors"].error("min must not be above max")
    gang = fields["gang"].count(least=1, most=10_000) if "gang" in fields else 1
    if gang > most:
        raise fields["gang"].error(f"a gang of {gang} never fits in at most {most} executors; raise executors.max")
    name = fields["name"].text()
    return Profile(
        name=name,
        title=fields["title"].text() if "title" in fields else name,
        description=fields["description"].text() if "description" in fields else "",
        executor=executor,
        min=least,
        max=most,
        default=fields["default"].flag() if "default" in fields else False,
        groups=fields["groups"].texts() if "groups" in fields else (),
        conf=_read_conf(fields["conf"]) if "conf" in fields else {},
        needs=fields["needs"].text() if "needs" in fields else "",
        prefers=fields["prefers"].text() if "prefers" in fields else "",
        gang=gang,
        pod=read_pod(fields["pod"]) if "pod" in fields else Pod(),
        warm=fields["warm"].count(most=100) if "warm" in fields else 0,
    )


def _read_conf(reader: Reader) -> dict[str, str]:
    for key, value in reader.pairs():
        reason = why_refused(key)
        if not key.startswith("spark."):
            raise value.error("is not a setting of Spark's: keys start with 'spark.'")
        if reason and not loads_code(key):
            raise value.error(f"cannot be set, because {reason}")
    return reader.mapping_of_texts()


def visible(profiles: Collection[Profile], groups: Collection[str]) -> tuple[Profile, ...]:
    """Those that a user in these groups may use."""
    return tuple(profile for profile in profiles if not profile.groups or set(profile.groups) & set(groups))


def default_of(profiles: Collection[Profile]) -> Profile | None:
    """The one marked as default, else the first; None if there is none."""
    return next((profile for profile in profiles if profile.default), next(iter(profiles), None))


def load_profiles(site: Path | None) -> tuple[Profile, ...]:
    """The profiles of a site's file, or the built-in one if there is no file. Raises ConfigError."""
    found = _at_top(site, "profiles")
    return (DEFAULT,) if found is None else read_profiles(found)


def load_site_pod(site: Path | None) -> Pod:
    """What a site's file says of all pods. Raises ConfigError."""
    found = _at_top(site, "kubernetes")
    return Pod() if found is None else read_pod(found)


def _at_top(site: Path | None, key: str) -> Reader | None:
    reader = read_file(site) if site is not None and site.exists() else None
    return dict(reader.pairs()).get(key) if reader is not None else None
