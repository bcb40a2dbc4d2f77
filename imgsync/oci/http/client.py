"""
Send HTTP/1.1 requests over kept connections.

It sends one request at a time, with bodies of known length. It does not decompress, redirect, authenticate, or repeat what a server may have seen.
docs/decisions/0005 has the measurements.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from dataclasses import replace

from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.connection import Connection
from imgsync.oci.http.request import PrefetchedBody, Request
from imgsync.oci.http.ssrf_guard import SsrfGuard
from imgsync.oci.http.url import Origin

_CONNECTION_LIMIT = 2


class HttpClient:
    """
    An HTTP client that keeps its last two connections.

    It sends one request at a time.
    """

    def __init__(self, make_context: Callable[[], ssl.SSLContext], guard: SsrfGuard) -> None:
        """Connect through *guard*; call *make_context* once TLS is needed."""
        self._make_context = make_context
        self._guard = guard
        self._connections: dict[Origin, Connection] = {}

    def send(self, request: Request) -> httpx.Response:
        """
        Send *request* and return the response, its body unread.

        Raises:
            httpx.TransportError: The server did not answer in time, or not in HTTP.
        """
        request = _prefetch_body(request)
        kept = self._take_kept(request.origin)
        response = self._try_kept(kept, request) if kept is not None else None
        if response is None:
            response = self._exchange(self._open(request.origin, request.connect_timeout_seconds), request)
        return response

    def connect(self, origin: Origin, timeout_seconds: float) -> None:
        """
        Open the connection to *origin* before it is needed.

        Raises:
            httpx.TransportError: It does not answer.
        """
        if origin not in self._connections:
            self._keep(origin, self._open(origin, timeout_seconds))

    def close(self) -> None:
        """Close all connections."""
        while self._connections:
            self._connections.popitem()[1].close()

    def _take_kept(self, origin: Origin) -> Connection | None:
        kept = self._connections.pop(origin, None)
        if kept is None or kept.is_usable:
            return kept
        kept.close()
        return None

    def _try_kept(self, kept: Connection, request: Request) -> httpx.Response | None:
        """Send on a kept connection; return None if it was closed."""
        try:
            return self._exchange(kept, request)
        except (httpx.NetworkError, httpx.RemoteProtocolError):
            if kept.response_started or (kept.body_started and not request.is_replayable):
                raise
            # The server closed it while it was idle and has not seen the request, so send it again.
            return None

    def _exchange(self, connection: Connection, request: Request) -> httpx.Response:
        try:
            response = connection.exchange(request)
        except BaseException:
            connection.close()
            raise
        self._keep(request.origin, connection)
        return response

    def _keep(self, origin: Origin, connection: Connection) -> None:
        self._connections[origin] = connection
        while len(self._connections) > _CONNECTION_LIMIT:
            self._connections.pop(next(iter(self._connections))).close()

    def _open(self, origin: Origin, timeout_seconds: float) -> Connection:
        scheme, host, port = origin
        connected = self._guard.connect(host, port, timeout_seconds)
        try:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if scheme == "https":
                connected = self._make_context().wrap_socket(connected, server_hostname=host)
        except TimeoutError as error:
            connected.close()
            raise httpx.ConnectTimeout("the TLS handshake timed out") from error
        except (OSError, ValueError) as error:
            connected.close()
            raise httpx.ConnectError(str(error)) from error
        return Connection(connected)


def _prefetch_body(request: Request) -> Request:
    """Read the first piece of a streamed body."""
    # Before a connection is chosen: the server may close an idle one meanwhile.
    if request.body is None or isinstance(request.body, bytes) or request.expect_continue:
        return request
    return replace(request, body=PrefetchedBody(request.body))
