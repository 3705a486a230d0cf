"""When executors are asked back: a little longer, or another one instead. The driver asks by itself, or its user does.

The limits are the same for both: one deferral for each executor that goes, and one executor is given for one.
"""

from __future__ import annotations

import msgspec
from emberhub.errors import RequestRefused
from emberhub.wire import agent, rest

from .live import Live


def defer(live: Live, executor: str, longer: float, now: float) -> bool:
    """Keep it for `longer` seconds more, once; returns whether that could be."""
    reclaiming = live.reclaiming.get(executor)
    if reclaiming is None or reclaiming.deferred or live.link is None:
        return False
    deadline = reclaiming.deadline + longer
    live.reclaiming[executor] = msgspec.structs.replace(reclaiming, deadline=deadline, deferred=True)
    live.link.send(agent.Reclaim(executors=(executor,), deadline=max(0.0, deadline - now), reason=reclaiming.reason))
    return True


def swap(live: Live, executor: str, instead: str, now: float) -> bool:
    """Take `instead`, by the same date; one is as good as the other. Returns whether that could be."""
    known = {each.id for each in live.kept()}
    if executor not in live.reclaiming or instead not in known or instead in live.reclaiming or live.link is None:
        return False
    reclaiming = live.reclaiming[instead] = live.reclaiming.pop(executor)
    live.link.send(agent.CallOff(executors=(executor,), reason="Another executor is taken instead."))
    deadline = max(0.0, reclaiming.deadline - now)
    live.link.send(agent.Reclaim(executors=(instead,), deadline=deadline, reason=reclaiming.reason))
    return True


def grant_wish(live: Live | None, executor: str, wish: rest.Wish, longer: float, now: float) -> None:
    """What the user of a cluster wishes about an executor. Raises RequestRefused, 409, with what can be done."""
    if live is None or live.link is None:
        raise RequestRefused("The driver is not heard from at the moment; try again when it is back.", 409)
    if executor not in live.reclaiming:
        raise RequestRefused(f"Executor {executor} is not asked back any more; there is nothing to do.", 409)
    if wish.wish == "later":
        if not defer(live, executor, longer, now):
            raise RequestRefused(
                f"Executor {executor} was given a little longer already, which is done once; give another instead.", 409
            )
        return
    instead = cheapest(live)
    if instead is None or not swap(live, executor, instead, now):
        raise RequestRefused(
            "There is no other executor of yours to give; ask to keep this one a little longer instead.", 409
        )


def cheapest(live: Live) -> str | None:
    """The executor that costs least to lose of those that are not asked back: idle, then least kept, then youngest."""
    free = [each for each in live.kept() if each.id not in live.reclaiming]
    ranked = sorted(free, key=lambda e: (e.active_tasks > 0, e.cached_bytes + e.shuffle_bytes, e.oldest_task, e.id))
    return ranked[0].id if ranked else None
