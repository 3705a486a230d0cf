"""What a notebook shows: the progress of queries, the panel, the launcher and the magics.

Each has a part that only turns what is known into what is shown, and a part that shows it.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from ..errors import EmberhubError
from . import messages

if TYPE_CHECKING:
    from .launcher_widget import Launcher


def widgets(what: str = "panel") -> ModuleType:
    """The module with a widget, which needs ipywidgets and anywidget. Raises EmberhubError where they are missing."""
    try:
        return importlib.import_module(f".{what}_widget", __name__)
    except ModuleNotFoundError as missing:
        raise EmberhubError(messages.NO_WIDGETS.say(what=what, missing=missing)) from missing


def launcher(name: str = "main") -> Launcher:
    """Cards to choose a profile from, and buttons to start, stop, scale and reconnect my cluster called `name`.

    When it has started, the variables `spark` and `cluster` are there. Raises NotInHub outside a hub,
    ServiceUnavailable while the hub's service is away, EmberhubError where ipywidgets is not installed.
    """
    made: Launcher = widgets("launcher").Launcher(name)
    return made
