"""A lane through a proxy: httpx's own transport, which knows CONNECT and proxies' logins. The proxy dials, and guards."""

from __future__ import annotations

import ssl

import h11

from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.request import Request
from imgsync.oci.http.url import Origin


class ProxyHttpClient:
    """Sends one request at a time; two connections, the registry's, and one to where it keeps its blobs. Errors are httpx's own."""

    def __init__(self, context: ssl.SSLContext, proxy: str) -> None:
        """Go through *proxy*, and speak TLS to https with *context*."""
        limits = httpx.Limits(max_connections=2, max_keepalive_connections=2)
        self._transport = httpx.HTTPTransport(verify=context, limits=limits, trust_env=False, proxy=proxy)

    def send(self, request: Request) -> httpx.Response:
        """
        Send *request* and return the answer with its body unread.

        Raises:
            httpx.TransportError: Nobody answered in time, or not in HTTP.
        """
        headers = list(request.headers)
        if request.length_bytes is not None:
            headers.append(("Content-Length", str(request.length_bytes)))
        reading = max(request.timeout_seconds, request.response_timeout_seconds)
        timeouts = httpx.Timeout(request.timeout_seconds, connect=request.connect_timeout_seconds, read=reading).as_dict()
        url = f"{request.origin[0]}://{request.host}{request.target}"
        try:
            return self._transport.handle_request(httpx.Request(request.method, url, headers=headers, content=request.body, extensions={"timeout": timeouts}))
        except h11.ProtocolError as error:
            # Such as a body that is not as long as it was said to be; httpcore lets it through as it is.
            raise httpx.LocalProtocolError(str(error)) from error

    def connect(self, origin: Origin, seconds: float) -> None:
        """Do nothing: what a proxy is to connect to it learns from the first request."""

    def close(self) -> None:
        """Close both connections."""
        self._transport.close()
