"""Open a connection: TCP, a proxy's tunnel if there is one, TLS."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable

from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.connection import Connection
from imgsync.oci.http.errors import ForbiddenAddressError, HandshakeError, ProxyUnreachableError, UnknownHostError, UnknownProxyError
from imgsync.oci.http.nested_tls import NestedTlsStream
from imgsync.oci.http.proxy import Proxy
from imgsync.oci.http.ssrf_guard import SsrfGuard
from imgsync.oci.http.stream import PlainStream, Stream, TlsStream
from imgsync.oci.http.timed_socket import TimedSocket
from imgsync.oci.http.tls import offer_http2
from imgsync.oci.http.tls_sessions import TlsSessions
from imgsync.oci.http.url import Origin
from imgsync.oci.http.wait_limit import WaitLimit, limit_wait, never_end

# Scheme, host and port of a server -> how to trust it.
FindContext = Callable[[Origin], ssl.SSLContext]

_HTTPS_PORT = 443


class Connector:
    """Opens the connections of one endpoint."""

    def __init__(self, find_context: FindContext, guard: SsrfGuard, proxy: Proxy | None = None) -> None:
        """
        Connect through *guard*, which knows the address of *proxy*.

        *find_context* is called with the origin of a server once TLS is needed.
        """
        self.proxy = proxy
        self._find_context = find_context
        self._guard = guard
        self._sessions = TlsSessions()

    def open(self, origin: Origin, *, connect_seconds: float, timeout_seconds: float, check: Callable[[], None] = never_end) -> Connection:
        """
        Return a new connection to *origin*, for HTTP/1.1.

        Raises:
            httpx.TransportError: As `open_stream`.
        """
        return Connection(TimedSocket(self.open_stream(origin, connect_seconds=connect_seconds, timeout_seconds=timeout_seconds, check=check)))

    def open_stream(
        self, origin: Origin, *, connect_seconds: float, timeout_seconds: float, check: Callable[[], None] = never_end, offers_http2: bool = False
    ) -> Stream:
        """
        Return a new stream to *origin*.

        Args:
            origin: The server.
            connect_seconds: The time for the name server, for each address, and for each TLS handshake.
            timeout_seconds: The time for the tunnel of a proxy.
            check: Called while waiting; an error that it raises ends the wait.
            offers_http2: Whether the server may choose HTTP/2. The stream is then a `NestedTlsStream`, whose `protocol` shows the choice.

        Raises:
            httpx.TransportError: The server or the proxy did not answer in time, refuses, or is not trusted.
        """
        stream: Stream = PlainStream(self._connect(origin, connect_seconds, check))
        try:
            if self.proxy is not None and self.proxy.origin[0] == "https":
                stream = self._encrypt_to_proxy(self.proxy, stream, limit_wait(connect_seconds, check))
            if self.proxy is not None and origin[0] == "https":
                stream = self.proxy.open_tunnel(stream, origin, limit_wait(timeout_seconds, check))
            if origin[0] == "https":
                stream = self._encrypt(stream, origin, limit_wait(connect_seconds, check), offers_http2=offers_http2)
        except BaseException:
            stream.close()
            raise
        return stream

    def _connect(self, origin: Origin, seconds: float, check: Callable[[], None]) -> socket.socket:
        try:
            return self._guard.connect(*origin[1:], seconds, check=check)
        except ForbiddenAddressError:
            raise
        except httpx.TransportError as error:
            if self.proxy is None:
                raise
            kind = UnknownProxyError if isinstance(error, UnknownHostError) else ProxyUnreachableError
            raise kind(f"{self.proxy.name}: {error}") from error

    def _encrypt_to_proxy(self, proxy: Proxy, stream: Stream, limit: WaitLimit) -> Stream:
        try:
            return self._encrypt(stream, proxy.origin, limit)
        except HandshakeError as error:
            # It begins with the name.
            raise ProxyUnreachableError(str(error)) from error
        except httpx.TransportError as error:
            raise ProxyUnreachableError(f"{proxy.name}: {error}") from error

    def _encrypt(self, stream: Stream, origin: Origin, limit: WaitLimit, *, offers_http2: bool = False) -> Stream:
        _, host, port = origin
        context = self._find_context(origin)
        offer_http2(context, offers=offers_http2)
        encrypted: TlsStream | NestedTlsStream
        session = self._sessions.find(context, origin)
        try:
            if isinstance(stream, PlainStream) and not offers_http2:
                encrypted = TlsStream(stream.socket, context, host, session)
            else:
                encrypted = NestedTlsStream(stream, context, host, session)
            try:
                encrypted.shake_hands(limit)
            except BaseException:
                encrypted.close()
                raise
        except TimeoutError as error:
            raise httpx.ConnectTimeout("the TLS handshake timed out") from error
        except (OSError, ValueError) as error:
            shown = f"[{host}]" if ":" in host else host
            reason = error.strerror if isinstance(error, ConnectionError) else str(error)
            raise HandshakeError(f"{shown}:{port}: {reason}", shown if port == _HTTPS_PORT else f"{shown}:{port}") from error
        self._sessions.keep(context, origin, encrypted)
        return encrypted
