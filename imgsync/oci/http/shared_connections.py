"""
Share HTTP/2 connections between the callers of one endpoint.

A server that does not choose HTTP/2 is noted, and gets HTTP/1.1 connections from then on, each for one caller.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import field, replace
from typing import TYPE_CHECKING

from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.connector import Connector
from imgsync.oci.http.errors import FullError, Http2UnusableError, UnprocessedError
from imgsync.oci.http.nested_tls import NestedTlsStream
from imgsync.oci.http.request import Request
from imgsync.oci.http.stream import Stream
from imgsync.oci.http.url import Origin
from imgsync.oci.http.wait_limit import await_event, never_end
from imgsync.system.dataclass import dataclass

if TYPE_CHECKING:
    from imgsync.oci.http.http2.link import Link

_PROTOCOL = "h2"
# Beyond this many requests, another connection is opened, since a line limits each one.
_BUSY_STREAMS = 32
_LINK_LIMIT = 2
# Until a server states its limit.
_FIRST_STREAMS = 100
_SERVER_LIMIT = 64
_ATTEMPTS = 3


@dataclass(slots=True, eq=False)
class _Opening:
    """A connection that is being opened."""

    has_failed: bool = True
    done: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True, eq=False)
class _Server:
    """
    What is known about one server.

    Attributes:
        links: Its open connections.
        opening: The connection that is being opened, if any.
        stream_limit: How many requests at once it took on its last connection.
        may_grow: Whether another connection may be opened beside one that is busy.
        has_http2: Whether it chose HTTP/2; None before the first answer.
    """

    links: list[Link] = field(default_factory=list)
    opening: _Opening | None = None
    stream_limit: int = _FIRST_STREAMS
    may_grow: bool = True
    has_http2: bool | None = None


class SharedConnections:
    """The HTTP/2 connections of one endpoint, for all of its clients."""

    def __init__(
        self,
        connector: Connector,
        on_unusable: Callable[[Origin, str], object] = lambda *_: None,
        on_protocol: Callable[[Origin, str], object] = lambda *_: None,
    ) -> None:
        """
        Connect by *connector*.

        *on_unusable* receives why a server gets HTTP/1.1 instead, *on_protocol* what each server chose first.
        """
        self._connector = connector
        self._on_unusable = on_unusable
        self._on_protocol = on_protocol
        self._servers: dict[Origin, _Server] = {}
        self._lock = threading.Lock()

    def connect(self, origin: Origin, timeout_seconds: float, keep: Callable[[Stream], object]) -> bool | None:
        """
        Connect to *origin* unless connected; return whether it is new.

        Return None to use HTTP/1.1; *keep* receives a stream that was opened, if the server chose that.

        Raises:
            httpx.TransportError: The server does not answer.
        """
        if origin[0] != "https":
            return None
        found = self._find(Request("GET", origin, "", "", (), timeout_seconds=timeout_seconds, connect_timeout_seconds=timeout_seconds), keep)
        return None if found is None else found[1]

    def send(self, request: Request, keep: Callable[[Stream], object]) -> httpx.Response | None:
        """
        Send *request*; return the response, or None to use HTTP/1.1.

        *keep* receives a stream that was opened for it, if the server chose HTTP/1.1.

        Raises:
            httpx.TransportError: The server did not answer in time, or not in HTTP.
        """
        # What a shared connection has queued is sent later, by another thread, so it cannot be held back at the last moment.
        if request.origin[0] != "https" or request.is_large or request.expect_continue or request.before_send is not None:
            return None
        attempts, was_lost = 0, False
        while attempts < _ATTEMPTS and (found := self._find(request, keep)) is not None:
            link, is_new = found
            try:
                return _exchange(link, request)
            except FullError:
                continue
            except UnprocessedError:
                attempts += 1
                if not request.is_replayable:
                    raise
            except _LostError as lost:
                # As on a kept connection of HTTP/1.1, which the server may have closed while it was idle.
                is_final = (is_new or was_lost) and not isinstance(lost.error, Http2UnusableError)
                if is_final or not request.is_replayable:
                    raise lost.error from lost
                attempts += 1
                was_lost = True
        return None

    def close(self) -> None:
        """Close all connections."""
        for server in self._servers.values():
            for link in server.links:
                link.close()
        self._servers.clear()

    def _find(self, request: Request, keep: Callable[[Stream], object]) -> tuple[Link, bool] | None:
        """Return a connection and whether it is new; None means HTTP/1.1."""
        while True:
            with self._lock:
                server = self._servers.get(request.origin) or self._servers.setdefault(request.origin, _Server())
                if self._has_no_http2(request.origin, server):
                    return None
                link = min((one for one in server.links if one.free_streams > 0), key=lambda one: one.active_streams, default=None)
                is_busy = link is None or (link.active_streams >= _BUSY_STREAMS and len(server.links) < _LINK_LIMIT and server.may_grow)
                opening = server.opening
                if opening is None and is_busy:
                    server.opening = _Opening()
            if link is not None:
                if opening is None and is_busy:
                    self._open_beside(server, request)
                return link, False
            if opening is None:
                opened = self._open(server, request, keep)
                return None if opened is None else (opened, True)
            if not _wait(opening, request):
                # Each caller gets its own error, from a connection of its own.
                return None

    def _has_no_http2(self, origin: Origin, server: _Server) -> bool:
        """Return whether HTTP/1.1 must be used; drop closed connections."""
        for link in server.links:
            server.stream_limit = link.stream_limit
            unusable = link.unusable or ("" if link.stream_limit else "the server takes no requests")
            if unusable and server.has_http2:
                server.has_http2 = False
                self._on_unusable(origin, unusable)
        server.links = [link for link in server.links if link.is_open]
        if server.has_http2 is False:
            for link in server.links:
                link.retire()
        return server.has_http2 is False

    def _open(self, server: _Server, request: Request, keep: Callable[[Stream], object]) -> Link | None:
        opening = server.opening or _Opening()
        try:
            stream = self._connector.open_stream(
                request.origin,
                connect_seconds=request.connect_timeout_seconds,
                timeout_seconds=request.timeout_seconds,
                check=request.check,
                offers_http2=True,
            )
            opening.has_failed = False
            if not isinstance(stream, NestedTlsStream) or stream.protocol != _PROTOCOL:
                self._note_protocol(request.origin, server, has_http2=False)
                keep(stream)
                return None
            # Imported now: only servers with HTTP/2 need it.
            from imgsync.oci.http.http2.link import open_link

            link = open_link(stream, stream_limit=server.stream_limit)
            self._note_protocol(request.origin, server, has_http2=True)
            with self._lock:
                server.links.append(link)
                self._close_idle()
            return link
        finally:
            server.opening = None
            opening.done.set()

    def _note_protocol(self, origin: Origin, server: _Server, *, has_http2: bool) -> None:
        is_first, server.has_http2 = server.has_http2 is None, has_http2
        if is_first:
            self._on_protocol(origin, "HTTP/2" if has_http2 else "HTTP/1.1")

    def _open_beside(self, server: _Server, request: Request) -> None:
        """Open another connection in the background."""

        def run() -> None:
            try:
                self._open(server, replace(request, check=never_end), Stream.close)
            except httpx.TransportError:
                # One is enough, and a server that refuses another must not be asked all the time.
                server.may_grow = False

        threading.Thread(target=run, daemon=True).start()

    def _close_idle(self) -> None:
        """Close the oldest idle connections, if they are of many servers."""
        # A registry may redirect to any number of hosts.
        idle = [origin for origin, server in self._servers.items() if not server.opening and not any(link.active_streams for link in server.links)]
        for origin in idle[: max(0, len(self._servers) - _SERVER_LIMIT)]:
            for link in self._servers.pop(origin).links:
                link.close()


class _LostError(Exception):
    """A connection was lost before any of the response came."""

    def __init__(self, error: httpx.TransportError) -> None:
        super().__init__(str(error))
        self.error = error


def _exchange(link: Link, request: Request) -> httpx.Response:
    """
    Send *request* on *link*.

    Raises:
        _LostError: The connection was lost before any of the response came.
    """
    # Imported with the link.
    from imgsync.oci.http.http2.shared_exchange import SharedExchange

    exchange = SharedExchange(link, request)
    try:
        return exchange.finish()
    except UnprocessedError:
        raise
    except (httpx.NetworkError, httpx.RemoteProtocolError) as error:
        if exchange.response_started:
            raise
        raise _LostError(error) from error


def _wait(opening: _Opening, request: Request) -> bool:
    """Wait for another caller's connection; return whether it opened."""
    await_event(opening.done, request.check)
    return not opening.has_failed
