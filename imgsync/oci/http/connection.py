"""Send a request and read its response on one connection."""

from __future__ import annotations

import time

from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.request import BODY_UNSENT, RESPONSE_SECONDS, Request, format_head
from imgsync.oci.http.response_body import RECEIVE_BYTES, ResponseBody
from imgsync.oci.http.response_parser import ResponseParser
from imgsync.oci.http.stream import Stream
from imgsync.oci.http.timed_socket import TimedSocket
from imgsync.system.chunk import Chunk

# Up to this size, the head and the first piece of a body go out together.
_SMALL_BYTES = 64 << 10
_CONTINUE_SECONDS = 1.0


class Connection:
    """
    One connection; it carries one exchange at a time.

    `body_started` says whether any of the request's body was taken, `response_started` whether any byte of the response came.
    """

    def __init__(self, connected: TimedSocket) -> None:
        """Take over *connected*, idle."""
        self._socket = connected
        self._is_idle = True
        self.body_started = False
        self.response_started = False

    @property
    def is_usable(self) -> bool:
        """Return whether the next request may be sent on it."""
        return self._socket.is_open and self._is_idle and not self._socket.discard_input()

    def close(self) -> None:
        """Close the connection, once."""
        self._socket.close()

    def exchange(self, request: Request) -> httpx.Response:
        """
        Send *request* and read the head of its response.

        Raises:
            httpx.TransportError: The server did not answer in time, or not in HTTP.
        """
        self._is_idle = False
        self.body_started = False
        self.response_started = False
        parser = ResponseParser(request.method)
        self._socket.set_check(request.check, request.before_send)
        self._socket.require_rate(request.timeout_seconds)
        is_sent = False if request.expect_continue and self._is_rejected(request, parser) else self._send(request, parser)
        began = time.monotonic()
        self._read_head(request, parser)
        extensions: dict[str, object] = {RESPONSE_SECONDS: time.monotonic() - began}
        if not self.body_started:
            extensions[BODY_UNSENT] = True
        self._socket.require_rate(request.timeout_seconds)
        body = ResponseBody(self, parser, is_reusable=is_sent and parser.keep_alive)
        return httpx.Response(parser.status, headers=parser.headers, stream=body, extensions=extensions)

    def receive(self, size: int) -> bytes:
        """Return up to *size* bytes; none at the end."""
        return self._socket.receive(size)

    def receive_into(self, buffer: memoryview) -> int:
        """Fill *buffer* from its start; return the count, 0 at the end."""
        return self._socket.receive_into(buffer)

    def detach(self) -> Stream:
        """Return the stream below, for another use."""
        return self._socket.detach()

    def finish(self, *, is_reusable: bool) -> None:
        """End the exchange; close the connection unless it is reusable."""
        if is_reusable:
            self._is_idle = True
        else:
            self.close()

    def _read_head(self, request: Request, parser: ResponseParser) -> None:
        longest_seconds = max(request.response_timeout_seconds, request.timeout_seconds)
        # Neither a dripping head nor interim responses make it longer.
        self._socket.limit_total(silence_seconds=longest_seconds, total_seconds=longest_seconds + request.timeout_seconds)
        while not parser.has_head:
            self._feed(parser)

    def _feed(self, parser: ResponseParser) -> None:
        data = self._socket.receive(RECEIVE_BYTES)
        if not data:
            raise httpx.RemoteProtocolError("the server closed the connection without a response")
        self.response_started = True
        parser.feed(data)

    def _is_rejected(self, request: Request, parser: ResponseParser) -> bool:
        """Send the head alone; return whether the response came already."""
        self._socket.send_all(format_head(request))
        self._socket.limit_total(silence_seconds=_CONTINUE_SECONDS, total_seconds=_CONTINUE_SECONDS)
        try:
            while not (parser.has_head or parser.has_continue):
                self._feed(parser)
        except httpx.ReadTimeout:
            # A server that does not know the header stays silent and waits for the body.
            pass
        self._socket.require_rate(request.timeout_seconds)
        return parser.has_head

    def _send(self, request: Request, parser: ResponseParser) -> bool:
        """Send head and body; return whether the whole body was sent."""
        self.body_started = True
        try:
            return self._send_pieces(request, parser)
        except httpx.WriteError:
            # A server that refuses a body may close its end; a response that it sent before can still be read.
            return False
        except httpx.WriteTimeout:
            # Or it keeps the connection open and reads no more.
            if not self._socket.has_input():
                raise
            return False

    def _send_pieces(self, request: Request, parser: ResponseParser) -> bool:
        body = request.body or b""
        pieces = iter((body,) if isinstance(body, bytes) else body)
        left = request.content_length - self._send_first(b"" if request.expect_continue else format_head(request), next(pieces, b""))
        for piece in pieces:
            if self._is_answered(parser):
                return False
            left -= len(piece)
            if left < 0:
                raise httpx.LocalProtocolError("the body is longer than its Content-Length")
            self._socket.send_all(piece)
        if left != 0:
            raise httpx.LocalProtocolError("the body is not as long as its Content-Length")
        return True

    def _send_first(self, head: bytes, piece: Chunk) -> int:
        """Send *head* and the first *piece*; return the length of *piece*."""
        if len(piece) <= _SMALL_BYTES:
            self._socket.send_all(head + piece)
        else:
            self._socket.send_all(head)
            self._socket.send_all(piece)
        return len(piece)

    def _is_answered(self, parser: ResponseParser) -> bool:
        """Return whether the response came before the end of the body."""
        # Over TLS, the input may be a session ticket; reading it would block.
        if self._socket.is_encrypted or not self._socket.has_input():
            return False
        self._feed(parser)
        return parser.has_head
