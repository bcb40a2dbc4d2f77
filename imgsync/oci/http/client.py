"""
A lane to one registry: kept sockets under httpx's answers and errors, heads parsed by llhttp (httptools).

It does what a mirror needs of HTTP/1.1 and no more: one request at a time, bodies of a known length, one connection to the registry and one to
where it keeps its blobs. Nothing here decodes, follows, authorises or tries again what a server may have seen.
docs/decisions/0005 says what that saves, measured.
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

_MOST_OPEN = 2


class HttpClient:
    """Sends one request at a time; keeps its last two connections open. Errors are httpx's own."""

    def __init__(self, context: Callable[[], ssl.SSLContext], guard: SsrfGuard) -> None:
        """Dial through *guard*, and speak TLS to https with what *context* gives."""
        self._context = context
        self._guard = guard
        self._connections: dict[Origin, Connection] = {}

    def send(self, request: Request) -> httpx.Response:
        """
        Send *request* and return the answer with its body unread.

        Raises:
            httpx.TransportError: Nobody answered in time, or not in HTTP.
        """
        origin = request.origin
        if request.body is not None and not isinstance(request.body, bytes) and not request.expect_continue:
            # Before a connection is chosen: until the first byte comes, one that lies idle may be closed.
            request = replace(request, body=PrefetchedBody(request.body))
        kept = self._connections.pop(origin, None)
        if kept is not None and not kept.is_usable:
            kept.close()
            kept = None
        connection = kept or self._connected(origin, request.connect_timeout_seconds)
        try:
            try:
                answer = connection.exchange(request)
            except (httpx.NetworkError, httpx.RemoteProtocolError):
                if kept is None or connection.response_started or (connection.body_started and not request.is_replayable):
                    raise
                # It was closed while it lay idle: the server has not seen this request, so it goes out again on a new one.
                connection.close()
                connection = self._connected(origin, request.connect_timeout_seconds)
                answer = connection.exchange(request)
        except BaseException:
            connection.close()
            raise
        self._keep(origin, connection)
        return answer

    def connect(self, origin: Origin, seconds: float) -> None:
        """
        Open the connection to *origin* before it is needed; in so many *seconds*, or not.

        Raises:
            httpx.TransportError: It does not answer.
        """
        if origin not in self._connections:
            self._keep(origin, self._connected(origin, seconds))

    def close(self) -> None:
        """Close both connections."""
        while self._connections:
            self._connections.popitem()[1].close()

    def _keep(self, origin: Origin, connection: Connection) -> None:
        self._connections[origin] = connection
        while len(self._connections) > _MOST_OPEN:
            self._connections.pop(next(iter(self._connections))).close()

    def _connected(self, origin: Origin, seconds: float) -> Connection:
        scheme, host, port = origin
        dialled = self._guard.dial(host, port, seconds)
        try:
            dialled.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if scheme == "https":
                dialled = self._context().wrap_socket(dialled, server_hostname=host)
        except TimeoutError as error:
            dialled.close()
            raise httpx.ConnectTimeout("the TLS handshake takes too long") from error
        except (OSError, ValueError) as error:
            dialled.close()
            raise httpx.ConnectError(str(error)) from error
        return Connection(dialled)
