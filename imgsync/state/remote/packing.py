"""A state as the bytes of a layer: JSON lines, gzipped, the same for the same content. Unpacked without ever holding more than a limit allows."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator

from imgsync.errors import StateError
from imgsync.state.jsonl import Read, read_lines, write_lines
from imgsync.state.snapshot import Snapshot

_GZIP = 16 + zlib.MAX_WBITS
_PIECE = 1 << 20


def pack(snapshot: Snapshot, *, created_at: str) -> bytes:
    """Return *snapshot* as gzipped lines."""
    buffer = io.BytesIO()
    # No time and no name in its head: they would make another digest of the same content.
    with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=buffer, mtime=0) as file:
        for line in write_lines(snapshot, created_at=created_at):
            file.write(line)
    return buffer.getvalue()


def unpack(content: bytes) -> Read:
    """
    Return the state that *content* holds.

    Raises:
        StateError: It is no gzip, cut short, larger than the limits of `state.lines`, or holds no sound state.
    """
    return read_lines(_inflated(content))


def _inflated(content: bytes) -> Iterator[bytes]:
    """Yield what *content* inflates to, in pieces of at most 1 MiB, so that whoever reads can stop in time."""
    inflate = zlib.decompressobj(_GZIP)
    data = content
    try:
        while not inflate.eof:
            piece = inflate.decompress(data, _PIECE)
            data = inflate.unconsumed_tail
            if piece:
                yield piece
            elif not data and not inflate.eof:
                raise StateError("its gzip is cut short")
    except zlib.error as error:
        raise StateError(f"its gzip is damaged ({error})") from error
    if inflate.unused_data:
        raise StateError("something follows its gzip")
