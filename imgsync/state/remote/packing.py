"""
Pack a state into the bytes of a layer: gzipped JSON lines.

The same content gives the same bytes. Unpacking holds 1 MiB at a time.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator

from imgsync.errors import StateError
from imgsync.state.jsonl import DecodedState, decode_lines, encode_lines
from imgsync.state.snapshot import Snapshot

_GZIP = 16 + zlib.MAX_WBITS
_PIECE = 1 << 20


def pack(snapshot: Snapshot, *, created_at: str) -> bytes:
    """Return *snapshot* as gzipped lines."""
    buffer = io.BytesIO()
    # Without time and name in the gzip header, so that the same content has the same digest.
    with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=buffer, mtime=0) as file:
        for line in encode_lines(snapshot, created_at=created_at):
            file.write(line)
    return buffer.getvalue()


def unpack(content: bytes) -> DecodedState:
    """
    Return the state in *content*.

    Raises:
        StateError: It is not gzip, truncated, beyond the limits of `state.jsonl`, or not a valid state.
    """
    return decode_lines(_inflate(content))


def _inflate(content: bytes) -> Iterator[bytes]:
    """Yield the decompressed *content* in pieces of at most 1 MiB."""
    decompressor = zlib.decompressobj(_GZIP)
    data = content
    try:
        while not decompressor.eof:
            piece = decompressor.decompress(data, _PIECE)
            data = decompressor.unconsumed_tail
            if piece:
                yield piece
            elif not data and not decompressor.eof:
                raise StateError("the gzip data is truncated")
    except zlib.error as error:
        raise StateError(f"the gzip data is damaged ({error})") from error
    if decompressor.unused_data:
        raise StateError("unexpected data after the gzip data")
