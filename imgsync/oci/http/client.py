"""
Send HTTP requests over kept connections.

Large bodies and plain http use HTTP/1.1; all else uses shared HTTP/2 connections where the server chooses that.
It sends one request at a time, with bodies of known length. It does not decompress, redirect, authenticate, or repeat what a server may have seen.
docs/decisions/0005 has the measurements.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.connection import Connection
from imgsync.oci.http.connector import Connector
from imgsync.oci.http.request import PrefetchedBody, Request
from imgsync.oci.http.shared_connections import SharedConnections
from imgsync.oci.http.stream import Stream
from imgsync.oci.http.timed_socket import TimedSocket
from imgsync.oci.http.url import Origin

_CONNECTION_LIMIT = 2


class HttpClient:
    """
    An HTTP client that keeps its last two connections.

    It sends one request at a time.
    """

    def __init__(self, connector: Connector, shared: SharedConnections | None = None) -> None:
        """
        Connect by *connector*.

        *shared* has the HTTP/2 connections of all clients; without it, only HTTP/1.1 is used.
        """
        self._connector = connector
        self._proxy = connector.proxy
        self._shared = shared
        self._connections: dict[Origin, Connection] = {}

    def send(self, request: Request) -> httpx.Response:
        """
        Send *request* and return the response, its body unread.

        Raises:
            httpx.TransportError: The server did not answer in time, or not in HTTP.
        """
        request = _prefetch_body(request)
        if self._proxy is not None and request.origin[0] == "http":
            return self._proxy.check_response(self._send(self._proxy.make_absolute(request)))
        response = None if self._shared is None else self._shared.send(request, partial(self._keep_stream, request.origin))
        return self._send(request) if response is None else response

    def connect(self, origin: Origin, timeout_seconds: float) -> bool:
        """
        Open the connection to *origin* early; return False if there is one.

        Raises:
            httpx.TransportError: It does not answer.
        """
        has_one = origin in self._connections
        is_new = None if self._shared is None else self._shared.connect(origin, timeout_seconds, partial(self._keep_stream, origin))
        if is_new is not None:
            return is_new
        if origin not in self._connections:
            self._keep(origin, self._connector.open(origin, connect_seconds=timeout_seconds, timeout_seconds=timeout_seconds))
        return not has_one

    def close(self) -> None:
        """Close all connections."""
        while self._connections:
            self._connections.popitem()[1].close()

    def _send(self, request: Request) -> httpx.Response:
        kept = self._take_kept(request.origin)
        response = self._try_kept(kept, request) if kept is not None else None
        if response is None:
            response = self._exchange(self._open(request), request)
        return response

    def _open(self, request: Request) -> Connection:
        return self._connector.open(
            request.origin, connect_seconds=request.connect_timeout_seconds, timeout_seconds=request.timeout_seconds, check=request.check
        )

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

    def _keep_stream(self, origin: Origin, stream: Stream) -> None:
        self._keep(origin, Connection(TimedSocket(stream)))

    def _keep(self, origin: Origin, connection: Connection) -> None:
        self._connections[origin] = connection
        while len(self._connections) > _CONNECTION_LIMIT:
            self._connections.pop(next(iter(self._connections))).close()


def _prefetch_body(request: Request) -> Request:
    """Read the first piece of a streamed body."""
    # Before a connection is chosen: the server may close an idle one meanwhile.
    if request.body is None or isinstance(request.body, bytes) or request.expect_continue:
        return request
    return replace(request, body=PrefetchedBody(request.body))
