"""Errors that httpx has no class for."""

from __future__ import annotations

from imgsync.oci.http._httpx import httpx


class UnknownHostError(httpx.ConnectError):
    """The name server says that a host does not exist."""


class UnknownProxyError(httpx.ProxyError):
    """The name server says that the proxy's host does not exist."""


class RefusedError(httpx.ConnectError):
    """Nothing listens at the port of a host."""


class HandshakeError(httpx.ConnectError):
    """
    No TLS connection.

    `place` is the host, with its port if that is unusual.
    """

    def __init__(self, message: str, place: str) -> None:
        super().__init__(message)
        self.place = place


class ForbiddenAddressError(httpx.ConnectError):
    """A host resolves to an address that the SSRF guard forbids."""


class ProxyRefusedError(httpx.ProxyError):
    """The proxy forbids the connection, or requires another login."""


class ProxyUnreachableError(httpx.ProxyError):
    """The proxy, or the server behind it, does not answer."""


class HeadTooLargeError(httpx.RemoteProtocolError):
    """The response head, a trailer or the chunk framing is too large."""


class UnprocessedError(httpx.RemoteProtocolError):
    """The server did not process the request; it may be sent again."""


class FullError(UnprocessedError):
    """The connection takes no more requests; nothing was sent."""


class Http2UnusableError(httpx.RemoteProtocolError):
    """HTTP/2 does not work with the server; HTTP/1.1 may."""


class StalledError(httpx.ReadTimeout):
    """The peer transfers some bytes, but too slowly."""
