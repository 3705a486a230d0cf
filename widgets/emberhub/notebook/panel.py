"""What the panel shows of a cluster: pure. The result is what travels to the browser, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..status import STATES, span
from ..wire import rest
from . import messages
from .query import count, size

ENDED = {"stopped", "failed", "stopping"}


def panel_state(
    cluster: rest.Cluster,
    timeline: dict[str, object],
    *,
    profiles: Sequence[rest.Profile] = (),
    problem: str = "",
    ui: str = "",
) -> dict[str, Any]:
    """Everything that is drawn. `problem` is why nothing newer is known, `ui` the address of Spark's own pages."""
    ended = cluster.state in ENDED
    return {
        "name": cluster.name,
        "title": f"Cluster {cluster.name}",
        "state": cluster.state,
        "state_text": STATES.get(cluster.state, cluster.state),
        "message": cluster.message if cluster.unmet is None else "",
        "problem": problem,
        "facts": [] if ended else _facts(cluster),
        "line": _line(cluster, profiles),
        "reclaims": [_reclaim(notice, cluster) for notice in cluster.reclaims],
        "timeline": timeline,
        "summary": _summary(cluster),
        "live": any(each.active_tasks for each in cluster.running),
        "ui": ui if cluster.ready else "",
        "can": _can(cluster),
    }


def _facts(cluster: rest.Cluster) -> list[list[str]]:
    """Numbers under their headings."""
    running = len(cluster.running)
    asked = f"of {cluster.executors.min} to {cluster.executors.max} asked for"
    tasks = sum(each.active_tasks for each in cluster.running)
    cached = sum(each.cached_bytes for each in cluster.running)
    shuffled = sum(each.shuffle_bytes for each in cluster.running)
    return [
        ["Executors granted", f"{cluster.granted} ({running} running)", asked],
        ["Executors wanted", str(cluster.wanted), "by the work at hand"],
        ["Tasks running", str(tasks), f"{cluster.executor} for each executor"],
        ["Memory held", size(cluster.executor.memory * running), f"{size(cached)} of it cached data"],
        ["Storage used", size(shuffled), "shuffle files on the executors' disks"],
    ]


def _line(cluster: rest.Cluster, profiles: Sequence[rest.Profile]) -> dict[str, Any] | None:
    """Why it has less than it wants, and what would help."""
    unmet = cluster.unmet
    if unmet is None:
        return None
    facts = [f"{count(unmet.executors, 'executor')} more wanted"]
    if unmet.place:
        facts.append(f"place {unmet.place} in line")
    if unmet.estimate is not None:
        facts.append(f"the next in about {span(unmet.estimate)}")
    better = better_profile(cluster, profiles)
    change = None
    if better is not None:
        change = {
            "profile": better.name,
            "label": messages.CHANGE_PROFILE.say(title=better.title),
            "says": messages.CHANGE_COSTS.say(size=better.executor, free=count(better.free, "executor")),
        }
    return {"facts": ", ".join(facts), "reason": unmet.reason, "cheapest": unmet.cheapest, "change": change}


def better_profile(cluster: rest.Cluster, profiles: Sequence[rest.Profile]) -> rest.Profile | None:
    """The profile with which it would be served now: only where the service says that a change would help."""
    unmet = cluster.unmet
    if unmet is None or not unmet.cheapest or cluster.running:
        return None
    fitting = [each for each in profiles if each.name != cluster.profile and each.free >= max(1, each.gang)]
    return max(fitting, key=lambda each: (each.executor.memory, each.executor.millicores, each.name), default=None)


def _reclaim(notice: rest.ReclaimNotice, cluster: rest.Cluster) -> dict[str, Any]:
    going = {each.executor for each in cluster.reclaims}
    others = [each for each in cluster.running if each.id not in going and not each.decommissioning]
    return {
        "executor": notice.executor,
        "seconds": round(notice.deadline, 1),
        "reason": notice.reason,
        "later": not notice.deferred,
        "another": bool(others),
        "says": messages.RECLAIM.say(executor=notice.executor, reason=_clause(notice.reason)),
    }


def _clause(reason: str) -> str:
    return f" {reason}" if reason else ""


def _summary(cluster: rest.Cluster) -> str:
    """The timeline in words, for who cannot see it."""
    busy = sum(each.active_tasks > 0 for each in cluster.running)
    return messages.TIMELINE.say(
        running=count(len(cluster.running), "executor"), busy=busy, wanted=cluster.wanted, seconds=120
    )


def _can(cluster: rest.Cluster) -> dict[str, bool]:
    return {
        "start": cluster.state in {"stopped", "failed"},
        "stop": cluster.state in {"pending", "starting", "running", "disconnected"},
    }
