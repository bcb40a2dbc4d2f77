"""Split bytes into HTTP/2 frames, and format frames."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from imgsync.oci.http.http2.errors import ConnectionBrokenError, ErrorCode

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
# Flags.
ACK = END_STREAM = 0x1
END_HEADERS = 0x4
PADDED = 0x8
HAS_PRIORITY = 0x20

# Identifiers of settings.
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = range(1, 7)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# The largest payload that we accept; the protocol's smallest limit.
FRAME_BYTES = 16 << 10
LARGEST_FRAME_BYTES = (1 << 24) - 1
LARGEST_WINDOW = (1 << 31) - 1
_HEAD = struct.Struct(">BHBBL")
_HEAD_BYTES = 9
_PRIORITY_BYTES = 5
_SETTING = struct.Struct(">HL")
_NUMBER = struct.Struct(">L")

# Kind, flags, stream, payload.
Frame = tuple[int, int, int, bytes]


class FrameReader:
    """Splits what a server sends into frames; keeps less than one frame."""

    def __init__(self) -> None:
        """Start at the beginning of a frame."""
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Frame]:
        """
        Yield the frames that *data* completes.

        Raises:
            ConnectionBrokenError: A frame is larger than we allowed.
        """
        if self._rest:
            data = self._rest + data
        self._rest = b""
        at, size = 0, len(data)
        while size - at >= _HEAD_BYTES:
            high, low, kind, flags, stream = _HEAD.unpack_from(data, at)
            length = high << 16 | low
            if length > FRAME_BYTES:
                raise ConnectionBrokenError(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {length} bytes")
            ends = at + _HEAD_BYTES + length
            if ends > size:
                break
            yield kind, flags, stream & LARGEST_WINDOW, data[at + _HEAD_BYTES : ends]
            at = ends
        self._rest = data[at:]


def format_frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return one frame as bytes."""
    length = len(payload)
    return _HEAD.pack(length >> 16, length & 0xFFFF, kind, flags, stream) + payload


def format_headers(stream: int, block: bytes, *, ends: bool, limit: int) -> bytes:
    """Return a header block as frames of at most *limit* bytes."""
    flags = END_STREAM if ends else 0
    if len(block) <= limit:
        return format_frame(HEADERS, flags | END_HEADERS, stream, block)
    pieces = [block[at : at + limit] for at in range(0, len(block), limit)]
    frames = [format_frame(HEADERS, flags, stream, pieces[0])]
    frames += [format_frame(CONTINUATION, 0, stream, piece) for piece in pieces[1:-1]]
    return b"".join([*frames, format_frame(CONTINUATION, END_HEADERS, stream, pieces[-1])])


def format_settings(settings: dict[int, int]) -> bytes:
    """Return a frame with *settings*."""
    return format_frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*setting) for setting in settings.items()))


def format_number(kind: int, stream: int, number: int) -> bytes:
    """Return a frame of one number: a reset or window update."""
    return format_frame(kind, 0, stream, _NUMBER.pack(number))


def format_goaway(code: int) -> bytes:
    """Return a frame that ends the connection; servers open no streams here."""
    return format_frame(GOAWAY, 0, 0, _NUMBER.pack(0) + _NUMBER.pack(code))


def read_settings(payload: bytes) -> Iterator[tuple[int, int]]:
    """Yield the (identifier, value) pairs of a settings frame."""
    if len(payload) % _SETTING.size:
        raise ConnectionBrokenError(ErrorCode.FRAME_SIZE_ERROR, "a settings frame of a wrong length")
    return _SETTING.iter_unpack(payload)


def read_number(payload: bytes) -> int:
    """Return the payload of a reset or a window update."""
    if len(payload) != _NUMBER.size:
        raise ConnectionBrokenError(ErrorCode.FRAME_SIZE_ERROR, "a number of a wrong length")
    return int(_NUMBER.unpack(payload)[0])


def read_goaway(payload: bytes) -> tuple[int, int]:
    """Return the last stream that the server processes, and the error code."""
    if len(payload) < 2 * _NUMBER.size:
        raise ConnectionBrokenError(ErrorCode.FRAME_SIZE_ERROR, "a goaway frame that is too short")
    return _NUMBER.unpack_from(payload)[0] & LARGEST_WINDOW, _NUMBER.unpack_from(payload, _NUMBER.size)[0]


def strip_padding(flags: int, payload: bytes) -> bytes:
    """Return a payload of data or headers without padding and priority."""
    begins = ends = 0
    if flags & PADDED:
        begins = 1
        ends = payload[0] if payload else 0
    if flags & HAS_PRIORITY:
        begins += _PRIORITY_BYTES
    if begins + ends > len(payload):
        raise ConnectionBrokenError(ErrorCode.PROTOCOL_ERROR, "more padding than payload")
    return payload[begins : len(payload) - ends] if begins or ends else payload
