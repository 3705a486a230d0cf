"""Which processes belong to a local hub, and how to end them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil

ENV_STATE = "EMBERHUB_STATE"
"""Marks every process of a local hub with its state directory: children inherit it, whoever starts them."""


def processes(state: Path) -> list[psutil.Process]:
    """Every live process of the hub whose state directory this is, except the caller."""
    found = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            marked = process.environ().get(ENV_STATE) == str(state)
            if marked and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue  # it has ended, or is somebody else's
    return found


def end(state: Path, grace: float = 10.0) -> int:
    """End whatever is left: politely, and after `grace` seconds by force. Returns how many there were."""
    left = processes(state)
    _signal(left, signal.SIGTERM)
    psutil.wait_procs(left, timeout=grace)
    # Looked for again: what was ending may have started something in the meantime.
    stubborn = processes(state)
    _signal(stubborn, signal.SIGKILL)
    psutil.wait_procs(stubborn, timeout=grace)
    return len({process.pid for process in left + stubborn})


def _signal(found: list[psutil.Process], number: signal.Signals) -> None:
    for process in found:
        try:
            process.send_signal(number)
        except psutil.Error:
            continue
