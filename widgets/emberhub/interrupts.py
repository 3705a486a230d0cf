"""No query of an interrupted cell runs on in the cluster.

PySpark cancels a query when KeyboardInterrupt is raised while the main thread reads its answer. It does not where that
is raised later, as in the loop over `toLocalIterator()`, or again, by another press of the stop button, or where other
threads of the cell have asked, for which the cell would wait. So the press itself cancels what the cell has begun, and
so does the end of a cell that was interrupted: from a thread of its own, which no interrupt reaches.
"""

from __future__ import annotations

import contextlib
import queue
import signal
import sys
import threading
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any


class Operations:
    """What a session was asked for since the present cell began.

    `cancel` is given an operation's id, and whether the driver is known to run it no more.
    """

    def __init__(self, cancel: Callable[[str, bool], object]) -> None:
        self._cancel = cancel
        self._over: dict[str, bool] = {}

    def begins(self, operation: str) -> None:
        """It is about to be sent."""
        self._over[operation] = False

    def over(self, operation: str) -> None:
        """All of its answer is here, or the driver has been told to forget it."""
        if operation in self._over:
            self._over[operation] = True

    def forget(self) -> None:
        """Another cell begins."""
        self._over = {}

    def present(self) -> dict[str, bool]:
        """What the present cell has begun, and what of that is over; kept up to date until another cell begins."""
        return self._over

    def cancel(self, begun: dict[str, bool]) -> None:
        """Cancel of these what is not over."""
        for operation, over in list(begun.items()):
            with contextlib.suppress(Exception):  # a driver that has gone has nothing to cancel
                self._cancel(operation, over)


_all: weakref.WeakSet[Operations] = weakref.WeakSet()
_pressed: queue.SimpleQueue[list[tuple[Operations, dict[str, bool]]]] = queue.SimpleQueue()
"""The only kind of queue that a signal's handler may put into."""


def watch_cells(cancel: Callable[[str, bool], object]) -> Operations | None:
    """Operations that end with their cells. None outside IPython: there, an interrupt ends the program."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    if shell is None:
        return None
    for event, callback in (("pre_run_cell", _cell_begins), ("post_run_cell", _cell_ended)):
        with contextlib.suppress(ValueError):  # it has not been registered yet
            shell.events.unregister(event, callback)
        shell.events.register(event, callback)
    if "emberhub-interrupts" not in [thread.name for thread in threading.enumerate()]:
        threading.Thread(target=_cancel_as_pressed, name="emberhub-interrupts", daemon=True).start()
    operations = Operations(cancel)
    _all.add(operations)
    _listen()  # the present cell has begun before
    return operations


def _cancel_as_pressed() -> None:
    while True:
        for operations, begun in _pressed.get():
            operations.cancel(begun)


def _press() -> None:
    _pressed.put([(operations, operations.present()) for operations in list(_all)])


def _listen() -> None:
    """Hear the stop button first, where nobody else does."""
    main = threading.current_thread() is threading.main_thread()
    if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupted)


def _interrupted(number: int, frame: FrameType | None) -> None:
    try:
        _press()
    finally:
        signal.default_int_handler(number, frame)


def _cell_begins(_: Any) -> None:
    for operations in list(_all):
        operations.forget()
    _listen()


def _cell_ended(result: Any) -> None:
    main = threading.current_thread() is threading.main_thread()
    if main and signal.getsignal(signal.SIGINT) is _interrupted:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if isinstance(getattr(result, "error_in_exec", None), KeyboardInterrupt):
        _press()
