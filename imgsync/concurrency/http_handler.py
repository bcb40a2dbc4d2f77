"""One connection of the HTTP server, each step with a deadline."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable
from typing import Any

from gevent.pywsgi import Input, WSGIHandler

from imgsync.concurrency.http_connections import Connections
from imgsync.concurrency.http_request import RefusedRequestError, check_framing, check_request_line, read_body, read_head
from imgsync.system.dataclass import dataclass

_CHUNK_BYTES = 64 << 10
_GONE = (errno.EPIPE, errno.ECONNRESET, errno.EBADF, errno.ENOTCONN, errno.ESHUTDOWN, errno.ECONNABORTED, errno.ETIMEDOUT)


@dataclass(frozen=True, slots=True)
class Limits:
    """
    What one connection may take.

    Attributes:
        head_seconds: For the whole head of a request, from its first byte, or from the start of the connection.
        body_seconds: For the whole body.
        write_seconds: For each 64 KiB of an answer.
        idle_seconds: Between two requests.
        requests: How many requests, one after the other.
    """

    head_seconds: float = 10.0
    body_seconds: float = 20.0
    write_seconds: float = 20.0
    idle_seconds: float = 30.0
    requests: int = 200


class Handler(WSGIHandler):  # type: ignore[misc]  # gevent has no types
    """
    Serves the requests of one connection.

    The body is read before the application runs, so the application never waits for a client. Each wait has a deadline, which
    `Connections` watches.
    """

    ignored_socket_errors = _GONE
    connections: Connections
    limits: Limits
    is_closing: Callable[[], bool]
    on_error: Callable[[BaseException], None]

    def handle(self) -> None:
        """Serve requests until the connection ends."""
        self._connection = self.connections.open(self.socket)
        self._served = 0
        self._body = b""
        try:
            super().handle()
        except OSError:
            pass  # The client has gone, or was dropped.
        finally:
            self.connections.end(self._connection)

    def read_requestline(self) -> str:
        """Return the next request line, "" if there is none."""
        if self._served:
            self.connections.wait(self._connection, self.limits.idle_seconds, idle=True)
            if self.is_closing() or not self.rfile.peek(1):
                return ""
        self.connections.wait(self._connection, self.limits.head_seconds, idle=not self._served)
        line: str = super().read_requestline()
        # An empty line before a request is allowed: RFC 9112, 2.2.
        return super().read_requestline() if line == "\r\n" else line

    def read_request(self, raw_requestline: str) -> bool:
        """
        Read the rest of the request, its body too.

        Raises:
            RefusedRequestError: It is not a valid request, or too large.
            OSError: The client is gone, or was too slow.
        """
        self._body = b""
        check_request_line(raw_requestline)
        # Fields were read strictly by `MessageClass`; what is above it only looks at them.
        super().read_request(raw_requestline)
        framing = check_framing(self.command, self.request_version, self._fields)
        if framing.length != 0:
            self.connections.wait(self._connection, self.limits.body_seconds)
            if self.headers.get("expect", "").lower() == "100-continue":
                self.socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._body = read_body(self.rfile, framing, lambda size: self.connections.hold(self._connection, size))
        self._served += 1
        if self._served >= self.limits.requests or self.is_closing():
            self.close_connection = True
        self.connections.work(self._connection)
        return True

    def MessageClass(self, *_: object) -> Any:  # noqa: N802  # named by gevent
        """Return the header fields of the request."""
        self._fields = read_head(self.rfile)
        text = "".join(f"{name}: {value}\r\n" for name, value in self._fields if name not in {"content-length", "transfer-encoding"})
        return super().MessageClass(io.BytesIO(f"{text}\r\n".encode("latin-1")), 0)

    def get_environ(self) -> dict[str, Any]:
        """Return the environment of the request, with the body read."""
        environ: dict[str, Any] = super().get_environ()
        environ["CONTENT_LENGTH"] = str(len(self._body))
        self.wsgi_input = Input(io.BytesIO(self._body), len(self._body))
        environ["wsgi.input"] = self.wsgi_input
        environ["wsgi.input_terminated"] = True
        self._body = b""
        return environ

    def handle_one_response(self) -> None:
        """Run the application, and send its answer."""
        try:
            super().handle_one_response()
        finally:
            self.connections.release(self._connection)

    def finalize_headers(self) -> None:
        """Add the last header fields."""
        super().finalize_headers()
        if self.command == "HEAD":
            # Not even the last chunk: a client, or a proxy, would take it for the next answer.
            self.response_use_chunked = False
        if self.close_connection and all(name.lower() != b"connection" for name, _ in self.response_headers):
            self.response_headers.append((b"Connection", b"close"))

    def handle_error(self, _type: object, error: BaseException, _traceback: object) -> None:
        """Report an error of the application, and answer 500."""
        self.on_error(error)
        self.close_connection = True
        self._send_error_response_if_possible(500)

    def log_request(self) -> None:
        """Log nothing: what a client asks for is its own."""

    def log_error(self, msg: str, *args: object) -> None:
        """Log nothing: an invalid request is the client's error."""

    def _connection_upgrade_requested(self) -> bool:
        return False

    def _handle_client_error(self, ex: Exception) -> tuple[str, bytes] | None:
        if isinstance(ex, OSError):
            return None
        status = ex.status if isinstance(ex, RefusedRequestError) else "400 Bad Request"
        self.connections.wait(self._connection, self.limits.write_seconds)
        return status, f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()

    def _sendall(self, data: bytes | bytearray) -> None:
        self.connections.hold(self._connection, len(data))
        rest = memoryview(data)
        while rest:
            self.connections.wait(self._connection, self.limits.write_seconds)
            self.socket.sendall(rest[:_CHUNK_BYTES])
            rest = rest[_CHUNK_BYTES:]
        self.connections.release(self._connection)
        self.connections.work(self._connection)
        self.response_length += len(data)
