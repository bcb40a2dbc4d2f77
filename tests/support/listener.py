"""Base of all test servers: a loopback socket, a thread per connection."""

from __future__ import annotations

import abc
import contextlib
import socket
import threading
from typing import Self


class Listener(abc.ABC):
    """Listens from the start and answers within its block; prints as HOST:PORT."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        """Take a free port of *address*."""
        self._listener = socket.create_server((address, 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self.host = f"{address}:{self.port}"

    def __str__(self) -> str:
        """Return the host, so that f"{server}/name:tag" is a reference."""
        return self.host

    def __enter__(self) -> Self:
        """Begin to answer."""
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop answering."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    @abc.abstractmethod
    def _serve(self, sock: socket.socket) -> None:
        """Answer the client at *sock* in a thread of its own."""
