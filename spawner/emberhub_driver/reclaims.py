"""What the driver answers when executors are asked back, and which it gives back of its own accord. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from emberhub.wire import agent as wire


class Reclaims:
    """The executors that the service has named, and those for which a little longer was asked."""

    def __init__(self) -> None:
        self._named: set[str] = set()
        self._deferred: set[str] = set()

    def forget(self, executors: Iterable[str]) -> None:
        """These are no longer reclaimed: the reclaim was called off, or they are given back."""
        self._named -= set(executors)

    def answer(self, reclaim: wire.Reclaim, report: wire.Report) -> list[wire.Alternative | wire.Deferral]:
        """Offer an idle executor in place of a busy one; ask for a little longer where the work is nearly done."""
        self._named |= set(reclaim.executors)
        known = {each.id: each for each in report.executors}
        idle = [
            each.id
            for each in sorted(report.executors, key=lambda each: (each.cached_bytes + each.shuffle_bytes, each.id))
            if not each.active_tasks and not each.decommissioning and each.id not in self._named
        ]
        # No task waits for a slot: those that run are the job's last.
        last_tasks = report.wanted <= len(report.executors)
        answers: list[wire.Alternative | wire.Deferral] = []
        for name in reclaim.executors:
            executor = known.get(name)
            if executor is None or not executor.active_tasks:
                continue
            if idle:
                instead = idle.pop(0)
                self._named = (self._named - {name}) | {instead}
                answers.append(wire.Alternative(executor=name, instead=instead))
            elif last_tasks and name not in self._deferred:
                self._deferred.add(name)
                answers.append(wire.Deferral(executor=name, reason="it runs the last tasks of a job"))
        return answers


def surplus(report: wire.Report, floor: int) -> list[str]:
    """The executors above the floor, those that cost least to lose."""
    staying = [each for each in report.executors if not each.decommissioning]
    cheapest = sorted(
        staying,
        key=lambda each: (each.active_tasks > 0, each.cached_bytes + each.shuffle_bytes, each.oldest_task, each.id),
    )
    return [each.id for each in cheapest[: max(0, len(staying) - floor)]]
