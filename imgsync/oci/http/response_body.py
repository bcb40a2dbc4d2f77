"""The body of a response, read from its connection piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.read_buffers import ReadBuffers
from imgsync.oci.http.response_parser import ResponseParser
from imgsync.system.chunk import Chunk

# Larger reads cost less CPU per byte, but each open body holds two of them. So from eight large bodies on, the pieces shrink.
RECEIVE_BYTES = 256 << 10
_LARGE_RECEIVE_BYTES = 512 << 10
_LARGE_TOGETHER_BYTES = 4 << 20
_LARGE_BODY_BYTES = 8 << 20


class BodySource(Protocol):
    """The connection that a body is read from."""

    def receive(self, size: int) -> bytes:
        """Return up to *size* bytes; none at the end."""

    def receive_into(self, buffer: memoryview) -> int:
        """Fill *buffer* from its start; return the count, 0 at the end."""

    def finish(self, *, is_reusable: bool) -> None:
        """End the exchange; close the connection unless it is reusable."""

    def close(self) -> None:
        """Close the connection."""


class ResponseBody(httpx.SyncByteStream):
    """
    A response body that can be read once.

    Closing it before its end closes the connection.
    """

    _large_open = 0

    def __init__(self, source: BodySource, parser: ResponseParser, *, is_reusable: bool) -> None:
        """Read from *source* what *parser* announced."""
        self._source: BodySource | None = source
        self._parser = parser
        self._is_reusable = is_reusable
        if not parser.has_body or parser.is_complete:
            self._finish()

    def __iter__(self) -> Iterator[Chunk]:  # type: ignore[override]  # we read it ourselves, never httpx
        """Yield the pieces of the body, without the framing."""
        parser = self._parser
        left = parser.content_length
        while True:
            for piece in parser.take_pieces():
                if left is not None:
                    left -= len(piece)
                yield piece
            source = self._source
            if source is None:
                return
            if left is not None:
                yield from self._read_rest(source, left)
                return
            self._read_more(source)

    def close(self) -> None:
        """Close the connection unless the body was read to its end."""
        if self._source is not None:
            self._source.close()
            self._source = None
            self._parser.end()

    def _read_rest(self, source: BodySource, left: int) -> Iterator[Chunk]:
        """Yield the last *left* bytes straight from the socket."""
        buffers = ReadBuffers() if left >= _LARGE_BODY_BYTES else None
        ResponseBody._large_open += buffers is not None
        try:
            while left > 0:
                piece = source.receive(min(left, RECEIVE_BYTES)) if buffers is None else _read_large(source, left, buffers, ResponseBody._large_open)
                if not piece:
                    raise httpx.RemoteProtocolError(f"the connection closed {left} bytes before the end of the body")
                left -= len(piece)
                if left == 0:
                    self._finish()
                yield piece
        finally:
            ResponseBody._large_open -= buffers is not None

    def _read_more(self, source: BodySource) -> None:
        """Parse more of a body of unknown length."""
        data = source.receive(RECEIVE_BYTES)
        if data:
            self._parser.feed(data)
            if self._parser.is_complete:
                self._finish()
        elif self._parser.ends_with_connection:
            self._is_reusable = False
            self._finish()
        else:
            raise httpx.RemoteProtocolError("the connection closed before the end of the body")

    def _finish(self) -> None:
        if self._source is not None:
            self._source.finish(is_reusable=self._is_reusable and not self._parser.has_surplus)
            self._source = None
            self._parser.end()


def _read_large(source: BodySource, left: int, buffers: ReadBuffers, large_open: int) -> memoryview:
    size = max(RECEIVE_BYTES, min(_LARGE_RECEIVE_BYTES, _LARGE_TOGETHER_BYTES // large_open))
    return buffers.read(min(left, size), source.receive_into, buffer_bytes=size)
