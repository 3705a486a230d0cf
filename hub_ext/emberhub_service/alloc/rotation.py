"""Everyone before anyone's second, and turns where there are more users than executors (D).

Each user who asks has one step before any user's second; this module says in which order. Where not all of them fit,
the order makes turns. A turn begins when a user's oldest executor was promised, and lasts for `turn` seconds, start and
notice included: `rotation_quantum`, or as long as six starts where these take long. To a **newcomer** it is given up
sooner, after `first_turn`: a third of that, or four starts. A newcomer is a user who has had next to nothing lately:
less than half of `first_turn`, or than half of what all who ask have had on average, a turn of each at most. So a class
that begins has its first results soon, and somebody with a short query does not wait for long ones; while those who all
work for long hand executors on seldom, since each time costs a start, and the first query after it is slow. The order
is:

* first, users who wait for more than `first_turn` past the bound below (a gang, or an executor larger than a turn sets
  free), longest first;
* then users in the first part of their turn, `first_turn` seconds;
* then users who wait past the bound;
* then newcomers who have waited for about so long, longest first;
* then users whose turn has not ended, and the other newcomers, by who has had most lately: a newcomer goes before a
  holder who has had at least `first_turn` more executor-seconds;
* then users who have waited for a turn, longest first;
* then everybody else by who has had most lately: a user who waits goes before a holder who has had at least a
  turn more executor-seconds than the user. So a user whose turn has just ended does not take back what was given:
  executors do not pass round faster than they must.

**Bound.** Let W users wait and E executors be in reach that are neither floors nor in use under a guarantee, all of
one size. A user is served within `turn` * ceil(W / E) seconds, plus `reclaim_notice` and `executor_start`
once, plus, for each turn, the seconds that a revoked executor takes to be seen gone and the caller to plan again. Those
of W newcomers who stay such are served within the same with `first_turn`.

Argument. Those who wait are ordered by time; later arrivals stand behind. A turn is counted from its promise; at its
end its holder stands behind everyone who has waited for a turn. So within each turn each of the E executors passes to
somebody in the line, or nobody needed it, and the line is E shorter; the last of W is reached after ceil(W / E) of
them. Notice is given before the turn ends, and a wait is served before its turn is over, by notice and start: so these
add up once, and not each turn. Newcomers have a line of their own, before the others', by the same argument. What is
granted changes nobody's past, so a plan makes nobody a newcomer or none; time does, as others come, go and work. Where
newcomers are so many that others wait past the bound, those come before them. Where sizes or reach differ so that an
executor set free does not fit the first in line, the first of the points above serves it, `first_turn` after the bound
and at most `min_hold` and notice later. Where the credit half-life is 0 nothing is known of who has had most: nobody is
a newcomer, and `first_turn` is the turn.

Nobody waits for anybody's notebook to finish. With enough for all who ask nothing rotates. Serving new work soon and
old work seldom is as old as time sharing: Corbató's multi-level queue (CTSS, 1962).
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from .fairness import Job
from .model import Rules, User

__all__ = ["Turns", "first_jobs", "first_turn", "turn", "turn_order", "wait_bound"]

STARTS = 6
"""A turn lasts for so many starts at least, so that at most a sixth of the executors' time is spent on starting."""
SOONER = 3
"""To a newcomer, an executor is given up after this part of a turn."""
FIRST_STARTS = 4
"""A turn that a newcomer ends still lasts for so many starts: it holds one, and then a first query, which runs in an
executor whose code is cold and takes two or three times as long as that start. Cut off, it would have cost both."""


@dataclass(frozen=True)
class Turns:
    """The first step of each user, in the order in which they are served, and the users who are newcomers."""

    order: list[Job]
    newcomers: frozenset[str]


def turn(rules: Rules) -> float:
    """Seconds for which a user keeps an executor that others wait for."""
    return max(rules.rotation_quantum, rules.executor_start + rules.min_hold, STARTS * rules.executor_start)


def first_turn(rules: Rules) -> float:
    """Seconds for which a user keeps an executor that a newcomer waits for."""
    if rules.credit_half_life <= 0:
        return turn(rules)
    return max(turn(rules) / SOONER, FIRST_STARTS * rules.executor_start, rules.executor_start + rules.min_hold)


def first_jobs(jobs: Iterable[Job]) -> dict[str, Job]:
    """For each user who asks, the cluster that their first executor goes to: one that has some, else by rule C."""
    first: dict[str, Job] = {}
    for job in jobs:
        if job.demand > 0 and not job.fifo:
            other = first.get(job.user)
            if other is None or (not job.live, job.rank) < (not other.live, other.rank):
                first[job.user] = job
    return first


def wait_bound(waiting: int, holding: int, rules: Rules, *, newcomers: bool = False) -> float:
    """Seconds within which the last of so many waiting users, or newcomers, is served, by the argument above."""
    turns = -(-waiting // max(1, holding))
    return (first_turn(rules) if newcomers else turn(rules)) * turns + rules.reclaim_notice + rules.executor_start


def turn_order(jobs: Iterable[Job], users: Mapping[str, User], now: float, rules: Rules) -> Turns:
    """Who is served first."""
    first = first_jobs(jobs)
    began: dict[str, float] = {}
    for job in jobs:
        if job.live and job.user in first:
            began[job.user] = min(job.began, began.get(job.user, job.began))
    had = {user: users[user].recent if user in users else 0.0 for user in first}
    long, short = turn(rules), first_turn(rules)
    newcomers = _newcomers(had, began, long, short) if rules.credit_half_life > 0 else frozenset()
    bound = wait_bound(len(first) - len(began), len(began), rules)
    ahead = rules.reclaim_notice + rules.executor_start

    def place(user: str) -> tuple[int, float, int, float, str]:
        priority, recent = -first[user].cluster.priority, had[user]
        if user in began:
            passed = now - began[user] + rules.reclaim_notice
            if passed < short:
                return 1, 0.0, priority, began[user], user
            return 4 if passed < long else 6, recent, priority, -began[user], user
        known = users[user].waiting_since if user in users else None
        since = known if known is not None else now
        waited, length = now - since, short if user in newcomers else long
        if waited > bound:
            return 0 if waited > bound + short else 2, since, priority, 0.0, user
        group = 4 if user in newcomers else 6
        if waited >= max(0.0, length - ahead):
            return group - 1, since, priority, 0.0, user
        return group, recent + length, priority, since, user

    return Turns([first[user] for user in sorted(first, key=place)], newcomers)


def _newcomers(had: Mapping[str, float], holders: Container[str], long: float, short: float) -> frozenset[str]:
    """Users without an executor who have had next to nothing lately, of what each `had` in executor-seconds."""
    mean = math.fsum(min(seconds, long) for seconds in had.values()) / len(had) if had else 0.0
    limit = max(short, mean) / 2
    return frozenset(user for user in had if user not in holders and had[user] < limit)
