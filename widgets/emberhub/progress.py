"""One line that says what is being waited for, and for how long."""

from __future__ import annotations

import sys
import time
from typing import Any, Protocol


class Line(Protocol):
    """A place where one line of text can be shown, and replaced."""

    def show(self, text: str, last: bool) -> None:
        """Replace the line by `text`; nothing follows the `last`."""
        ...


class Progress:
    """Says what is waited for, with the seconds since it began."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._began = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since this progress began."""
        return time.monotonic() - self._began

    def say(self, text: str) -> None:
        """Show what is being waited for now."""
        self._line.show(f"{text} ({self.elapsed:.0f} s)", last=False)

    def done(self, text: str) -> None:
        """Show the outcome, which stays."""
        self._line.show(f"{text} ({self.elapsed:.1f} s)", last=True)


class Silent:
    """Shows nothing."""

    def show(self, text: str, last: bool) -> None:
        pass


class Terminal:
    """A line that is overwritten in place."""

    def show(self, text: str, last: bool) -> None:
        sys.stderr.write(f"\r\x1b[K{text}" + ("\n" if last else ""))
        sys.stderr.flush()


class Log:
    """One line a change, for output that goes to a file; the seconds alone make no change."""

    def __init__(self) -> None:
        self._shown = ""

    def show(self, text: str, last: bool) -> None:
        what = text.rpartition(" (")[0]
        if last or what != self._shown:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()
        self._shown = what


class Display:
    """One output of a notebook's cell, updated in place."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, text: str, last: bool) -> None:
        from IPython.display import DisplayHandle  # noqa: PLC0415 (only in a notebook)

        content = {"text/plain": text}
        if self._handle is None:
            self._handle = DisplayHandle()
            self._handle.display(content, raw=True)
        else:
            self._handle.update(content, raw=True)


def progress(quiet: bool = False) -> Progress:
    """A progress line that suits where this runs: a notebook, a terminal, a log, or nowhere if `quiet`."""
    if quiet:
        return Progress(Silent())
    if in_notebook():
        return Progress(Display())
    return Progress(Terminal() if sys.stderr.isatty() else Log())


def in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython and hasattr(ipython, "get_ipython") else None
    return hasattr(shell, "kernel")
