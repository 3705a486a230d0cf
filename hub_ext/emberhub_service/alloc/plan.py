"""`plan(snapshot)`: one decision that sees everybody's demand. Read as a recipe; each step is a module.

Where rules meet, the order is: A (never more than there is), floors, guarantees in use (B, M), D (everyone before
anyone's second), C with E (hierarchical fairness with memory), K (nothing idle that somebody can use). Three meetings
are decided here for all:

* K with B: a queue's `max` is kept even where that leaves executors idle; K speaks of what a queue may take.
* K with G, H and M: what is free but set free for an earlier claim, or kept for a reservation about to start, is not
  given to others unless they are gone in time.
* J with C: among equals of one priority whoever holds an executor keeps it, before `waiting since` and `id` decide.

Nobody is revoked who was not named by an earlier plan, idle executors included (I): those are named with the present as
their deadline, so that the next plan may revoke them.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from .claims import Claims
from .decide import grants, takings
from .fairness import Job
from .filling import Filling
from .jobs import Field, gather
from .ledger import Ledger
from .model import Plan, Snapshot
from .preemption import Victims
from .reasons import refusals
from .reservations import kept_free
from .rotation import Turns, turn_order
from .thinking import thinking

__all__ = ["plan"]


def plan(snapshot: Snapshot) -> Plan:
    """Decide who is granted executors, who is asked to give some back, and tell everybody else why not.

    Pure: the same snapshot, in any order of its parts, gives the same plan.
    """
    with _no_collection():
        return _plan(snapshot)


def _plan(snapshot: Snapshot) -> Plan:
    # 1. Read the snapshot: who thinks for a moment still wants what they have (J); pools and queues as accounts (A, B),
    #    clusters as jobs, constraints filtered and scored (L).
    work = gather(thinking(snapshot))
    # 2. Fair shares, as if nothing were held: floors, guarantees, everyone's first, then the rest (B, C, D, E, F).
    turns = turn_order([job for job in work.jobs if _plays(job)], work.users, snapshot.now, snapshot.rules)
    filling, promised, kept = _shares(work, turns)
    # 3. What is free now, and what will be once everything revoked is gone.
    now = work.held(work.ledger(), work.jobs)
    soon = _soon(work, now.copy())
    strained = _strained(work, soon)
    # 4. Claims in the order of filling: from what is free, from what is coming, by asking for some back (F, G, H, I).
    claims = Claims(work, now, soon, Victims(work), kept)
    claims.serve(filling.due[:promised])
    for pool, amount in sorted(kept.items()):
        claims.hold(pool, amount, "M", "A reservation starts soon.")
    claims.serve(filling.due[promised:])
    # 5. Nothing stays idle that somebody can use (K).
    claims.rest(work.jobs)
    # 6. Both phases of taking back: for claims, what lies idle, and what is above a queue's maximum (B, I, J).
    taking = takings(work, claims.victims.picks, strained)
    # 7. Every no gets its reason (N).
    refused = refusals(work, claims, filling.ledger, taking.going, turns)
    return Plan(
        (*taking.revokes, *taking.calloffs, *grants(work, claims), *taking.reclaims, *refused),
        {job.id: job.fair for job in work.jobs},
    )


@contextmanager
def _no_collection() -> Iterator[None]:
    """Leave the collector of cycles off for a moment.

    A plan makes many small objects, which go by themselves when it is done or before. The collector would walk them,
    and now and then all else that the process has: up to a fifth of a large plan's time, with nothing found.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _plays(job: Job) -> bool:
    """Whether a cluster takes part in sharing: its driver is heard from, and its queue exists."""
    return not job.cluster.frozen and job.parent is not None


def _shares(work: Field, turns: Turns) -> tuple[Filling, int, dict[int, list[int]]]:
    """Fair shares; how many of the claims are for floors and guarantees; and what is kept for reservations (M)."""
    fixed = [job for job in work.jobs if not _plays(job)]
    players = [job for job in work.jobs if _plays(job)]
    for job in fixed:
        job.fair = job.live
        for guarantee in job.guarantees:
            for kind, amount in enumerate(job.need):
                guarantee.left[kind] -= amount * job.live
    filling = Filling(work.root, work.held(work.ledger(), fixed))
    filling.floors(players)
    order = turns.order
    if filling.all_fit(_unserved(work, order)):  # no turns, so that an order of turns need not disturb the packing
        order = sorted(order, key=lambda job: (-job.cluster.priority, job.id))
    if work.guarantees:
        filling.firsts(_unserved(work, order), guaranteed=True)
        filling.guarantees(players)
    promised = len(filling.due)
    kept = kept_free(work, filling.ledger)
    filling.firsts(_unserved(work, order))
    filling.rest(players)
    return filling, promised, kept


def _unserved(work: Field, order: list[Job]) -> list[Job]:
    """First steps of the users who have nothing in this filling yet (D)."""
    served = {job.user for job in work.jobs if job.fair}
    return [job for job in order if job.user not in served]


def _strained(work: Field, soon: Ledger) -> dict[int, list[int]]:
    """Queues whose clusters hold more than their maximum allows, as it was lowered since; by account, what is left.

    What a driver holds that is not heard from is not counted: others should not make up for it.
    """
    bounds = range(len(work.pools), len(soon.rooms))
    if all(min(soon.rooms[account]) >= 0 for account in bounds):  # all together, so those that are heard too
        return {}
    heard = [job for job in work.jobs if not job.cluster.frozen]
    rooms = _soon(work, work.held(work.ledger(), heard)).rooms
    return {account: rooms[account] for account in bounds if min(rooms[account]) < 0}


def _soon(work: Field, ledger: Ledger) -> Ledger:
    """Add what has been revoked and is not seen gone; what a driver holds that is not heard from may never go."""
    index = {pool.name: number for number, pool in enumerate(work.pools)}
    for job in work.jobs:
        if job.leaving and not job.cluster.frozen:
            for executor in job.cluster.executors:
                if executor.revoked and executor.pool in index:
                    ledger.take(job.need, job.accounts[index[executor.pool]], -1)
    return ledger
