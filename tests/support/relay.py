"""A TCP relay that can fall silent, as a lost line or a frozen peer does."""

from __future__ import annotations

import contextlib
import socket
import threading

from tests.support.listener import Listener


class Relay(Listener):
    """Passes on bytes to HOST and PORT, and keeps them back while it is silent."""

    def __init__(self, host: str, port: int) -> None:
        """Listen; connections are passed on when the block is entered."""
        super().__init__()
        self._peer = (host, port)
        self._flows = threading.Event()
        self._flows.set()
        self.accepted = 0
        self._open: set[socket.socket] = set()

    def fall_silent(self) -> None:
        """Pass on nothing more; connections stay open, and new ones are accepted."""
        self._flows.clear()

    def speak(self) -> None:
        """Pass on what was kept back, and all that follows."""
        self._flows.set()

    def cut(self) -> None:
        """Close every connection; new ones are accepted."""
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def __exit__(self, *error: object) -> None:
        """Stop; what is kept back is let go."""
        self.speak()
        super().__exit__(*error)

    def _serve(self, sock: socket.socket) -> None:
        self.accepted += 1
        with sock, contextlib.suppress(OSError), socket.create_connection(self._peer) as peer:
            self._open |= {sock, peer}
            back = threading.Thread(target=self._pump, args=(peer, sock), daemon=True)
            back.start()
            self._pump(sock, peer)
            back.join()
            self._open -= {sock, peer}

    def _pump(self, read: socket.socket, write: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := read.recv(1 << 16):
                self._flows.wait()
                write.sendall(data)
        for one in (read, write):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
