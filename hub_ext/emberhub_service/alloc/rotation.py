"""Everyone before anyone's second, and turns where there are more users than executors (D).

Each user who asks has one step before any user's second; this module says in which order. Where not all of them fit,
the order makes turns:

* first, users who wait past the bound below (a gang, or an executor larger than a turn sets free), longest first;
* then users whose turn has not ended. A turn begins when a user's oldest executor was promised, and lasts for
  `turn` seconds, start and notice included: `rotation_quantum`, or as long as six starts where these take long;
* then users who have waited for a turn, longest first;
* then everybody else by who has had most lately: a user who waits goes before a holder who has had at least a
  turn more executor-seconds than the user. So a newcomer is served at once, while a user whose turn has just ended
  does not take back what was given: executors do not pass round faster than they must.

**Bound.** Let W users wait and E executors be in reach that are neither floors nor in use under a guarantee, all of
one size. A user is served within `turn` * ceil(W / E) seconds, plus `reclaim_notice` and `executor_start`
once, plus, for each turn, the seconds that a revoked executor takes to be seen gone and the caller to plan again.

Argument. Those who wait are ordered by time; later arrivals stand behind. A turn is counted from its promise; at its
end its holder stands behind everyone who has waited for a turn. So within each turn each of the E executors passes to
somebody in the line, or nobody needed it, and the line is E shorter; the last of W is reached after ceil(W / E) of
them. Notice is given before the turn ends, and a wait is served before its turn is over, by notice and start: so these
add up once, and not each turn. Where sizes or reach differ, an executor set free may not fit the first in line; then
the first of the points above serves them once the bound has passed, at most `min_hold` and notice later. Where the
credit half-life is 0 nothing is known of who has had most, and all wait for a turn.

Nobody waits for anybody's notebook to finish. With enough for all who ask nothing rotates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .fairness import Job
from .model import Rules, User

__all__ = ["first_jobs", "turn", "turn_end", "turn_order", "wait_bound"]

STARTS = 6
"""A turn lasts for so many starts at least, so that at most a sixth of the executors' time is spent on starting."""


def turn(rules: Rules) -> float:
    """Seconds for which a user keeps an executor that others wait for."""
    return max(rules.rotation_quantum, rules.executor_start + rules.min_hold, STARTS * rules.executor_start)


def first_jobs(jobs: Iterable[Job]) -> dict[str, Job]:
    """For each user who asks, the cluster that their first executor goes to: one that has some, else by rule C."""
    first: dict[str, Job] = {}
    for job in jobs:
        if job.demand > 0 and not job.fifo:
            other = first.get(job.user)
            if other is None or (not job.live, job.rank) < (not other.live, other.rank):
                first[job.user] = job
    return first


def turn_end(job: Job, rules: Rules) -> float | None:
    """When the turn of a user with this cluster ends; None if it has nothing. A reclaim is named `notice` before."""
    if not job.live:
        return None
    return job.began + turn(rules)


def wait_bound(waiting: int, holding: int, rules: Rules) -> float:
    """Seconds within which the last of so many waiting users is served, by the argument above."""
    turns = -(-waiting // max(1, holding))
    return turn(rules) * turns + rules.reclaim_notice + rules.executor_start


def turn_order(jobs: Iterable[Job], users: Mapping[str, User], now: float, rules: Rules) -> list[Job]:
    """The first step of each user, in the order in which they are served."""
    first = first_jobs(jobs)
    ends: dict[str, float] = {}
    for job in jobs:
        if job.live and job.user in first and (end := turn_end(job, rules)) is not None:
            ends[job.user] = min(end, ends.get(job.user, end))
    waiting = len(first) - sum(1 for user in first if user in ends)
    bound = wait_bound(waiting, len(first) - waiting, rules)
    patience = max(0.0, turn(rules) - rules.reclaim_notice - rules.executor_start)

    def place(user: str) -> tuple[int, float, int, float, str]:
        history = users.get(user) or User(user)
        end = ends.get(user)
        priority = -first[user].cluster.priority
        if end is None:
            since = history.waiting_since if history.waiting_since is not None else now
            if now - since > bound:
                return 0, since, priority, 0.0, user
            if now - since >= patience:
                return 2, since, priority, 0.0, user
            return 3, history.recent + turn(rules), priority, since, user
        if now < end - rules.reclaim_notice:
            return 1, 0.0, priority, end, user
        return 3, history.recent, priority, -end, user

    return [first[user] for user in sorted(first, key=place)]
