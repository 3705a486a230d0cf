"""A cluster's state, for reading: what it has, what it lacks, and why."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from .wire import rest

STATES = {
    "pending": "waiting to start",
    "starting": "starting",
    "running": "running",
    "disconnected": "out of touch with the hub",
    "stopping": "stopping",
    "stopped": "stopped",
    "failed": "failed",
}
"""Each state in words."""

ENDED = frozenset({"stopped", "failed"})


@dataclass(frozen=True, repr=False)
class Status:
    """One look at a cluster; look again for news."""

    cluster: rest.Cluster
    """All that the service says, as it says it."""

    @property
    def state(self) -> rest.State:
        """`pending`, `starting`, `running`, `disconnected`, `stopping`, `stopped` or `failed`."""
        return self.cluster.state

    @property
    def ready(self) -> bool:
        """Whether it takes work."""
        return self.cluster.ready

    @property
    def wanted(self) -> int:
        """Executors that the work at hand could use."""
        return self.cluster.wanted

    @property
    def granted(self) -> int:
        """Executors that the hub has granted: those that run, and those on their way."""
        return self.cluster.granted

    @property
    def running(self) -> int:
        """Executors that run."""
        return len(self.cluster.running)

    @property
    def unmet(self) -> rest.Unmet | None:
        """Why it has fewer executors than it wants, or None."""
        return self.cluster.unmet

    @property
    def reclaims(self) -> tuple[rest.ReclaimNotice, ...]:
        """Executors that will be taken, with the seconds left to each."""
        return self.cluster.reclaims

    def why(self) -> str:
        """Why the cluster is as it is, in sentences."""
        return " ".join(text for _, text in self._news()) or "It has all the executors that its work can use."

    def rows(self) -> list[tuple[str, str]]:
        """What there is to say, as pairs of a heading and a text."""
        seen, asked = self.cluster, self.cluster.executors
        executors = f"{seen.granted} granted ({self.running} running), {seen.wanted} wanted"
        return [
            ("State", STATES.get(seen.state, seen.state)),
            ("Executors", f"{executors}; asked for {asked.min} to {asked.max} of {seen.executor} each"),
            *self._news(),
        ]

    def _news(self) -> list[tuple[str, str]]:
        rows = []
        if self.cluster.message:
            rows.append(("Message", _sentence(self.cluster.message)))
        if self.cluster.restarted:
            rows.append(("Restarted", _sentence(f"It had stopped: {self.cluster.restarted}")))
        if self.unmet:
            rows.extend(_unmet_rows(self.unmet))
        for notice in self.reclaims:
            left = f"Executor {notice.executor} is taken back in {max(0.0, notice.deadline):.0f} s"
            rows.append(("Reclaim", _sentence(f"{left}: {notice.reason}" if notice.reason else left)))
        return rows

    def __repr__(self) -> str:
        lines = [f"Cluster {self.cluster.name} ({self.cluster.profile})"]
        return "\n".join(lines + [f"  {heading + ':':<11} {text}" for heading, text in self.rows()])

    def _repr_html_(self) -> str:
        left = 'style="text-align:left"'
        cells = "".join(
            f"<tr><th {left}>{escape(heading)}</th><td {left}>{escape(text)}</td></tr>" for heading, text in self.rows()
        )
        title = f"Cluster {escape(self.cluster.name)} ({escape(self.cluster.profile)})"
        return f"<table><caption>{title}</caption>{cells}</table>"


def waiting_for(seen: rest.Cluster) -> str:
    """What a cluster that is not ready yet waits for, for a progress line."""
    text = seen.message or STATES.get(seen.state, seen.state)
    return f"Cluster {seen.name}: {text.rstrip('.')}"


def ready_line(seen: rest.Cluster) -> str:
    """What is said of a cluster once it takes work."""
    asked = seen.executors
    again = f" It was started again, for it had stopped: {seen.restarted.rstrip('.')}." if seen.restarted else ""
    count = len(seen.running)
    have = f"It has {count} executor{'' if count == 1 else 's'}, and gets up to {asked.max} as there is work"
    return f"Cluster {seen.name} is ready.{again} {have}"


def ended_line(seen: rest.Cluster) -> str:
    """That a cluster has ended, and why; without a full stop."""
    why = f": {seen.message.rstrip('.')}" if seen.message else ""
    return f"The cluster {seen.name} is {seen.state}{why}"


def unmet_sentences(unmet: rest.Unmet) -> list[str]:
    """Why a cluster has fewer executors than it wants, when it gets the next, and what would help."""
    return [text for _, text in _unmet_rows(unmet)]


def _unmet_rows(unmet: rest.Unmet) -> list[tuple[str, str]]:
    facts = [f"{unmet.executors} more wanted"]
    if unmet.place:
        facts.append(f"place {unmet.place} in line")
    if unmet.estimate is not None:
        facts.append(f"the next in about {span(unmet.estimate)}")
    rows = [("Waiting", _sentence(", ".join(facts)))]
    if unmet.reason:
        rows.append(("Because", _sentence(unmet.reason)))
    if unmet.cheapest:
        rows.append(("You could", _sentence(unmet.cheapest)))
    return rows


def span(seconds: float) -> str:
    """A time for reading."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text + "."
