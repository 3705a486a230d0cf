"""Run a measurement so that nothing of it stays: a directory of its own, Ctrl-C, and Java's archives made before."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from emberhub.errors import EmberhubError
from emberhub.java import find_java
from emberhub_driver import archive

Found = TypeVar("Found")
Say = Callable[[str], None]


def run(name: str, keep: Path | None, measure: Callable[[Path], Awaitable[Found]], say: Say) -> Found | None:
    """What `measure` finds, given a directory; None if somebody pressed Ctrl-C.

    The directory is `keep`, which stays, or a temporary one. Raises EmberhubError.
    """
    if keep is not None and keep.exists() and any(keep.iterdir()):
        raise EmberhubError(f"{keep} is not empty: choose another directory")
    root = (keep or Path(tempfile.mkdtemp(prefix=f"emberhub-{name}-"))).absolute()
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return asyncio.run(_uninterrupted(measure, root, say))
    except asyncio.CancelledError:
        say("Interrupted; nothing is left running.")
        return None
    finally:
        if keep is None:
            shutil.rmtree(root, ignore_errors=True)


async def _uninterrupted(measure: Callable[[Path], Awaitable[Found]], root: Path, say: Say) -> Found:
    """Measure. The first Ctrl-C breaks off; later ones do not keep it from tidying up."""
    task = asyncio.current_task()
    assert task is not None
    pressed: list[int] = []

    def interrupted() -> None:
        pressed.append(1)
        if len(pressed) == 1:
            say("Stopping …")
            task.cancel()
        else:
            say("Still stopping; please wait.")

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, interrupted)
    await _prepare_java(say)
    return await measure(root)


async def _prepare_java(say: Say) -> None:
    """Make Java's archives, also where they are not used: an engine would make them amid a measurement."""
    if archive.find(find_java()).driver:
        return
    say("Preparing Java for fast starts; this is done once, and takes about half a minute …")
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", archive.__name__)
    try:
        await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
