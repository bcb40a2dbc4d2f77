"""A CI service on loopback: records requests, gives prepared answers."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: method, path with query, lower-case headers, body."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class CiService:
    """
    A service at `url` that records requests in `asked`.

    `answers` (status, headers, body) are given in turn, the last one forever. None drops the connection.
    """

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str], bytes] | None] = field(default_factory=lambda: [(204, {}, b"")])

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Answer everything so from now on."""
        self.answers = [(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)]

    @contextmanager
    def running(self, certificate: Path | None = None) -> Iterator[CiService]:
        """Serve until the block ends; with *certificate* (a PEM file) over TLS."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        server.daemon_threads = True
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            # TLS handshakes happen in the request's thread, where a lost client disturbs no other.
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"{'http' if certificate is None else 'https'}://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def _handler(service: CiService) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def handle(self) -> None:
            try:
                super().handle()
            except (ssl.SSLError, ConnectionError):
                self.close_connection = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            service.asked.append(Asked(self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            answer = service.answers.pop(0) if len(service.answers) > 1 else service.answers[0]
            if answer is None:
                # At once, as a service that falls over does.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                return
            status, headers, text = answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def do_CONNECT(self) -> None:
            service.asked.append(Asked(self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, b""))
            self.send_error(407)

        def log_message(self, *args: object) -> None:
            pass

    return Handler
