"""What drivers say, and what is made of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from hmac import compare_digest

from emberhub.wire import agent

from .controller import Controller
from .live import Link, Live
from .metrics import Metrics
from .questions import Questions
from .reconciler import hash_token
from .state import State
from .wishes import defer, swap

log = logging.getLogger(__name__)


class Superseded(Exception):
    """The driver is refused for good: its cluster is gone, or a later start took over."""


class WrongToken(Exception):
    """The agent's token is not this cluster's."""


class Agents:
    """The drivers' side of the controller. `reconcile` asks for a look at one cluster."""

    def __init__(
        self,
        state: State,
        metrics: Metrics,
        controller: Controller,
        reconcile: Callable[[str], None],
        questions: Questions,
    ) -> None:
        self.state = state
        self.metrics = metrics
        self.controller = controller
        self.reconcile = reconcile
        self.questions = questions

    def check(self, driver: str, generation: int, token: str) -> None:
        """Whether this driver may speak for a cluster. Raises Superseded or WrongToken."""
        live = self._find(driver, generation)
        if not compare_digest(live.record.agent_token_hash, hash_token(token)):
            raise WrongToken

    def connect(self, driver: str, generation: int, link: Link) -> Live:
        """A driver that passed `check` is connected; returns its cluster. Raises Superseded if it no longer would."""
        live = self._find(driver, generation)
        if live.link is not None:
            # The same driver came back before the loss of its old connection was noticed.
            live.link.close(1000, "Another connection took over.")
        live.connect(link)
        live.heard = self.state.clock()
        live.welcome(self.state.site)
        return live

    def _find(self, driver: str, generation: int) -> Live:
        live = self.state.live_of(driver, generation)
        if live is None or live.record.status == "stopping":
            raise Superseded
        return live

    def disconnect(self, live: Live, link: Link) -> None:
        """A connection has ended. Its cluster keeps what it has."""
        if live.link is link:
            live.link = None
            self.state.touch(live.record.id)
            self.controller.changed()

    def receive(self, live: Live, link: Link, message: agent.FromDriver) -> None:
        """Take in one message."""
        if live.link is not link:
            return
        now = self.state.clock()
        live.heard = now
        match message:
            case agent.Report():
                self._report(live, message, now)
            case agent.Alternative(executor=executor, instead=instead):
                swap(live, executor, instead, now)
            case agent.Deferral(executor=executor, reason=reason):
                if defer(live, executor, self.state.site.rules.deferral, now):
                    log.info("cluster %s keeps executor %s a little longer: %s", live.record.id, executor, reason)
            case agent.Answer():
                self.questions.take(live.record.id, message)
                return
            case agent.Farewell(reason=reason):
                live.farewell = reason
                log.info("cluster %s: its driver stops: %s", live.record.id, reason)
        self.state.touch(live.record.id)
        self.controller.changed()

    def _report(self, live: Live, report: agent.Report, now: float) -> None:
        more = len(report.executors) > len(live.held) and live.report is not None
        ready = live.report is not None and live.report.endpoint is not None
        took = live.hear(report, now)
        if took is not None:
            self.state.starts.append(took)
        if more and live.asked is not None:
            self.metrics.wait_seconds.observe(now - live.asked)
        if more and live.estimate is not None:
            made, seconds = live.estimate
            self.metrics.estimate_error.observe(now - made - seconds)
        if more:
            live.asked = live.estimate = None
        if report.endpoint is not None and (not ready or live.record.status == "starting"):
            self.reconcile(live.record.id)
        late = live.late()
        if late and live.link is not None:
            live.revoked.update(late)
            reason = "These executors came after their promise had been withdrawn."
            live.link.send(agent.Revoke(executors=late, target=live.target, reason=reason))
