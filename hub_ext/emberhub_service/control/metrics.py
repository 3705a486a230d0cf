"""Numbers about the service, in Prometheus' form."""

from __future__ import annotations

from emberhub.wire.resources import KINDS
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from .state import State
from .views import pools_view


class Metrics:
    """One registry a service, so that several may live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.plan_seconds = Histogram("emberhub_plan_seconds", "Time to make one plan", registry=self.registry)
        self.plan_failures = Counter("emberhub_plan_failures", "Plans that ended in an error", registry=self.registry)
        self.decisions = Counter(
            "emberhub_decisions", "Decisions by kind and rule", ["decision", "rule"], registry=self.registry
        )
        self.expired = Counter(
            "emberhub_promises_expired", "Granted executors that did not come in time", registry=self.registry
        )
        self.estimate_error = Histogram(
            "emberhub_estimate_error_seconds",
            "How much later than estimated a waiting cluster's next executor came; negative if sooner",
            buckets=(-60, -30, -10, -5, -2, 0, 2, 5, 10, 30, 60, 120, 300),
            registry=self.registry,
        )
        self.wait_seconds = Histogram(
            "emberhub_wait_seconds",
            "From wanting an executor to having the next one",
            buckets=(0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300),
            registry=self.registry,
        )
        self._pool = Gauge("emberhub_pool", "Pools by amount", ["pool", "amount", "resource"], registry=self.registry)
        self._executors = Gauge("emberhub_pool_executors", "Executors that run", ["pool"], registry=self.registry)
        self._clusters = Gauge("emberhub_clusters", "Clusters by state", ["state"], registry=self.registry)
        self._waiting = Gauge("emberhub_clusters_waiting", "Clusters that lack executors", registry=self.registry)

    def text(self, state: State) -> bytes:
        """All of it now, in Prometheus' text format."""
        lives = list(state.lives.values())
        for gauge in (self._pool, self._executors, self._clusters):
            gauge.clear()
        for pool in pools_view(state.site, lives, "").pools:
            for kind in KINDS:
                for amount in ("capacity", "held", "promised"):
                    self._pool.labels(pool.name, amount, kind).set(getattr(getattr(pool, amount), kind))
            self._executors.labels(pool.name).set(pool.executors)
        for record in state.records():
            self._clusters.labels(state.view(record).state).inc()
        self._waiting.set(sum(live.waiting_since is not None for live in lives))
        return generate_latest(self.registry)
