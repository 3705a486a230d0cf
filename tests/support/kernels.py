"""Real Jupyter kernels, driven as a notebook does it."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager


class Cell:
    """What a cell showed."""

    def __init__(self) -> None:
        self.text = ""
        """All text and HTML, in order."""
        self.errors = ""
        """What stands out as wrong: standard error, and tracebacks."""

    def take(self, message: dict[str, Any]) -> None:
        content = message["content"]
        match message["msg_type"]:
            case "stream" if content["name"] == "stderr":
                self.errors += content["text"]
            case "stream":
                self.text += content["text"]
            case "display_data" if "application/vnd.jupyter.widget-view+json" in content["data"]:
                pass  # A bar of progress, with nothing to read.
            case "display_data" | "execute_result":
                self.text += content["data"].get("text/html", "") + content["data"].get("text/plain", "")
            case "error":
                self.errors += "\n".join([*content["traceback"], content["ename"]])


class Kernel:
    """One kernel that runs."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self._manager, self._client = manager, client

    def run(self, code: str, within: float = 240.0, meanwhile: Callable[[Kernel], None] | None = None) -> Cell:
        """Run a cell to its end. `meanwhile` is called once it has begun."""
        cell, asked = Cell(), self._client.execute(code)
        if meanwhile is not None:
            meanwhile(self)
        until = time.monotonic() + within
        while True:
            try:
                message = self._client.get_iopub_msg(timeout=max(0.1, until - time.monotonic()))
            except queue.Empty:
                raise AssertionError(
                    f"not done within {within:g} s: {code}; so far: {cell.text}{cell.errors}"
                ) from None
            if message["parent_header"].get("msg_id") != asked:
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return cell
            cell.take(message)

    def value(self, expression: str) -> str:
        """What an expression is, in the kernel itself."""
        return self.run(expression).text

    def interrupt(self) -> None:
        """The stop button."""
        self._manager.interrupt_kernel()


@contextmanager
def a_kernel(name: str, home: Path, environment: dict[str, str]) -> Iterator[Kernel]:
    """A kernel as this person's notebook server starts it, from the kernels in their home."""
    specs = KernelSpecManager(kernel_dirs=[str(home / ".local" / "share" / "jupyter" / "kernels")])
    manager = KernelManager(kernel_name=name, kernel_spec_manager=specs)
    manager.start_kernel(env=environment, cwd=str(home))
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel()
        manager.cleanup_resources()
