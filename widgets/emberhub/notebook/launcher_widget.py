"""The launcher in a notebook: ipywidgets around what cards.py says. What takes time is done in a thread."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets as w
from IPython import get_ipython

from ..client import Cluster, begin, clusters
from ..errors import EmberhubError
from ..http import ENV_PROFILE, from_environment
from ..progress import Progress
from ..wire import rest
from . import messages
from .cards import OPTIONS, card, costs, first_choice, markup, offered, options, problem, view
from .comms import answer_while_cells_run
from .feed import News

TIMEOUT = 300.0
"""Seconds that a cluster may take to take work."""

_STYLE = Path(__file__).parent / "static" / "launcher.css"


class Launcher(w.VBox):  # type: ignore[misc]
    """Cards, options, a range, and what can be done. Made by `emberhub.launcher()`."""

    def __init__(self, name: str) -> None:
        self._service = from_environment()
        self._name = name
        self._mine: Cluster | None = next((each for each in clusters() if each.name == name), None)
        self._leave: Callable[[], None] | None = None
        self._attached = self._busy = False
        self._profiles: tuple[rest.Profile, ...] = ()
        self._cards = w.RadioButtons(description="", layout=w.Layout(width="auto"))
        self._cards.add_class("emberhub-cards")
        self._boxes: dict[str, Any] = {}
        self._options = w.HBox([])
        wide = {"layout": w.Layout(width="16em"), "style": {"description_width": "8em"}}
        self._low = w.BoundedIntText(description="Executors from", min=0, max=rest.MAX_EXECUTORS, **wide)
        self._high = w.BoundedIntText(description="to", min=1, max=rest.MAX_EXECUTORS, **wide)
        self._wrong, self._costs = w.HTML(), w.HTML()
        self._line, self._outcome = w.HTML(), w.HTML()
        self._buttons = {
            what: w.Button(description=what.capitalize(), tooltip=tip)
            for what, tip in (
                ("start", "Start the cluster with what is chosen"),
                ("reconnect", "Use the running cluster in this notebook"),
                ("scale", "Give the running cluster the range of executors above"),
                ("stop", "Stop the cluster"),
            )
        }
        self._buttons["start"].button_style = "primary"
        super().__init__(
            [
                w.HTML(f"<style>{_STYLE.read_text()}</style>", layout=w.Layout(display="none")),
                self._options,
                self._cards,
                w.HBox([self._low, self._high]),
                self._wrong,
                self._costs,
                w.HBox(list(self._buttons.values())),
                self._line,
                self._outcome,
            ]
        )
        self.add_class("emberhub-launcher")
        self._read_profiles()
        self._choose_first()
        for each in (self._cards, self._low, self._high):
            each.observe(self._show, names="value")
        for what, button in self._buttons.items():
            button.on_click(lambda _, what=what: self._press(what))
            answer_while_cells_run(button.comm)
        self._follow()
        self._show()

    # --- what there is ---

    def _read_profiles(self) -> None:
        """The profiles, with what is free now. Raises EmberhubError."""
        self._profiles = self._service.get("profiles", rest.Profiles).profiles
        if not self._boxes:
            self._boxes = {key: w.Checkbox(description=OPTIONS[key], indent=False) for key in options(self._profiles)}
            for box in self._boxes.values():
                box.observe(self._offer, names="value")
            self._options.children = tuple(self._boxes.values())
        self._offer()

    def _offer(self, *_: Any) -> None:
        """Only the profiles that have what is ticked."""
        needs = {key for key, box in self._boxes.items() if box.value}
        cards = [(card(each), each.name) for each in offered(self._profiles, needs)]
        if list(self._cards.options) != cards:
            kept = self._cards.value
            self._cards.options = cards
            self._cards.value = kept if kept in {name for _, name in cards} else cards[0][1] if cards else None
        self._show()

    def _choose_first(self) -> None:
        mine = self._mine._seen if self._mine is not None else None
        choice = first_choice(self._profiles, mine, os.environ.get(ENV_PROFILE, ""))
        if choice is not None:
            self._cards.value, self._low.value, self._high.value = choice.profile, choice.low, choice.high

    def _chosen(self) -> rest.Profile | None:
        return next((each for each in self._profiles if each.name == self._cards.value), None)

    def _follow(self) -> None:
        """Hear what changes about the cluster, from now on."""
        if self._leave is not None:
            self._leave()
        self._leave = self._mine._feed.listen(self._heard) if self._mine is not None else None

    def _heard(self, news: News) -> None:
        if self._mine is not None:
            self._mine._saw(news.cluster)
        self._show()

    # --- showing ---

    def _show(self, *_: Any) -> None:
        profile = self._chosen()
        wrong = problem(self._low.value, self._high.value, profile)
        self._wrong.value = markup(wrong, "alert") if wrong else ""
        self._costs.value = (
            ""
            if wrong or profile is None
            else markup(costs(profile, self._low.value, self._high.value), "note", "status")
        )
        seen = view(self._mine._seen if self._mine is not None else None, attached=self._attached, busy=self._busy)
        self._line.value = markup(seen.line, "status")
        for what, button in self._buttons.items():
            can = getattr(seen, what) and not (wrong and what in {"start", "scale"})
            if button.disabled == can:
                button.disabled = not can

    def _say(self, text: str) -> None:
        self._outcome.value = markup(text, "status")

    # --- what is pressed ---

    def _press(self, what: str) -> None:
        self._busy = True
        self._say("")
        self._show()
        # The kernel goes on meanwhile.
        threading.Thread(target=self._do, args=(what,), daemon=True).start()

    def _do(self, what: str) -> None:
        try:
            getattr(self, f"_{what}")()
        except EmberhubError as error:
            self._outcome.value = markup(str(error), "alert")
        finally:
            self._busy = False
            self._refresh()

    def _refresh(self) -> None:
        try:
            self._read_profiles()
        except EmberhubError as error:
            self._outcome.value = markup(str(error), "alert")
        self._show()

    def _start(self) -> None:
        executors = rest.ExecutorRange(self._low.value, self._high.value)
        chosen = rest.CreateCluster(name=self._name, profile=self._cards.value, executors=executors)
        self._attach(lambda line: begin(self._service, chosen, line))

    def _reconnect(self) -> None:
        self._attach(lambda line: begin(self._service, rest.CreateCluster(name=self._name), line))

    def _attach(self, get: Callable[[Progress], Cluster]) -> None:
        """Wait for the cluster, and put it into the notebook's namespace."""
        line = Progress(self)
        self._mine = get(line)
        self._follow()
        self._mine._wait(TIMEOUT, line)
        spark = self._mine.spark
        shell = get_ipython()
        names = shell.user_ns if shell is not None else {}
        before = names.get("spark")
        names.update(spark=spark, cluster=self._mine)
        self._attached = True
        other = before is not None and type(before) is not type(spark)
        said = [messages.SPARK_READY.say(), messages.SPARK_REPLACED.say() if other else ""]
        self._say(" ".join(filter(None, said)))

    def show(self, text: str, last: bool) -> None:
        """One line of progress; see `progress.Line`."""
        self._say(text)

    def _scale(self) -> None:
        assert self._mine is not None
        self._mine.scale(self._low.value, self._high.value)
        self._say(messages.SCALED.say(low=self._low.value, high=self._high.value))

    def _stop(self) -> None:
        assert self._mine is not None
        self._mine.stop()
        self._attached = False
        self._say(messages.STOPPED.say(name=self._name))
