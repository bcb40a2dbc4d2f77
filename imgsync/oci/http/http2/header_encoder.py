"""
Encode the header blocks of requests.

Values are sent as they are: the Huffman code would cost more time than it saves bytes. Spec: RFC 7541.
"""

from __future__ import annotations

from collections.abc import Iterable

from imgsync.oci.http.http2.header_table import FIELD_BYTES, TABLE_BYTES, HeaderTable
from imgsync.oci.http.http2.static_table import STATIC_TABLE, Header

_FIELD_NUMBERS = {header: number for number, header in enumerate(STATIC_TABLE, start=1)}
# The first of each name.
_NAME_NUMBERS = {name: number for number, (name, _) in reversed(list(enumerate(STATIC_TABLE, start=1)))}
# Nearly every value is new, and would push the token out of the table.
_ALWAYS_NEW = {b":path", b"content-length"}
_KNOWN, _ADDED, _NOT_ADDED, _NEVER_ADDED, _RESIZED = 0x80, 0x40, 0x00, 0x10, 0x20


class HeaderEncoder:
    """The header fields of a client, block by block."""

    def __init__(self) -> None:
        """Start with the table that every server has."""
        self._table = HeaderTable()
        # Fields that the server knows, as they are sent until one is added.
        self._encoded: dict[Header, bytes] = {}
        # What the next block begins with: the smallest limit since the last one, and the limit now.
        self._resizes: tuple[int, ...] = ()

    def resize(self, limit_bytes: int) -> None:
        """Use at most *limit_bytes* of the server's table."""
        limit_bytes = min(limit_bytes, TABLE_BYTES)
        if limit_bytes != self._table.limit_bytes:
            self._resizes = min(limit_bytes, *self._resizes, TABLE_BYTES), limit_bytes
            self._table.resize(limit_bytes)
            self._encoded.clear()

    def encode(self, headers: Iterable[Header]) -> bytes:
        """Return *headers* as a block."""
        pieces = [_format_integer(limit_bytes, 0x1F, _RESIZED) for limit_bytes in self._resizes]
        self._resizes = ()
        pieces += [self._encoded.get(header) or self._encode(header) for header in headers]
        return b"".join(pieces)

    def _encode(self, header: Header) -> bytes:
        number = _FIELD_NUMBERS.get(header) or self._find(header)
        if number:
            self._encoded[header] = _format_integer(number, 0x7F, _KNOWN)
            return self._encoded[header]
        name, value = header
        if name in _ALWAYS_NEW:
            return _format_literal(name, value, 0x0F, _NEVER_ADDED)
        if len(name) + len(value) + FIELD_BYTES > self._table.limit_bytes:
            return _format_literal(name, value, 0x0F, _NOT_ADDED)
        self._table.add(header)
        self._encoded.clear()
        return _format_literal(name, value, 0x3F, _ADDED)

    def _find(self, header: Header) -> int:
        """Return the number of a field in the table, 0 for none."""
        return len(STATIC_TABLE) + 1 + self._table.fields.index(header) if header in self._table.fields else 0


def _format_literal(name: bytes, value: bytes, mask: int, kind: int) -> bytes:
    number = _NAME_NUMBERS.get(name, 0)
    begin = _format_integer(number, mask, kind) + (b"" if number else _format_integer(len(name), 0x7F, 0) + name)
    return begin + _format_integer(len(value), 0x7F, 0) + value


def _format_integer(number: int, mask: int, kind: int) -> bytes:
    """Return *number* in the bits of *mask*, and more bytes if needed."""
    if number < mask:
        return bytes([kind | number])
    encoded = bytearray([kind | mask])
    number -= mask
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
