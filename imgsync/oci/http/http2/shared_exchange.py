"""Send requests and read responses on a connection that others use too."""

from __future__ import annotations

import time
from collections.abc import Iterator

from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.http2.head import ResponseHead, make_headers
from imgsync.oci.http.http2.link import Link
from imgsync.oci.http.http2.request_stream import RequestStream
from imgsync.oci.http.request import RESPONSE_SECONDS, Request
from imgsync.oci.http.timed_socket import TimedSocket

_RECEIVE_BYTES = 256 << 10


class SharedExchange:
    """
    One request on a shared connection.

    `response_started` says whether anything of the response came.
    """

    def __init__(self, link: Link, request: Request) -> None:
        """
        Send the head of *request*.

        Raises:
            FullError: The connection takes no more requests.
        """
        self._link = link
        self._request = request
        self._exchange = link.begin(request.method, make_headers(request), body_bytes=request.content_length)
        self._timed = TimedSocket(RequestStream(link, self._exchange))

    @property
    def response_started(self) -> bool:
        """Return whether anything of the response came."""
        return self._exchange.has_response

    def finish(self) -> httpx.Response:
        """
        Send the body, and read the head of the response.

        Raises:
            httpx.TransportError: The server did not answer in time, or not in HTTP.
        """
        began, served = time.monotonic(), self._link.served_frames
        request, timed = self._request, self._timed
        try:
            timed.set_check(request.check)
            timed.require_rate(request.timeout_seconds)
            if request.content_length:
                self._send_body()
                began = time.monotonic()
            head = self._read_head()
            timed.require_rate(request.timeout_seconds)
        except BaseException as error:
            timed.close()
            if isinstance(error, httpx.TimeoutException) and self._link.served_frames == served:
                # The others got nothing either: the connection may be dead, as after a change of the network.
                self._link.retire()
            raise
        extensions: dict[str, object] = {RESPONSE_SECONDS: time.monotonic() - began}
        return httpx.Response(head.status, headers=head.headers, stream=SharedBody(timed), extensions=extensions)

    def _send_body(self) -> None:
        body = self._request.body or b""
        left = self._request.content_length
        try:
            for piece in (body,) if isinstance(body, bytes) else body:
                left -= len(piece)
                if left < 0:
                    raise httpx.LocalProtocolError("the body is longer than its Content-Length")
                self._timed.send_all(piece)
        except httpx.WriteError:
            # The response came first, or an error that reading it raises.
            return
        if left:
            raise httpx.LocalProtocolError("the body is not as long as its Content-Length")

    def _read_head(self) -> ResponseHead:
        request = self._request
        longest_seconds = max(request.response_timeout_seconds, request.timeout_seconds)
        self._timed.limit_total(silence_seconds=longest_seconds, total_seconds=longest_seconds + request.timeout_seconds)
        while not self._exchange.head_is_taken or self._exchange.head is None:
            self._timed.receive(_RECEIVE_BYTES)
        return self._exchange.head


class SharedBody(httpx.SyncByteStream):
    """
    A response body that can be read once.

    Closing it before its end cancels the rest.
    """

    def __init__(self, timed: TimedSocket) -> None:
        """Read from *timed*."""
        self._timed = timed

    def __iter__(self) -> Iterator[bytes]:
        """Yield the pieces of the body."""
        while piece := self._timed.receive(_RECEIVE_BYTES):
            yield piece

    def close(self) -> None:
        """End the exchange."""
        self._timed.close()
