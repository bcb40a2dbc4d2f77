"""Errors that httpx has no class for."""

from __future__ import annotations

from imgsync.oci.http._httpx import httpx


class ForbiddenAddressError(httpx.ConnectError):
    """A host resolves to an address that the SSRF guard forbids."""


class ProxyRefusedError(httpx.ProxyError):
    """The proxy forbids the connection, or requires another login."""


class ProxyUnreachableError(httpx.ProxyError):
    """The proxy, or the server behind it, does not answer."""


class HeadTooLargeError(httpx.RemoteProtocolError):
    """The response head, a trailer or the chunk framing is too large."""


class StalledError(httpx.ReadTimeout):
    """The peer transfers some bytes, but too slowly."""
