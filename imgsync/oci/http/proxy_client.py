"""
Send HTTP requests through a proxy, with httpx's own transport.

httpx knows CONNECT and proxy logins. The proxy opens the connections, so the SSRF guard does not apply.
"""

from __future__ import annotations

import ssl

import h11

from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.request import Request
from imgsync.oci.http.url import Origin


class ProxyHttpClient:
    """An HTTP client for one request at a time, through a proxy."""

    def __init__(self, context: ssl.SSLContext, proxy: str) -> None:
        """Connect through the URL *proxy*."""
        limits = httpx.Limits(max_connections=2, max_keepalive_connections=2)
        self._transport = httpx.HTTPTransport(verify=context, limits=limits, trust_env=False, proxy=proxy)

    def send(self, request: Request) -> httpx.Response:
        """
        Send *request* and return the response, its body unread.

        Raises:
            httpx.TransportError: The server did not answer in time, or not in HTTP.
        """
        try:
            return self._transport.handle_request(_as_httpx(request))
        except h11.ProtocolError as error:
            # httpcore does not translate it, for example if the body is not as long as announced.
            raise httpx.LocalProtocolError(str(error)) from error

    def connect(self, origin: Origin, timeout_seconds: float) -> None:
        """Do nothing: the first request opens the connection."""

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()


def _as_httpx(request: Request) -> httpx.Request:
    headers = list(request.headers)
    if request.length_bytes is not None:
        headers.append(("Content-Length", str(request.length_bytes)))
    read_seconds = max(request.timeout_seconds, request.response_timeout_seconds)
    timeouts = httpx.Timeout(request.timeout_seconds, connect=request.connect_timeout_seconds, read=read_seconds).as_dict()
    url = f"{request.origin[0]}://{request.host}{request.target}"
    return httpx.Request(request.method, url, headers=headers, content=request.body, extensions={"timeout": timeouts})
