"""Run a notebook's cells in a kernel behind a hub, over the kernel's WebSocket, as JupyterLab does."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import nbformat
from emberhub.errors import EmberhubError
from nbformat.v4 import output_from_msg
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

CELL_TIMEOUT = 240.0
"""Seconds that one cell may take."""
_MAX_MESSAGE = 64 << 20

Cell = dict[str, Any]


@dataclass
class Ran:
    """One cell that ran."""

    tags: tuple[str, ...]
    began: float
    ended: float
    text: str
    """The plain text of its last result."""


@dataclass
class _Outputs:
    """A cell's outputs as they come in; a display may be replaced later."""

    outputs: list[Any] = field(default_factory=list)
    displays: dict[str, list[Any]] = field(default_factory=dict)
    clear_next: bool = False

    def add(self, message: dict[str, Any]) -> None:
        kind, content = message["header"]["msg_type"], message["content"]
        if kind == "clear_output":
            self.clear_next = bool(content.get("wait"))
            if not self.clear_next:
                self.outputs.clear()
        elif kind == "update_display_data":
            for shown in self.displays.get(content["transient"]["display_id"], []):
                shown["data"], shown["metadata"] = content["data"], content["metadata"]
        elif kind in {"stream", "display_data", "execute_result", "error"}:
            self._append(nbformat.from_dict(output_from_msg(message)), content)

    def _append(self, output: Any, content: dict[str, Any]) -> None:
        if self.clear_next:
            self.outputs.clear()
            self.clear_next = False
        last = self.outputs[-1] if self.outputs else None
        if last and output["output_type"] == "stream" == last["output_type"] and output["name"] == last["name"]:
            last["text"] += output["text"]
            return
        self.outputs.append(output)
        if display := content.get("transient", {}).get("display_id"):
            self.displays.setdefault(display, []).append(output)


async def run_notebook(
    notebook: Any,
    url: str,
    headers: dict[str, str],
    tell: Callable[[int, int, Ran | None], None],
    timeout: float = CELL_TIMEOUT,
) -> list[Ran]:
    """Run every code cell in turn and fill in its outputs; stops at the first that fails.

    `url` is the address of the kernel's channels; `tell(number, of, ran)` is called when a cell begins (`ran` is
    None) and ends. A cell may take `timeout` seconds. Raises EmberhubError with the cell's own error.
    """
    socket = await websocket_connect(
        HTTPRequest(url.replace("http", "ws", 1), headers=headers, request_timeout=30),
        ping_interval=20,
        max_message_size=_MAX_MESSAGE,
    )
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    done = []
    try:
        for number, cell in enumerate(cells, 1):
            tell(number, len(cells), None)
            ran = await _run_cell(socket, cell, timeout)
            tell(number, len(cells), ran)
            done.append(ran)
    finally:
        socket.close()
    return done


async def _run_cell(socket: WebSocketClientConnection, cell: Cell, timeout: float) -> Ran:
    began = time.monotonic()
    request = uuid.uuid4().hex
    await socket.write_message(json.dumps(_execute(request, cell["source"])))
    seen = _Outputs()
    reply: dict[str, Any] | None = None
    idle = False
    while reply is None or not idle:
        message = await _next(socket, began + timeout, timeout)
        if message.get("parent_header", {}).get("msg_id") != request:
            continue
        kind, content = message["header"]["msg_type"], message["content"]
        if kind == "execute_reply":
            reply = content
        elif kind == "status" and content["execution_state"] == "idle":
            idle = True
        else:
            seen.add(message)
    cell["outputs"], cell["execution_count"] = seen.outputs, reply.get("execution_count")
    if reply["status"] != "ok":
        first = cell["source"].strip().partition("\n")[0]
        raise EmberhubError(f"the cell '{first}' failed: {reply.get('ename')}: {reply.get('evalue')}")
    texts = [output["data"].get("text/plain", "") for output in seen.outputs if "data" in output]
    return Ran(tuple(cell["metadata"].get("tags", ())), began, time.monotonic(), texts[-1] if texts else "")


async def _next(socket: WebSocketClientConnection, until: float, timeout: float) -> dict[str, Any]:
    # Tornado's own timeout would lose the message; the whole command has one, and so has the hub.
    raw = await socket.read_message()
    if raw is None:
        raise EmberhubError("the connection to the kernel broke")
    if time.monotonic() > until:
        raise EmberhubError(f"a cell took longer than {timeout:.0f} s")
    message: dict[str, Any] = json.loads(raw)
    return message


def _execute(request: str, code: str) -> dict[str, Any]:
    header = {"msg_id": request, "msg_type": "execute_request", "session": "demo", "username": "", "version": "5.3"}
    content = {
        "code": code,
        "silent": False,
        "store_history": True,
        "user_expressions": {},
        "allow_stdin": False,
        "stop_on_error": True,
    }
    return {"channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "content": content}
