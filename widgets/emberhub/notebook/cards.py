"""What the launcher shows and what it asks for: pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from ..wire import rest
from ..wire.resources import Resources
from . import messages
from .query import count

OPTIONS = {"milligpus": "GPU", "nvme": "Local NVMe disk"}
"""What a profile may have besides cores and memory, and how it is called."""

RUNS = {"pending", "starting", "running", "disconnected"}


@dataclass(frozen=True)
class Choice:
    """What would be started."""

    profile: str
    low: int
    high: int


@dataclass(frozen=True)
class View:
    """What stands below the cards, and what can be pressed."""

    line: str
    start: bool
    stop: bool
    scale: bool
    reconnect: bool


def card(profile: rest.Profile) -> str:
    """One profile in one line: what it is, what it costs, what is free now."""
    about = f"{profile.title}: {profile.description}" if profile.description else profile.title
    gang = messages.CARD_GANG.say(gang=profile.gang) if profile.gang > 1 else ""
    if profile.free:
        room = messages.CARD_FREE.say(free=profile.free, room=profile.room)
    else:
        room = messages.CARD_FULL.say(room=profile.room)
    size = messages.CARD_SIZE.say(size=profile.executor)
    return " ".join(filter(None, (f"{about.rstrip('.')}.", size, room, gang)))


def options(profiles: Sequence[rest.Profile]) -> list[str]:
    """The options that are worth a box: some profile has it, and some has not."""
    return [key for key in OPTIONS if len({getattr(each.executor, key) > 0 for each in profiles}) == 2]


def offered(profiles: Sequence[rest.Profile], needs: set[str]) -> list[rest.Profile]:
    """The profiles that have all that is needed."""
    return [each for each in profiles if all(getattr(each.executor, key) for key in needs)]


def first_choice(profiles: Sequence[rest.Profile], mine: rest.Cluster | None, picked: str = "") -> Choice | None:
    """What is chosen at first: what the cluster had the last time, then the server's profile, then the default.

    None where there is no profile at all.
    """
    names = {each.name: each for each in profiles}
    if mine is not None and mine.profile in names:
        return Choice(mine.profile, mine.executors.min, mine.executors.max)
    chosen = names.get(picked) or next((each for each in profiles if each.default), next(iter(profiles), None))
    return None if chosen is None else Choice(chosen.name, chosen.executors.min, chosen.executors.max)


def costs(profile: rest.Profile, low: int, high: int) -> str:
    """What the choice takes from the pool."""
    most = messages.COSTS.say(executors=count(high, "executor"), most=_amount(profile.executor * high))
    kept = messages.COSTS_KEPT.say(kept=_amount(profile.executor * low)) if low else messages.COSTS_NOTHING.say()
    return f"{most} {kept}"


def problem(low: int, high: int, profile: rest.Profile | None) -> str:
    """What is wrong with a range, as a sentence; empty if nothing is. The service checks again."""
    if profile is None:
        return messages.NO_PROFILE.say()
    if low > high:
        return messages.RANGE_TURNED.say(low=low, high=high)
    if high < max(1, profile.gang):
        return messages.RANGE_SMALL.say(title=profile.title, least=max(1, profile.gang))
    if low > profile.room:
        return messages.RANGE_LARGE.say(low=low, room=profile.room)
    return ""


def view(mine: rest.Cluster | None, *, attached: bool, busy: bool = False) -> View:
    """What is said of the cluster, and what can be done. `attached`: `spark` in this notebook is its session."""
    runs = mine is not None and mine.state in RUNS
    line = _line(mine, attached)
    if busy:
        return View(line, start=False, stop=False, scale=False, reconnect=False)
    return View(line, start=not runs, stop=runs, scale=runs, reconnect=runs and not attached)


def _line(mine: rest.Cluster | None, attached: bool) -> str:
    if mine is None:
        return messages.LAUNCHER_NONE.say()
    if mine.state not in RUNS:
        return messages.LAUNCHER_ENDED.say(name=mine.name, why=f"{mine.state}. {mine.message}".strip())
    if mine.state != "running":
        return messages.LAUNCHER_COMES.say(name=mine.name, why=mine.message or mine.state)
    has = messages.LAUNCHER_RUNS.say(name=mine.name, running=count(len(mine.running), "executor"), profile=mine.profile)
    return has if attached else f"{has} {messages.LAUNCHER_APART.say()}"


def markup(text: str, role: str, kind: str = "") -> str:
    """Text as HTML, with the role by which it is announced."""
    return f'<div role="{role}" class="emberhub-{kind or role}">{escape(text)}</div>'


def _amount(size: Resources) -> str:
    return str(size)
