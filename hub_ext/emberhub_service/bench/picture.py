"""Pictures of the workshop: who had executors when, and who waited how long for a first result. Needs matplotlib."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emberhub.errors import EmberhubError

from .metrics import Metrics, UserMetrics

HAS, WAITS, FIRST = "#2a7bbd", "#d62728", "#222222"
COLOURS = {"ember": "#e4572e", "spark-dynamic": "#4c78a8", "static": "#9d9d9d"}


def draw(played: Sequence[Metrics], directory: Path) -> list[Path]:
    """Two pictures for each tuning and number of users, in `directory`; returns where they are.

    Raises EmberhubError where matplotlib is missing or the directory cannot be written.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import, and only pictures need it
    except ImportError:
        raise EmberhubError("pictures need matplotlib: pip install 'emberhub[plot]'") from None
    made = []
    for tuning, users in dict.fromkeys((each.tuning, each.users) for each in played):
        same = [each for each in played if (each.tuning, each.users) == (tuning, users)]
        for kind, picture in (("executors", _executors), ("first-result", _first_results)):
            figure = picture(Figure, same)
            path = directory / f"workshop-{kind}-{users}-{tuning}.png"
            try:
                directory.mkdir(parents=True, exist_ok=True)
                figure.savefig(path, dpi=110, metadata={"Software": None})
            except OSError as error:
                raise EmberhubError(f"cannot write {path}: {error.strerror}") from error
            made.append(path)
    return made


def _executors(figure_of: Any, played: Sequence[Metrics]) -> Any:
    """One panel a policy, one lane a user: its height shows how many executors, as a square's side shows its area."""
    lane = 0.22 if played[0].users <= 12 else 0.12
    figure = figure_of(figsize=(11, len(played) * (played[0].users * lane + 0.8) + 0.8), layout="constrained")
    panels = figure.subplots(len(played), 1, sharex=True, squeeze=False)[:, 0]
    for panel, each in zip(panels, played, strict=True):
        for row, user in enumerate(reversed(each.each)):
            _lane(panel, user, row, each.executors)
        panel.set_yticks(range(each.users), [user.user.removeprefix("user-") for user in reversed(each.each)])
        panel.tick_params(axis="y", length=0, labelsize=7)
        panel.set_ylim(-0.6, each.users - 0.4)
        panel.set_title(f"{each.policy}: all through after {each.makespan:.0f} s", loc="left", fontsize=10)
        panel.spines[["top", "right", "left"]].set_visible(False)
    panels[-1].set_xlabel("seconds")
    panels[-1].set_xlim(left=0)
    figure.suptitle(
        f"{_people(played[0].users)} on {played[0].executors} executors: blue has executors, red has work and none, "
        "a mark is the first result",
        fontsize=11,
    )
    return figure


def _lane(panel: Any, user: UserMetrics, row: int, most: int) -> None:
    edges = sorted({edge for span in user.executors for edge in span})
    for start, end in itertools.pairwise(edges):
        held = sum(since <= start and until >= end for since, until in user.executors)
        if held:
            height = 0.8 * math.sqrt(min(1.0, held / most))
            panel.barh(row - 0.4, end - start, height, start, align="edge", color=HAS, lw=0)
    for start, end in user.waits:
        panel.barh(row - 0.4, end - start, 0.2, start, align="edge", color=WAITS, lw=0)
    if user.first_result is not None:
        panel.plot([user.asked + user.first_result], [row], marker="|", ms=9, color=FIRST)


def _first_results(figure_of: Any, played: Sequence[Metrics]) -> Any:
    """Users from the first served to the last, one line a policy."""
    figure = figure_of(figsize=(7, 4), layout="constrained")
    panel = figure.subplots()
    for each in played:
        waits = sorted(user.first_result for user in each.each if user.first_result is not None)
        panel.plot(range(1, len(waits) + 1), waits, marker="o", ms=4, label=each.policy, color=COLOURS[each.policy])
    panel.set_ylim(bottom=0)
    panel.set_xlabel("users, in the order of being served")
    panel.set_ylabel("seconds to the first result")
    panel.set_title(f"{_people(played[0].users)} on {played[0].executors} executors", loc="left", fontsize=11)
    panel.legend(frameon=False)
    panel.spines[["top", "right"]].set_visible(False)
    return figure


def _people(users: int) -> str:
    return "1 user" if users == 1 else f"{users} users"
