"""
Decode the header blocks of a server.

Spec: RFC 7541.
"""

from __future__ import annotations

from imgsync.oci.http.http2.errors import ConnectionBrokenError, ErrorCode
from imgsync.oci.http.http2.header_table import FIELD_BYTES, TABLE_BYTES, HeaderTable
from imgsync.oci.http.http2.huffman import decode_huffman
from imgsync.oci.http.http2.static_table import STATIC_TABLE, Header

_STATIC_FIELDS = len(STATIC_TABLE)
_INTEGER_BYTES = 4


class HeaderDecoder:
    """The header fields of a server, block by block."""

    def __init__(self, limit_bytes: int) -> None:
        """Accept blocks of up to *limit_bytes*, decoded."""
        self._limit_bytes = limit_bytes
        self._table = HeaderTable()

    def decode(self, block: bytes) -> list[Header]:
        """
        Return the fields of *block*, in order.

        Raises:
            ConnectionBrokenError: It cannot be read, or is too large.
        """
        headers: list[Header] = []
        at, left = 0, self._limit_bytes
        try:
            while at < len(block):
                first = block[at]
                if first & 0xE0 == 0x20:
                    at = self._resize(block, at, is_first=not headers)
                    continue
                header, at = self._read_known(block, at) if first & 0x80 else self._read_literal(block, at)
                left -= len(header[0]) + len(header[1]) + FIELD_BYTES
                if left < 0:
                    raise ConnectionBrokenError(ErrorCode.ENHANCE_YOUR_CALM, f"a response head larger than {self._limit_bytes >> 10} KiB")
                headers.append(header)
        except IndexError as error:
            raise _make_error("a header that is cut, or refers to none") from error
        return headers

    def _read_known(self, block: bytes, at: int) -> tuple[Header, int]:
        number, at = _read_integer(block, at, 0x7F)
        return self._find(number), at

    def _read_literal(self, block: bytes, at: int) -> tuple[Header, int]:
        is_added = block[at] & 0x40
        number, at = _read_integer(block, at, 0x3F if is_added else 0x0F)
        if number:
            name = self._find(number)[0]
        else:
            name, at = _read_text(block, at)
        value, at = _read_text(block, at)
        header = name, value
        if is_added:
            self._table.add(header)
        return header, at

    def _find(self, number: int) -> Header:
        if number > _STATIC_FIELDS:
            return self._table.fields[number - _STATIC_FIELDS - 1]
        if not number:
            raise _make_error("a header of number 0")
        return STATIC_TABLE[number - 1]

    def _resize(self, block: bytes, at: int, *, is_first: bool) -> int:
        size, at = _read_integer(block, at, 0x1F)
        if size > TABLE_BYTES or not is_first:
            raise _make_error("a change of the header table that is not allowed")
        self._table.resize(size)
        return at


def _read_integer(block: bytes, at: int, mask: int) -> tuple[int, int]:
    """Return the integer at *at*, and where it ends."""
    number, at = block[at] & mask, at + 1
    if number < mask:
        return number, at
    for place in range(_INTEGER_BYTES):
        byte = block[at + place]
        number += (byte & 0x7F) << 7 * place
        if not byte & 0x80:
            return number, at + place + 1
    raise _make_error("a header with a number that is too large")


def _read_text(block: bytes, at: int) -> tuple[bytes, int]:
    """Return the name or value at *at*, and where it ends."""
    is_coded = block[at] & 0x80
    size, at = _read_integer(block, at, 0x7F)
    ends = at + size
    if ends > len(block):
        raise _make_error("a header that is cut")
    text = block[at:ends]
    return decode_huffman(text) if is_coded else text, ends


def _make_error(message: str) -> ConnectionBrokenError:
    return ConnectionBrokenError(ErrorCode.COMPRESSION_ERROR, message)
