"""What people ask for: checked, and written as goals. The reconciler and the controller do the rest."""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import Callable
from typing import Any

import msgspec
from emberhub.errors import RequestRefused
from emberhub.wire import rest
from emberhub_spawner.profiles import Profile, default_of, visible

from ..alloc.model import Snapshot
from ..config import instructed
from ..records import ENDED, ClusterRecord, Conflict
from .checks import check_conf, check_range
from .controller import Controller
from .metrics import Metrics
from .people import Person, queue_for, sees
from .queues import Queues
from .state import State
from .views import pools_view, profiles_view
from .wishes import grant_wish

log = logging.getLogger(__name__)

_KEPT_ENDED = 20
"""Clusters of one user that are remembered after they have ended."""


class Requests:
    """Everything that the API can do. Each method raises RequestRefused with the status and the sentence to answer."""

    def __init__(
        self, state: State, controller: Controller, metrics: Metrics, reconcile: Callable[[str], None], queues: Queues
    ) -> None:
        self._state = state
        self._controller = controller
        self._metrics = metrics
        self._reconcile = reconcile
        self.queues = queues

    # --- reading ---

    def profiles(self, person: Person) -> rest.Profiles:
        """The profiles that this person may use."""
        mine = visible(self._state.site.profiles, person.groups)
        return profiles_view(self._state.site, mine, list(self._state.lives.values()))

    def clusters(self, person: Person, everybody: bool) -> rest.Clusters:
        """The person's own clusters; with `everybody`, all for an admin, and those of the class for an instructor."""
        state = self._state
        if everybody and not person.admin and not instructed(state.site, person.groups):
            raise RequestRefused("Only admins and instructors may list others' clusters; leave out 'all'.", 403)
        seen = sees(state.site, person)
        records = [r for r in state.records() if seen(r)] if everybody else state.records_of(person.name)
        return rest.Clusters(clusters=tuple(self._state.view(record) for record in records))

    def find(self, person: Person, cluster: str, *, admins: bool = True, instructors: bool = True) -> ClusterRecord:
        """The cluster, if this person may know of it: see `people.sees`."""
        record = self._state.record(cluster)
        if record is None or not sees(self._state.site, person, admins=admins, instructors=instructors)(record):
            raise RequestRefused("You have no such cluster; list yours with GET clusters.", 404)
        return record

    async def cluster(self, person: Person, cluster: str, after: int, wait: float) -> rest.Cluster:
        """One cluster; with `wait`, once its version is above `after` or so many seconds have passed."""
        self.find(person, cluster)
        if wait:
            await self._state.wait(cluster, after, wait)
        return self._state.view(self.find(person, cluster))

    def connection(self, person: Person, cluster: str) -> rest.Connection:
        """How to reach Spark Connect; for the owner alone."""
        record = self.find(person, cluster, admins=False, instructors=False)
        live = self._state.lives.get(cluster)
        if record.goal != "running" or live is None or live.report is None or live.report.endpoint is None:
            raise RequestRefused("The cluster cannot take work yet; wait until it is ready.", 409)
        endpoint = live.report.endpoint
        return rest.Connection(host=endpoint.host, port=endpoint.port, token=record.connect_token)

    def pool(self, person: Person) -> rest.Pools:
        """The pools."""
        error = self._state.config_error if person.admin else ""
        return pools_view(self._state.site, list(self._state.lives.values()), error)

    def snapshot(self, person: Person) -> Snapshot:
        """What the allocator is told at this moment; for admins."""
        if not person.admin:
            raise RequestRefused("Only admins may read the allocator's snapshot; ask one of them for it.", 403)
        return self._controller.snapshot()

    def events(self, person: Person, before: int, most: int) -> rest.Events:
        """What was decided and done before this event, the latest first; for admins."""
        if not person.admin:
            raise RequestRefused("Only admins may read what was decided; ask one of them.", 403)
        found = self._state.journal.before(before, most)
        return rest.Events(events=tuple(rest.Event(**msgspec.structs.asdict(event)) for event in found))

    def metrics(self, person: Person) -> bytes:
        """Prometheus' text."""
        if not (person.admin or person.metrics):
            raise RequestRefused(
                "Reading the metrics needs the hub's scope read:metrics; use a token that has it.", 403
            )
        return self._metrics.text(self._state)

    # --- changing ---

    def create(self, person: Person, body: rest.CreateCluster) -> tuple[rest.Cluster, bool]:
        """Start my cluster of this name, or find it again; returns also whether it is a new record."""
        site = self._state.site
        if not person.name:
            raise RequestRefused("Only users have clusters; use a user's token.", 403)
        if body.name.endswith("\n"):  # A pattern's `$` lets it through.
            raise RequestRefused("The cluster's name ends in a line break; remove it.", 400)
        check_conf(site, body.conf)
        mine = self._state.records_of(person.name)
        record = next((r for r in mine if r.name == body.name), None)
        if record is None or record.status in ENDED:
            active = [r.name for r in mine if r.goal == "running" or r.status not in ENDED]
            if len(active) >= site.clusters_per_user:
                raise RequestRefused(
                    f"You have {len(active)} clusters ({', '.join(active)}), and this site allows"
                    f" {site.clusters_per_user}; stop one first.",
                    409,
                )
        if record is None:
            self._forget_oldest(mine)
            return self._insert(person, body, self._profile(person, body.profile)), True
        if record.status in ENDED and record.goal == "stopped":
            return self._revive(person, record, body, self._profile(person, body.profile or record.profile)), False
        # What runs goes on, whatever has become of its profile.
        return self._meet(person, record, body), False

    def _forget_oldest(self, mine: list[ClusterRecord]) -> None:
        """Somebody's names of clusters that have ended are kept, but not without end."""
        ended = [record for record in mine if record.status in ENDED and record.goal == "stopped"]
        ended.sort(key=lambda record: record.last_active)
        for record in ended[: max(0, len(ended) - _KEPT_ENDED)]:
            with contextlib.suppress(Conflict):
                self._state.remove(record.id)

    def _insert(self, person: Person, body: rest.CreateCluster, profile: Profile) -> rest.Cluster:
        wanted = body.executors or rest.ExecutorRange(profile.min, profile.max)
        record = ClusterRecord.asked_for(
            self._state.clock(),
            id=f"c-{secrets.token_hex(8)}",
            user=person.name,
            name=body.name,
            profile=profile.name,
            queue=self._queue(person),
            executor=profile.executor,
            floor=wanted.min,
            ceiling=wanted.max,
            conf=body.conf,
        )
        check_range(self._state.site, wanted, profile)
        try:
            self._state.insert(record)
        except Conflict:
            raise RequestRefused("This cluster was made at the same time by another request; ask again.", 409) from None
        self._state.journal.note("start", f"It was asked for: {_range(wanted)}.", actor=person.name, record=record)
        self._reconcile(record.id)
        return self._state.view(record)

    def _revive(
        self, person: Person, record: ClusterRecord, body: rest.CreateCluster, profile: Profile
    ) -> rest.Cluster:
        """A new start of a cluster that had ended, with what it had where nothing else is asked for."""
        same = profile.name == record.profile
        kept = (
            rest.ExecutorRange(record.floor, record.ceiling) if same else rest.ExecutorRange(profile.min, profile.max)
        )
        wanted = body.executors or kept
        check_range(self._state.site, wanted, profile)
        changes: dict[str, Any] = {
            "goal": "running",
            "profile": profile.name,
            "executor": profile.executor,
            "queue": self._queue(person),
            "floor": wanted.min,
            "ceiling": wanted.max,
            "conf": body.conf or record.conf,
            "last_active": self._state.clock(),
        }
        self._state.journal.note(
            "start", f"It was asked for again: {_range(wanted)}.", actor=person.name, record=record
        )
        return self._amend(record, changes)

    def _meet(self, person: Person, record: ClusterRecord, body: rest.CreateCluster) -> rest.Cluster:
        """The cluster runs: only the number of executors can change without a new start."""
        if body.profile is not None and body.profile != record.profile:
            raise RequestRefused(
                f"Your cluster {record.name} runs with profile {record.profile}; stop it first, or use another name.",
                409,
            )
        if body.conf and body.conf != record.conf:
            raise RequestRefused(
                f"Your cluster {record.name} runs with other settings; stop it first, or use another name.", 409
            )
        changes: dict[str, Any] = {"last_active": self._state.clock(), "goal": "running"}
        if body.executors is not None:
            check_range(self._state.site, body.executors, self._state.site.profile(record.profile))
            changes |= {"floor": body.executors.min, "ceiling": body.executors.max}
            if (record.floor, record.ceiling) != (body.executors.min, body.executors.max):
                self._note_range(person, record, body.executors)
        return self._amend(record, changes)

    def scale(self, person: Person, cluster: str, body: rest.ScaleCluster) -> rest.Cluster:
        """Change how many executors the cluster may have."""
        record = self.find(person, cluster)
        check_range(self._state.site, body.executors, self._state.site.profile(record.profile))
        changes = {
            "floor": body.executors.min,
            "ceiling": body.executors.max,
            "last_active": self._state.clock(),
        }
        self._note_range(person, record, body.executors)
        return self._amend(record, changes)

    def _note_range(self, person: Person, record: ClusterRecord, executors: rest.ExecutorRange) -> None:
        self._state.journal.note("scale", f"It may have {_range(executors)}.", actor=person.name, record=record)

    def stop(self, person: Person, cluster: str) -> rest.Cluster:
        """Stop the cluster; one that has ended stays so."""
        record = self.find(person, cluster)
        resumable = record.generation + 1
        if record.status in ENDED and record.goal == "stopped" and record.resumable == resumable:
            return self._state.view(record)
        message = f"It was stopped by {person.name}."
        self._state.journal.note("stop", message, actor=person.name, record=record)
        return self._amend(record, {"goal": "stopped", "message": message, "resumable": resumable})

    def wish(self, person: Person, cluster: str, executor: str, body: rest.Wish) -> rest.Cluster:
        """What the cluster's user would rather have, as an executor is asked back."""
        record = self.find(person, cluster, admins=False, instructors=False)
        state = self._state
        grant_wish(state.lives.get(cluster), executor, body, state.site.rules.deferral, state.clock())
        log.info("%s wishes about executor %s of cluster %s: %s", person.name, executor, cluster, body.wish)
        rather = "keep it a little longer" if body.wish == "later" else "give another"
        state.journal.note("wish", f"Executor {executor} is asked back: {rather}.", actor=person.name, record=record)
        state.touch(cluster)
        self._controller.changed()
        return state.view(record)

    def _amend(self, record: ClusterRecord, changes: dict[str, Any]) -> rest.Cluster:
        before = record.floor
        try:
            record = self._state.amend(record.id, lambda _: changes)
        except Conflict:
            raise RequestRefused(
                "The cluster was changed at the same time by another request; ask again.", 409
            ) from None
        live = self._state.lives.get(record.id)
        if live is not None and record.floor != before:
            live.welcome(self._state.site)
        self._reconcile(record.id)
        self._controller.changed()
        return self._state.view(record)

    # --- checks ---

    def _profile(self, person: Person, name: str | None) -> Profile:
        mine = visible(self._state.site.profiles, person.groups)
        names = ", ".join(profile.name for profile in mine) or "none"
        chosen = default_of(mine) if name is None else next((p for p in mine if p.name == name), None)
        if chosen is None:
            raise RequestRefused(f"There is no profile {name!r} for you; the profiles are: {names}.", 400)
        return chosen

    def _queue(self, person: Person) -> str:
        queue = queue_for(self._state.site, person.groups)
        if queue is None:
            raise RequestRefused(
                "None of your groups has a queue here; ask your administrator to add you to a group that has one.", 403
            )
        return queue


def _range(executors: rest.ExecutorRange) -> str:
    return f"{executors.min} to {executors.max} executors"
