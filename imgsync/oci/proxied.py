"""A lane through a proxy: httpx's own transport, which knows CONNECT and proxies' logins. The proxy dials, and guards."""

from __future__ import annotations

import ssl

import h11

from imgsync.oci.foreign import httpx


class ProxiedLane(httpx.BaseTransport):
    """Sends one request at a time; two connections, the registry's, and one to where it keeps its blobs. Errors are httpx's own."""

    def __init__(self, context: ssl.SSLContext, proxy: str) -> None:
        """Go through *proxy*, and speak TLS to https with *context*."""
        limits = httpx.Limits(max_connections=2, max_keepalive_connections=2)
        self._transport = httpx.HTTPTransport(verify=context, limits=limits, trust_env=False, proxy=proxy)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """
        Send *request* and return the answer with its body unread.

        Raises:
            httpx.TransportError: Nobody answered in time, or not in HTTP.
        """
        try:
            return self._transport.handle_request(request)
        except h11.ProtocolError as error:
            # Such as a body that is not as long as it was said to be; httpcore lets it through as it is.
            raise httpx.LocalProtocolError(str(error)) from error

    def close(self) -> None:
        """Close both connections."""
        self._transport.close()
