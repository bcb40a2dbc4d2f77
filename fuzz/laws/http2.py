"""Check what a server sends on an HTTP/2 connection."""

from __future__ import annotations

import contextlib

from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.http2.errors import ConnectionBrokenError
from imgsync.oci.http.http2.header_decoder import HeaderDecoder
from imgsync.oci.http.http2.header_encoder import HeaderEncoder
from imgsync.oci.http.http2.session import CONNECTION_WINDOW, EXCHANGE_WINDOW, Session

_SETTINGS = b"\0\0\0\4\0\0\0\0\0"
_HEADERS = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"r"), (b":path", b"/v2/")]
_OUTPUT_LIMIT = 1 << 20
_HEAD_LIMIT = 64 << 10


def connections(data: bytes) -> None:
    """
    Check the frames of a server, cut anywhere.

    Each response has a status and the length that it states, or there is an httpx error. What is buffered and what is answered stays bounded.
    The result does not depend on how the bytes are cut.
    """
    assert _read(data, len(data) or 1) == _read(data, 7)


def header_blocks(data: bytes) -> None:
    """
    Check header blocks, one after each NUL.

    Each is an error, or fields within the limit that our own encoder passes on unchanged.
    """
    decoder, encoder, again = HeaderDecoder(_HEAD_LIMIT), HeaderEncoder(), HeaderDecoder(_HEAD_LIMIT)
    with contextlib.suppress(ConnectionBrokenError):
        for block in data.split(b"\0"):
            headers = decoder.decode(block)
            assert sum(len(name) + len(value) + 32 for name, value in headers) <= _HEAD_LIMIT
            assert again.decode(encoder.encode(headers)) == headers


def _read(data: bytes, size: int) -> list[object]:
    """Return what three requests got."""
    session = Session(100)
    session.feed(_SETTINGS)
    exchanges = [session.begin(method, _HEADERS, body_bytes=body_bytes) for method, body_bytes in (("GET", 0), ("HEAD", 0), ("PUT", 9))]
    session.take_output()
    with contextlib.suppress(ConnectionBrokenError):
        for begin in range(0, len(data), size):
            session.feed(data[begin : begin + size])
    assert len(session.take_output()) <= _OUTPUT_LIMIT
    session.fail(httpx.ReadError("the connection broke"))
    found: list[object] = []
    together = 0
    for exchange in exchanges:
        body, error = b"", ""
        try:
            while exchange.has_pieces or not exchange.head_is_taken:
                body += session.take(exchange, 1 << 20)
        except httpx.TransportError as raised:
            error = str(raised)
        assert len(body) <= EXCHANGE_WINDOW
        together += len(body)
        if exchange.head is not None:
            assert 200 <= exchange.head.status < 1000
            length = exchange.head.content_length
            assert exchange.error is not None or length is None or exchange is exchanges[1] or exchange.head.status in {204, 304} or len(body) == length
        found.append((exchange.head and exchange.head.status, body, error or str(exchange.error or "")))
    assert together <= CONNECTION_WINDOW
    return found
