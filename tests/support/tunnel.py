"""A proxy that only supports CONNECT."""

from __future__ import annotations

import base64
import contextlib
import select
import socket
import ssl

from tests.support.listener import Listener


class Tunnel(Listener):
    """Listens on loopback; `asked` are the heads that it was sent."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, login: str = "", status: int = 200) -> None:
        """
        Listen; connections are answered when the block is entered.

        It speaks TLS with *tls*, requires the *login* NAME:PASSWORD, and answers with *status*.
        """
        super().__init__()
        self._tls = tls
        self._login = base64.b64encode(login.encode())
        self._status = status
        self.asked: list[bytes] = []

    @property
    def url(self) -> str:
        """Return the URL by which it is declared as a proxy."""
        return f"{'https' if self._tls else 'http'}://{self.host}"

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._tls is not None:
                client = self._tls.wrap_socket(client, server_side=True)
            with client:
                self._answer(client)

    def _answer(self, client: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1) or b"\r\n\r\n"
        self.asked.append(head)
        status = self._status if self._login in head else 407
        if status != 200:
            client.sendall(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)
            return
        host, _, port = head.split()[1].decode().rpartition(":")
        with socket.create_connection((host, int(port))) as server:
            client.sendall(b"HTTP/1.0 200 Connection established\r\n\r\n")
            _pump(client, server)


def _pump(client: socket.socket, server: socket.socket) -> None:
    """Pass on what either side says until one is done."""
    while True:
        # Decrypted bytes may wait in the TLS object, where `select` does not see them.
        waiting = isinstance(client, ssl.SSLSocket) and client.pending()
        ready = [client] if waiting else select.select([client, server], [], [])[0]
        for one in ready:
            data = one.recv(1 << 16)
            if not data:
                return
            (server if one is client else client).sendall(data)
