"""What is pressed in a widget arrives while a cell runs, where the kernel can do that."""

from __future__ import annotations

from typing import Any


def answer_while_cells_run(comm: Any) -> None:
    """Let a widget's messages be dealt with beside a running cell, where the kernel has subshells: an executor that is
    asked back is gone before the cell ends.

    The kernel would hand them to the shell that last wrote to this comm, which is the main one. A kernel without
    subshells, or one that obeys the sender, is left as it is.
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda _, asked: asked
