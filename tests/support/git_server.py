"""Serves git repositories by https, with git's own http-backend."""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import ssl
import subprocess
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import trustme

from tests.support.listener import Listener


@dataclass(slots=True)
class GitServer:
    """Serves the repositories below `folder`; `requests` are their paths and logins."""

    folder: Path
    authority: trustme.CA
    login: str = ""
    redirect: str = ""
    requests: list[tuple[str, str]] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None

    @property
    def host(self) -> str:
        assert self._server is not None
        return f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _make_handler(self))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("127.0.0.1").configure_cert(context)
        self._server.context = context
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def run_backend(self, handler: BaseHTTPRequestHandler) -> bytes:
        """Return what git's CGI program answers."""
        path, _, query = handler.path.partition("?")
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_PROJECT_ROOT": str(self.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": handler.headers.get("Git-Protocol") or "",
            "REQUEST_METHOD": handler.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": handler.headers.get("Content-Type") or "",
            "HTTP_CONTENT_ENCODING": handler.headers.get("Content-Encoding") or "",
            "REMOTE_ADDR": "127.0.0.1",
        }
        return subprocess.run(["git", "http-backend"], env=environment, input=body, capture_output=True, check=True, timeout=60).stdout


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    context: ssl.SSLContext

    def finish_request(self, request: Any, client_address: Any) -> None:
        request.settimeout(60)
        try:
            wrapped = self.context.wrap_socket(request, server_side=True)
        except OSError:
            return
        super().finish_request(wrapped, client_address)
        # git's library takes an end without a farewell for an attack.
        with contextlib.suppress(OSError, ValueError):
            wrapped.unwrap()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients are cut off on purpose."""


def _make_handler(server: GitServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            given = self.headers.get("Authorization") or ""
            server.requests.append((self.path, base64.b64decode(given.removeprefix("Basic ")).decode()))
            if server.redirect:
                self._refuse(301, "Location", f"{server.redirect}{self.path}")
            elif server.login and given != f"Basic {base64.b64encode(server.login.encode()).decode()}":
                self._refuse(401, "WWW-Authenticate", 'Basic realm="git"')
            else:
                head, _, body = server.run_backend(self).partition(b"\r\n\r\n")
                headers = [line.decode().split(": ", 1) for line in head.split(b"\r\n")]
                status = next((int(value.split()[0]) for name, value in headers if name == "Status"), 200)
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        do_GET = do_POST = _answer

        def _refuse(self, status: int, name: str, value: str) -> None:
            self.send_response(status)
            self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


class Silent(Listener):
    """Accepts connections, and says the beginning of something."""

    def __init__(self, said: bytes = b"") -> None:
        super().__init__()
        self._said = said
        self.taken = False
        self.ends = threading.Event()

    def _serve(self, sock: socket.socket) -> None:
        self.taken = True
        with sock:
            if self._said:
                sock.recv(1 << 16)
                sock.sendall(self._said)
            self.ends.wait(60)
