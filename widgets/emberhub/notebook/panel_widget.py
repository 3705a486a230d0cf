"""The panel in a notebook: an anywidget that is sent what panel.py makes of each piece of news."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import anywidget
import traitlets

from ..errors import EmberhubError
from ..wire import rest
from . import messages
from .comms import answer_while_cells_run
from .feed import News
from .panel import panel_state
from .timeline import Timeline

if TYPE_CHECKING:
    from ..client import Cluster

STATIC = Path(__file__).parent / "static"


class Panel(anywidget.AnyWidget):  # type: ignore[misc]
    """Shows one cluster for as long as somebody looks."""

    _esm = STATIC / "panel.js"
    _css = STATIC / "panel.css"
    state = traitlets.Dict().tag(sync=True)
    said = traitlets.Unicode("").tag(sync=True)
    """What came of the last thing that was pressed."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster, self._feed = cluster, cluster._feed
        self._timeline = Timeline()
        self._lock = threading.Lock()
        self._looks = 0
        self._leave: Callable[[], None] | None = None
        super().__init__(state=self._seen(self._feed.news))
        self.on_msg(self._asked)
        answer_while_cells_run(self.comm)
        self._listen()

    # --- showing ---

    def _seen(self, news: News) -> dict[str, Any]:
        now = time.monotonic()
        with self._lock:
            self._timeline.add(news.cluster, now)
            timeline = self._timeline.seen(now)
        return panel_state(
            news.cluster,
            timeline,
            profiles=self._offers(news.cluster),
            problem=news.problem,
            ui=ui_address(news.cluster),
        )

    def _offers(self, cluster: rest.Cluster) -> tuple[rest.Profile, ...]:
        """The profiles, where another one might help."""
        if cluster.unmet is None or not cluster.unmet.cheapest or cluster.running:
            return ()
        try:
            return self._cluster._service.get("profiles", rest.Profiles, patience=0).profiles
        except EmberhubError:
            return ()

    def _tell(self, news: News) -> None:
        self.state = self._seen(news)

    def _listen(self) -> None:
        if self._leave is None:
            self._leave = self._feed.listen(self._tell)

    # --- what is pressed ---

    def _asked(self, _: Any, content: dict[str, Any], __: Any) -> None:
        match content.get("do"):
            case "open":
                self._looks += 1
                self._listen()
                self._tell(self._feed.news)
            case "close":
                self._looks -= 1
                if self._looks <= 0 and self._leave is not None:
                    self._leave()
                    self._leave = None
            case str(what):
                # The kernel goes on meanwhile.
                threading.Thread(target=self._do, args=(what, content), daemon=True).start()

    def _do(self, what: str, content: dict[str, Any]) -> None:
        executor = str(content.get("executor", ""))
        try:
            match what:
                case "later" | "another":
                    self._cluster._wish(executor, what)
                    done = messages.KEPT_LONGER if what == "later" else messages.GAVE_ANOTHER
                    self.said = done.say(executor=executor)
                case "stop":
                    self._cluster.stop()
                    self.said = messages.PANEL_STOPPED.say()
                case "start":
                    self._cluster._start()
                    self.said = messages.PANEL_STARTED.say()
                case "change":
                    self._cluster._start(str(content.get("profile", "")))
                    self.said = messages.PANEL_STARTED.say()
        except (EmberhubError, ValueError) as error:
            self.said = str(error)


def ui_address(cluster: rest.Cluster) -> str:
    """Where the browser finds Spark's own pages, behind the hub's login; empty outside a hub."""
    base = os.environ.get("JUPYTERHUB_BASE_URL", "")
    return f"{base}services/emberhub/clusters/{quote(cluster.name, safe='')}/ui/" if base else ""
