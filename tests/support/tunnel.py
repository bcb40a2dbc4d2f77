"""A proxy that only supports CONNECT."""

from __future__ import annotations

import contextlib
import socket
import threading

from tests.support.listener import Listener


class Tunnel(Listener):
    """Listens on loopback; `asked` are the heads that it was sent."""

    def __init__(self) -> None:
        """Listen; connections are answered when the block is entered."""
        super().__init__()
        self.asked: list[bytes] = []

    @property
    def url(self) -> str:
        """Return the URL by which it is declared as a proxy."""
        return f"http://{self.host}"

    def _serve(self, client: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        self.asked.append(head)
        host, _, port = head.split()[1].decode().rpartition(":")
        server = socket.create_connection((host, int(port)))
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threading.Thread(target=_pump, args=(server, client), daemon=True).start()
        _pump(client, server)


def _pump(one: socket.socket, other: socket.socket) -> None:
    """Pass on what *one* says until it is done, then close both."""
    with contextlib.suppress(OSError), one, other:
        while data := one.recv(1 << 16):
            other.sendall(data)
