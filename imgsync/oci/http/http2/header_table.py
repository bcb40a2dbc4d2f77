"""The header fields that one direction of a connection has sent before."""

from __future__ import annotations

from collections import deque

from imgsync.oci.http.http2.static_table import Header

# Neither side asks for a larger one.
TABLE_BYTES = 4096
# What each field counts beside its bytes.
FIELD_BYTES = 32


class HeaderTable:
    """
    The latest fields, within a limit of bytes.

    `fields` has the latest first. Spec: RFC 7541, sections 2.3 and 4.
    """

    def __init__(self) -> None:
        """Start empty."""
        self.limit_bytes = TABLE_BYTES
        self.fields: deque[Header] = deque()
        self._bytes = 0

    def add(self, header: Header) -> None:
        """Add a field; drop the oldest beyond the limit, or all."""
        self._bytes += len(header[0]) + len(header[1]) + FIELD_BYTES
        self.fields.appendleft(header)
        self._shrink()

    def resize(self, limit_bytes: int) -> None:
        """Change the limit; drop the oldest beyond it."""
        self.limit_bytes = limit_bytes
        self._shrink()

    def _shrink(self) -> None:
        while self._bytes > self.limit_bytes:
            name, value = self.fields.pop()
            self._bytes -= len(name) + len(value) + FIELD_BYTES
