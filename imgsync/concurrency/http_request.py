"""
Read a request's head and body, strictly and within limits.

What two programs could read differently is refused: two lengths, a length beside chunks, folded lines, other line ends. Nothing is left to
guess, so a proxy before this server sees the same requests.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import BinaryIO

from imgsync.system.dataclass import dataclass

BODY_LIMIT_BYTES = 1 << 20
_HEAD_LIMIT_BYTES = 32 << 10
_LINES_LIMIT = 100
_CHUNKS_LIMIT = 4_096
_READ_BYTES = 64 << 10
_CHUNK_LINE_LIMIT = 256
_REQUEST_LINE = re.compile(r"(?P<method>[A-Z]{1,16}) (?P<target>/[\x21-\x7e]*) HTTP/1\.(?P<minor>[01])\r?\n")
# Spaces around the value are stripped later: here, many of them would match in too many ways.
_FIELD = re.compile(rb"(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+):(?P<value>[\t\x20-\x7e\x80-\xff]*)\r?\n")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[\t\x20-\x7e]*)?\r\n")
_NUMBER = re.compile(r"[0-9]{1,18}")
_WITHOUT_BODY = frozenset({"GET", "HEAD"})


class RefusedRequestError(ValueError):
    """A request that is not read further; *status* is the answer."""

    def __init__(self, status: str, message: str) -> None:
        self.status = status
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Framing:
    """A body's length in bytes; None if it has chunks."""

    length: int | None


def check_request_line(line: str) -> None:
    """
    Return if *line* is a request line of HTTP/1.

    Raises:
        RefusedRequestError: It is not.
    """
    if _REQUEST_LINE.fullmatch(line) is None:
        raise RefusedRequestError("400 Bad Request", "the request line is not METHOD /PATH HTTP/1.1")


def read_head(file: BinaryIO) -> list[tuple[str, str]]:
    """
    Return the header fields, names in lower case.

    Raises:
        RefusedRequestError: A line is not a field, or there are too many or too long ones.
    """
    fields: list[tuple[str, str]] = []
    left = _HEAD_LIMIT_BYTES
    while True:
        line = file.readline(left + 1)
        left -= len(line)
        if left < 0 or len(fields) > _LINES_LIMIT:
            raise RefusedRequestError("431 Request Header Fields Too Large", "the head of the request is too large")
        if line in {b"\r\n", b"\n"}:
            return fields
        match = _FIELD.fullmatch(line)
        if match is None:
            raise RefusedRequestError("400 Bad Request", "a line of the head is not a header field")
        fields.append((match["name"].decode("ascii").lower(), match["value"].strip(b" \t").decode("latin-1")))


def check_framing(method: str, version: str, fields: list[tuple[str, str]]) -> Framing:
    """
    Return how long the body of a request is.

    Raises:
        RefusedRequestError: The fields leave it open, or it is too long.
    """
    named: dict[str, list[str]] = {}
    for name, value in fields:
        named.setdefault(name, []).append(value)
    if len(named.get("host", [])) != 1 and (version == "HTTP/1.1" or "host" in named):
        raise RefusedRequestError("400 Bad Request", "a request has one Host field")
    lengths, encodings = named.get("content-length", []), named.get("transfer-encoding", [])
    if len(lengths) + len(encodings) > 1:
        raise RefusedRequestError("400 Bad Request", "a request has one length")
    if encodings:
        if encodings[0].lower() != "chunked" or version != "HTTP/1.1":
            raise RefusedRequestError("501 Not Implemented", "the only transfer encoding is chunked")
        framing = Framing(None)
    else:
        if lengths and _NUMBER.fullmatch(lengths[0]) is None:
            raise RefusedRequestError("400 Bad Request", "the length is not a number")
        framing = Framing(int(lengths[0]) if lengths else 0)
    if method in _WITHOUT_BODY and framing.length != 0:
        raise RefusedRequestError("400 Bad Request", f"{method} has no body")
    if framing.length is not None and framing.length > BODY_LIMIT_BYTES:
        raise _refuse_large()
    return framing


def read_body(file: BinaryIO, framing: Framing, on_bytes: Callable[[int], None]) -> bytes:
    """
    Return the body, and report the size of each piece.

    Raises:
        RefusedRequestError: It ends early, is damaged, or longer than 1 MiB.
    """
    if framing.length is not None:
        return b"".join(_read_exactly(file, framing.length, on_bytes))
    pieces: list[bytes] = []
    total = 0
    for _ in range(_CHUNKS_LIMIT):
        match = _CHUNK_SIZE.fullmatch(file.readline(_CHUNK_LINE_LIMIT))
        if match is None:
            raise RefusedRequestError("400 Bad Request", "a chunk has no size")
        size = int(match[1], 16)
        total += size
        if total > BODY_LIMIT_BYTES:
            raise _refuse_large()
        if not size:
            # Trailers may only say what the head already did.
            read_head(file)
            return b"".join(pieces)
        pieces.extend(_read_exactly(file, size, on_bytes))
        if file.read(2) != b"\r\n":
            raise RefusedRequestError("400 Bad Request", "a chunk is longer than its size")
    raise RefusedRequestError("413 Content Too Large", "the body has too many chunks")


def _read_exactly(file: BinaryIO, size: int, on_bytes: Callable[[int], None]) -> list[bytes]:
    pieces = []
    while size:
        piece = file.read(min(size, _READ_BYTES))
        if not piece:
            raise RefusedRequestError("400 Bad Request", "the body ends early")
        size -= len(piece)
        pieces.append(piece)
        on_bytes(len(piece))
    return pieces


def _refuse_large() -> RefusedRequestError:
    return RefusedRequestError("413 Content Too Large", f"the body is longer than {BODY_LIMIT_BYTES:,} bytes")
