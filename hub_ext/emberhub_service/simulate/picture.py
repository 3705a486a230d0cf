"""The picture of a scenario: each user's executors over time, one panel a policy. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emberhub.errors import EmberhubError

from .apps import App
from .run import Outcome

FEW = 12
"""With so many users a lane's height shows how many executors; with more, its shade does."""
WAITS = "#d62728"
IDLE = "#f2b84b"
SHADES = "Blues"


def draw(outcomes: Sequence[Outcome], path: Path) -> None:
    """Write the picture to `path`; its suffix, .png or .svg, says which kind.

    Raises EmberhubError where matplotlib is missing.
    """
    try:
        import matplotlib as mpl  # noqa: PLC0415 - slow to import, and only pictures need it
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError:
        raise EmberhubError("pictures need matplotlib: pip install 'emberhub[plot]'") from None
    mpl.rcParams["svg.hashsalt"] = "emberhub"  # The same picture is the same file.
    users = len(outcomes[0].apps)
    lane = 0.1 if users > FEW else 0.3
    height = len(outcomes) * (users * lane + 0.65) + 1.1
    figure = Figure(figsize=(11, height), layout="constrained")
    panels = figure.subplots(len(outcomes), 1, sharex=True, squeeze=False)[:, 0]
    end = _shown(sorted(outcome.end for outcome in outcomes))
    most = max(sample.held for outcome in outcomes for app in outcome.apps for sample in app.samples)
    for panel, outcome in zip(panels, outcomes, strict=True):
        _panel(panel, outcome, end, most)
    panels[-1].set_xlabel("minutes")
    figure.suptitle(outcomes[0].scenario.title, fontsize=13, fontweight="bold")
    figure.legend(handles=_legend(outcomes[0], most), loc="outside lower center", ncols=6, frameon=False, fontsize=9)
    metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
    figure.savefig(path, dpi=110, metadata=metadata)


def _panel(panel: Any, outcome: Outcome, end: float, most: int) -> None:
    import matplotlib as mpl  # noqa: PLC0415

    shades = mpl.colormaps[SHADES]
    few = len(outcome.apps) <= FEW
    bars: dict[Any, list[tuple[float, float, float, float]]] = {}
    last = len(outcome.apps) - 1
    for number, app in enumerate(outcome.apps):
        index = last - number  # The first user is the topmost.
        for start, stop, useful, held, waiting in _pieces(app, outcome):
            if waiting and few:
                bars.setdefault(WAITS, []).append((start, stop, index - 0.4, 0.16))
                bars.setdefault(IDLE, []).append((start, stop, index - 0.24, 0.64 * held / most))
            elif waiting:
                bars.setdefault(WAITS, []).append((start, stop, index - 0.4, 0.8))
            elif few:
                bars.setdefault(shades(0.75), []).append((start, stop, index - 0.4, 0.8 * useful / most))
                above = index - 0.4 + 0.8 * useful / most
                bars.setdefault(IDLE, []).append((start, stop, above, 0.8 * (held - useful) / most))
            elif held:
                colour = shades(0.35 + 0.6 * (useful - 1) / max(1, most - 1)) if useful else IDLE
                bars.setdefault(colour, []).append((start, stop, index - 0.4, 0.8))
    for colour, pieces in bars.items():
        panel.add_collection(_rectangles(pieces, colour))
    names = [app.session.user for app in outcome.apps]
    step = 1 if few else 5
    places = list(range(0, len(names), step))
    panel.set_yticks([last - i for i in places], [names[i] for i in places], fontsize=9)
    panel.set_ylim(-0.6, last + 0.6)
    panel.set_xlim(0, end / 60)
    ended = max((app.ended or outcome.end) for app in outcome.apps)
    unfinished = sum(app.ended is None for app in outcome.apps)
    said = f"{unfinished} never end" if unfinished else f"all done after {ended / 60:.1f} minutes"
    beyond = ", beyond this picture" if ended > end else ""
    panel.set_title(f"{outcome.policy}: {said}{beyond}", loc="left", fontsize=10)
    panel.axvline(ended / 60, color="0.5", lw=0.8, ls=":")
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.tick_params(axis="y", length=0)
    for reservation in outcome.scenario.reservations:
        for edge in (reservation.start, reservation.end):
            panel.axvline(edge / 60, color="0.2", lw=1, ls="--")


def _shown(ends: list[float]) -> float:
    """Where the picture ends: one policy that takes far longer than the others must not squeeze them."""
    return min(ends[-1], 1.5 * ends[-2]) if len(ends) > 1 else ends[-1]


def _rectangles(pieces: list[tuple[float, float, float, float]], colour: Any) -> Any:
    from matplotlib.collections import PolyCollection  # noqa: PLC0415

    corners = [
        [(start / 60, low), (stop / 60, low), (stop / 60, low + tall), (start / 60, low + tall)]
        for start, stop, low, tall in pieces
    ]
    return PolyCollection(corners, facecolors=[colour], edgecolors="none", antialiaseds=False)


def _pieces(app: App, outcome: Outcome) -> list[tuple[float, float, int, int, bool]]:
    """Spans in which nothing that the picture shows changes: start, end, executors that work, all, waiting."""
    pieces: list[tuple[float, float, int, int, bool]] = []
    ends = [*(sample.time for sample in app.samples[1:]), app.ended or outcome.end]
    for sample, stop in zip(app.samples, ends, strict=True):
        shown = (sample.useful, sample.held, sample.waiting)
        if pieces and pieces[-1][2:] == shown and pieces[-1][1] == sample.time:
            pieces[-1] = (pieces[-1][0], stop, *shown)
        elif stop > sample.time:
            pieces.append((sample.time, stop, *shown))
    return pieces


def _legend(outcome: Outcome, most: int) -> list[Any]:
    import matplotlib as mpl  # noqa: PLC0415
    from matplotlib.lines import Line2D  # noqa: PLC0415
    from matplotlib.patches import Patch  # noqa: PLC0415

    users, shades = len(outcome.apps), mpl.colormaps[SHADES]
    if users <= FEW:
        works = [Patch(color=shades(0.75), label=f"executors at work (full height: {most})")]
    else:
        shown = sorted({1, (1 + most) // 2, most})
        works = [
            Patch(
                color=shades(0.35 + 0.6 * (count - 1) / max(1, most - 1)),
                label=f"{count} executor{'s' if count > 1 else ''} at work",
            )
            for count in shown
        ]
    window = [Line2D([], [], color="0.2", lw=1, ls="--", label="reservation")] if outcome.scenario.reservations else []
    return [
        *works,
        Patch(color=IDLE, label="executors held, not at work"),
        Patch(color=WAITS, label="has work, waits for an executor"),
        *window,
    ]
