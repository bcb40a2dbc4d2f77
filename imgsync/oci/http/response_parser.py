"""Parse one HTTP/1.1 response with llhttp (httptools), piece by piece."""

from __future__ import annotations

import httptools

from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.errors import HeadTooLargeError

_HEAD_LIMIT = 64 << 10
_NO_BODY = {204, 304}
_CONTINUE = 100


class ResponseParser:
    """
    What is known of one response so far; `feed` takes more bytes.

    Attributes:
        status: The status code.
        headers: Names and values as they came, in order.
        has_head: Whether status and headers are complete.
        has_continue: Whether the server asked for the request's body.
        content_length: The length of the body, if the head states it.
        ends_with_connection: Whether nothing else marks the end of the body.
        is_complete: Whether the end of the body came.
        keep_alive: Whether the server keeps the connection open.
        has_surplus: Whether bytes came that are not part of the response.
    """

    def __init__(self, method: str) -> None:
        """Expect the response to a request of *method*."""
        self._parser = httptools.HttpResponseParser(self)
        self._method = method
        self._bytes_before_head = 0
        self._bytes_between_pieces = 0
        self._header_bytes = 0
        self._pieces: list[bytes] = []
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.has_head = False
        self.has_continue = False
        self.has_surplus = False
        self.is_complete = False
        self.keep_alive = False
        self.content_length: int | None = None
        self.ends_with_connection = False

    @property
    def has_body(self) -> bool:
        """Return whether a body may follow the head."""
        return self._method != "HEAD" and self.status not in _NO_BODY and not self._opens_tunnel

    @property
    def _opens_tunnel(self) -> bool:
        return self._method == "CONNECT" and 200 <= self.status < 300

    def take_pieces(self) -> list[bytes]:
        """Return the pieces of the body that came since the last call."""
        pieces, self._pieces = self._pieces, []
        return pieces

    def end(self) -> None:
        """Take no more bytes."""
        # llhttp's parser refers to this one: both would stay until garbage is collected.
        del self._parser

    def feed(self, data: bytes) -> None:
        """
        Parse the next bytes of the response.

        Raises:
            httpx.RemoteProtocolError: They are not HTTP.
            HeadTooLargeError: A head, a trailer or the chunk framing exceeds 64 KiB.
        """
        had_head, had_pieces = self.has_head, len(self._pieces)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self.is_complete and (not self.has_head or self.has_body):
                raise httpx.RemoteProtocolError(f"the response is not HTTP: {error}") from error
            self.has_surplus = True
        self._check_size(data, had_head=had_head, is_framing=len(self._pieces) == had_pieces)

    def on_message_begin(self) -> None:
        """Forget the headers of an interim response; note a second response."""
        if self.has_head:
            self.has_surplus = True
        else:
            self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header; ignore a trailer."""
        if not self.has_head:
            self._header_bytes += len(name) + len(value)
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Note the head, unless it is an interim response's."""
        status = self._parser.get_status_code()
        if status < 200 or self.has_head:
            self.has_continue = self.has_continue or status == _CONTINUE
            return
        self.status = status
        self.has_head = True
        self.keep_alive = self._opens_tunnel or self._parser.should_keep_alive() or (not self.has_body and self._is_persistent())
        named = {name.lower(): value for name, value in self.headers}
        if b"transfer-encoding" in named:
            self.ends_with_connection = named[b"transfer-encoding"].rpartition(b",")[2].strip().lower() != b"chunked"
        elif named.get(b"content-length", b"").isdigit():
            self.content_length = int(named[b"content-length"])
        else:
            self.ends_with_connection = True

    def on_body(self, data: bytes) -> None:
        """Note a piece of the body."""
        if self.has_body and not self.has_surplus:
            self._pieces.append(data)
        else:
            self.has_surplus = True

    def on_message_complete(self) -> None:
        """Note the end of the response, unless it is an interim one."""
        self.is_complete = self.has_head

    def _is_persistent(self) -> bool:
        """Return whether the headers keep the connection open."""
        # Without a length, llhttp expects a body until the connection ends, also after HEAD.
        return self._parser.get_http_version() == "1.1" and not any(name.lower() == b"connection" and b"close" in value.lower() for name, value in self.headers)

    def _check_size(self, data: bytes, *, had_head: bool, is_framing: bool) -> None:
        self._bytes_before_head += 0 if had_head else len(data)
        # Chunk sizes stand between two pieces, trailers after the last one: both are limited like a head.
        self._bytes_between_pieces = self._bytes_between_pieces + len(data) if self.has_head and is_framing else 0
        if max(self._header_bytes, self._bytes_between_pieces, 0 if self.has_head else self._bytes_before_head) > _HEAD_LIMIT:
            raise HeadTooLargeError(f"the response head is larger than {_HEAD_LIMIT >> 10} KiB")
