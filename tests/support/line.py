"""A network between a driver and the service that can be cut: nothing is refused, and nothing arrives."""

from __future__ import annotations

import contextlib
import socket
import threading


class Line:
    """Carries TCP connections from a port of its own to another. While it is cut, bytes wait, as on a real network."""

    def __init__(self, to: int, host: str = "127.0.0.1") -> None:
        self._to = (host, to)
        self._open = threading.Event()
        self._open.set()
        self._listener = socket.create_server((host, 0))
        self.port: int = self._listener.getsockname()[1]
        self._ends: set[socket.socket] = set()
        self._threads = [self._begin(self._accept)]

    def cut(self) -> None:
        self._open.clear()

    def heal(self) -> None:
        self._open.set()

    def close(self) -> None:
        self.heal()
        _shut(self._listener)
        for end in list(self._ends):
            _shut(end)
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    @staticmethod
    def _begin(work: object, *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        thread.start()
        return thread

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self._threads.append(self._begin(self._carry, near))

    def _carry(self, near: socket.socket) -> None:
        with near, contextlib.suppress(OSError):
            self._open.wait()
            with socket.create_connection(self._to, timeout=10) as far:
                far.settimeout(None)
                self._ends |= {near, far}
                back = self._begin(self._pump, far, near)
                self._pump(near, far)
                back.join()
                self._ends -= {near, far}

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                self._open.wait()
                sink.sendall(data)
        self._open.wait()
        _shut(source)
        _shut(sink)


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
