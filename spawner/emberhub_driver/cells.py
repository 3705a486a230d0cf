"""Runs cells as a notebook does, with IPython, and makes of what they show the results that Livy's clients expect.

A client shows one representation of a result: an image, else HTML, else text. So a cell that shows several things gets
one HTML result that holds them all, in order.
"""

from __future__ import annotations

import html
import io
import sys
from typing import Any

from emberhub.wire.livy import MAX_OUTPUT, Output
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

_TRACEBACK = 20_000
"""Characters of an error or a traceback: the first lines tell."""
_LARGE = f"The result is larger than {MAX_OUTPUT >> 20} MiB: show less of it, or fewer rows."
_PNG, _SVG, _HTML, _TEXT, _JSON = "image/png", "image/svg+xml", "text/html", "text/plain", "application/json"
_KNOWN = (_PNG, _HTML, _JSON)
"""What a client can show beside text, the richest first."""


class TooLarge(Exception):
    """A cell printed more than is kept."""


class Shown:
    """What the present cell has shown so far: bundles by MIME type, text as it was printed among them."""

    def __init__(self) -> None:
        self.bundles: list[dict[str, Any]] = []
        self._size = 0

    def text(self, text: str) -> None:
        """Something was printed. Raises TooLarge."""
        self._size += len(text)
        if self._size > MAX_OUTPUT:
            raise TooLarge(_LARGE)
        last = self.bundles[-1] if self.bundles else {}
        if "printed" in last:
            last["printed"].append(text)
        else:
            self.bundles.append({"printed": [text]})

    def bundle(self, data: dict[str, Any]) -> None:
        """Something was displayed."""
        self.bundles.append(data)

    def take(self) -> dict[str, Any]:
        """All of it, as the data of one result; forgets it."""
        bundles = [_plain(bundle) for bundle in self.bundles]
        self.bundles, self._size = [], 0
        return compose(bundles)


def _plain(bundle: dict[str, Any]) -> dict[str, Any]:
    return {_TEXT: "".join(bundle["printed"])} if "printed" in bundle else bundle


def compose(bundles: list[dict[str, Any]]) -> dict[str, Any]:
    """One result of all that was shown."""
    text = "\n".join(str(bundle.get(_TEXT, "")).removesuffix("\n") for bundle in bundles)
    richest = [_richest(bundle) for bundle in bundles]
    if len(bundles) == 1 and richest[0] != _SVG:
        return {kind: bundles[0][kind] for kind in _KNOWN if kind in bundles[0]} | {_TEXT: text}
    if all(kind == _TEXT for kind in richest):
        return {_TEXT: text}
    return {_HTML: "\n".join(_as_html(bundle) for bundle in bundles), _TEXT: text}


def _richest(bundle: dict[str, Any]) -> str:
    return next((kind for kind in (_PNG, _SVG, _HTML) if kind in bundle), _TEXT)


def _as_html(bundle: dict[str, Any]) -> str:
    match _richest(bundle):
        case "image/png":
            return f'<img alt="" src="data:image/png;base64,{str(bundle[_PNG]).strip()}">'
        case "text/plain":
            return f"<pre>{html.escape(str(bundle.get(_TEXT, '')))}</pre>"
        case kind:
            return str(bundle[kind])


class _Printed(io.TextIOBase):
    """What `print` writes to."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown

    def write(self, text: str) -> int:
        self._shown.text(text)
        return len(text)

    def writable(self) -> bool:
        return True


class _Publisher(DisplayPublisher):  # type: ignore[misc]  # IPython has no types here
    """Where `display` goes."""

    shown: Shown

    def publish(self, data: dict[str, Any], *_: Any, **__: Any) -> None:
        self.shown.bundle(dict(data))


class _Hook(DisplayHook):  # type: ignore[misc]
    """Where the value of a cell's last expression goes."""

    shown: Shown
    code = ""

    def quiet(self) -> bool:
        """Whether the cell ends in a semicolon; IPython would look for it in its history."""
        return bool(self.semicolon_at_end_of_expression(self.code))

    def write_output_prompt(self) -> None:
        """No `Out[1]:`."""

    def write_format_data(self, format_dict: dict[str, Any], md_dict: Any = None) -> None:
        self.shown.bundle(dict(format_dict))

    def start_displayhook(self) -> None:
        """Nothing is printed."""

    def finish_displayhook(self) -> None:
        """Nothing is printed."""


class Cells:
    """An IPython shell whose cells are run one after another."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        """`namespace` is where the cells' names live."""
        config = Config()
        config.HistoryManager.enabled = False
        config.InteractiveShell.colors = "nocolor"
        config.InteractiveShell.xmode = "Plain"
        self._shown = _Hook.shown = _Publisher.shown = Shown()
        self._shell: Any = InteractiveShell.instance(
            config=config, user_ns=namespace, displayhook_class=_Hook, display_pub_class=_Publisher
        )
        self._shell._showtraceback = self._keep_traceback
        self._shell.register_magic_function(self._matplot, magic_name="matplot")
        self._traceback: tuple[str, ...] = ()
        self._count = 0

    def run(self, code: str) -> Output:
        """Run one cell; errors of its code become the output."""
        self._traceback, count = (), self._count
        self._count += 1
        _Hook.code = code
        printed, sys.stdout = sys.stdout, _Printed(self._shown)
        try:
            result = self._shell.run_cell(code, store_history=False)
        finally:
            sys.stdout = printed
            data = self._shown.take()
        error = result.error_before_exec or result.error_in_exec
        if error is not None:
            return failed(error, self._traceback, count)
        return Output("ok", count, data=data)

    def _keep_traceback(self, _kind: type[BaseException], _error: BaseException, lines: list[str]) -> None:
        self._traceback = tuple(f"{line}\n" for line in _brief("\n".join(lines)).splitlines())

    def _matplot(self, line: str) -> None:
        """`%matplot plt`, Livy's own: show the figure that this module of matplotlib's has in hand."""
        self._shell.display_pub.publish(self._shell.display_formatter.format(self._shell.ev(line).gcf())[0])


def failed(error: BaseException, traceback: tuple[str, ...] = (), count: int = -1) -> Output:
    """What a statement answers that raised this."""
    return Output("error", count, ename=type(error).__name__, evalue=_brief(str(error)), traceback=traceback)


def _brief(text: str) -> str:
    """Without the Java stack, which tells people nothing and hides what does."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("\tat "))[:_TRACEBACK]
