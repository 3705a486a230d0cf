"""No query of an interrupted cell runs on in the cluster.

PySpark cancels a query when KeyboardInterrupt is raised while it reads the answer. It cannot when that is raised a
little later: in the loop over `toLocalIterator()`, or by a second press of the stop button while it deals with the
first. So after a cell that was interrupted, what is left of its queries is cancelled from a thread of its own, which no
interrupt reaches.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any


class Operations:
    """What a session was asked for in the present cell, as far as the cell waits for it: not by other threads.

    `cancel` is given an operation's id, and whether the driver is known to run it no more.
    """

    def __init__(self, cancel: Callable[[str, bool], object]) -> None:
        self._cancel = cancel
        self._over: dict[str, bool] = {}

    def begins(self, operation: str) -> None:
        """It is about to be sent."""
        if threading.current_thread() is threading.main_thread():
            self._over[operation] = False

    def over(self, operation: str) -> None:
        """All of its answer is here, or the driver has been told to forget it."""
        if operation in self._over:
            self._over[operation] = True

    def cell_ended(self, error: BaseException | None) -> None:
        """The cell is over, by this error if there is one."""
        begun, self._over = self._over, {}
        if begun and isinstance(error, KeyboardInterrupt):
            threading.Thread(target=self._cancel_all, args=(begun,), name="emberhub-interrupt", daemon=True).start()

    def _cancel_all(self, begun: dict[str, bool]) -> None:
        for operation, over in begun.items():
            with contextlib.suppress(Exception):  # a driver that has gone has nothing to cancel
                self._cancel(operation, over)


_all: weakref.WeakSet[Operations] = weakref.WeakSet()


def watch_cells(cancel: Callable[[str, bool], object]) -> Operations | None:
    """Operations that end with their cells. None outside IPython: there, an interrupt ends the program."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    if shell is None:
        return None
    with contextlib.suppress(ValueError):  # it has not been registered yet
        shell.events.unregister("post_run_cell", _cell_ended)
    shell.events.register("post_run_cell", _cell_ended)
    operations = Operations(cancel)
    _all.add(operations)
    return operations


def _cell_ended(result: Any) -> None:
    error = getattr(result, "error_in_exec", None)
    for operations in list(_all):
        operations.cell_ended(error)
