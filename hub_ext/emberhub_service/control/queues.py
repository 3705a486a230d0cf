"""The queues' settings, which admins read, and change while the service runs."""

from __future__ import annotations

import msgspec
from emberhub.errors import ConfigError, RequestRefused
from emberhub.wire import rest
from emberhub.wire.resources import Resources

from ..alloc.model import Queue
from ..config import CHANGEABLE, Site, every
from .people import Person
from .state import State
from .watch import Watch


class Queues:
    """See the module. Each method raises RequestRefused with the status and the sentence to answer."""

    def __init__(self, state: State, watch: Watch) -> None:
        self._state = state
        self._watch = watch

    def all(self, person: Person) -> rest.Queues:
        """Every queue's settings."""
        if not person.admin:
            raise RequestRefused("Only admins may read the queues' settings; ask one of them.", 403)
        return queues_view(self._state.site)

    async def change(self, person: Person, body: rest.ChangeQueue) -> rest.Queue:
        """Change settings of a queue, as far as the configuration's rules allow it."""
        if not person.admin:
            raise RequestRefused("Only admins may change queues; ask one of them.", 403)
        before = self._settings(body.name)
        settings = {key: getattr(body, key) for key in CHANGEABLE if getattr(body, key) is not msgspec.UNSET}
        try:
            await self._watch.change(body.name, settings)
        except (ConfigError, ValueError) as wrong:
            raise RequestRefused(f"{wrong}. Nothing was changed; correct it.", 400) from None
        after = self._settings(body.name)
        what = _told(before, after)
        if what:
            self._state.journal.note("queue", what, actor=person.name)
            self._state.on_change()
        return after

    def _settings(self, name: str) -> rest.Queue:
        queues = {queue.name: queue for queue in queues_view(self._state.site).queues}
        if name not in queues:
            raise RequestRefused(f"There is no queue {name!r}; the queues are: {', '.join(queues)}.", 404)
        return queues[name]


def queues_view(site: Site) -> rest.Queues:
    """The queues' settings, for admins."""
    return rest.Queues(queues=tuple(_queue_view(site, queue) for queue in every(site.queues)))


def _queue_view(site: Site, queue: Queue) -> rest.Queue:
    """One queue's settings."""
    return rest.Queue(
        name=queue.name,
        policy=queue.policy,
        weight=queue.weight,
        guaranteed=queue.guaranteed,
        max={kind: most for kind, most in msgspec.structs.asdict(queue.max).items() if most is not None},
        borrows=queue.borrows,
        changed=site.changed.get(queue.name, ()),
    )


def _told(before: rest.Queue, after: rest.Queue) -> str:
    """What has changed between the two, as a sentence; empty if nothing has."""
    kinds = [kind for kind in CHANGEABLE if getattr(before, kind) != getattr(after, kind)]
    parts = [f"{kind} {_setting(after, kind)} instead of {_setting(before, kind)}" for kind in kinds]
    if before.changed != after.changed and not parts:
        parts.append(f"the same, with {', '.join(after.changed) or 'nothing'} laid over the configuration file")
    return f"Queue {after.name}: {'; '.join(parts)}." if parts else ""


def _setting(queue: rest.Queue, kind: str) -> str:
    match getattr(queue, kind):
        case bool(value):
            return "yes" if value else "no"
        case float(value):
            return f"{value:g}"
        case dict(value):
            return str(Resources(**value)) if value else "everything"
        case value:
            return str(value)
