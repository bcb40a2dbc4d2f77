"""Memory that a large body is read into, again and again."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable

# One that is passed on, and one that is filled meanwhile.
_KEPT = 2
# What is left of a buffer is not worth a read.
_LEAST_BYTES = 64 << 10


class ReadBuffers:
    """
    The buffers of one body.

    A buffer is filled again only once no view of it is left. So bytes never change that a slow destination has still to send, and what others keep for
    it costs no more memory than its length and part of one buffer.
    """

    __slots__ = ("_kept", "_used_bytes")

    def __init__(self) -> None:
        """Begin without memory."""
        # The last one is being filled.
        self._kept: deque[bytearray] = deque()
        self._used_bytes = 0

    def read(self, size: int, receive_into: Callable[[memoryview], int], *, buffer_bytes: int) -> memoryview:
        """Return up to *size* bytes of *receive_into*, in a buffer of *buffer_bytes*."""
        # Small reads share a buffer: a view keeps a whole one in memory.
        if not self._kept or len(self._kept[-1]) - self._used_bytes < min(size, _LEAST_BYTES):
            self._kept.append(self._find_unused(buffer_bytes))
            self._used_bytes = 0
        free = memoryview(self._kept[-1])[self._used_bytes : self._used_bytes + size]
        count = receive_into(free)
        self._used_bytes += count
        return free[:count]

    def _find_unused(self, size: int) -> bytearray:
        """Return a buffer of *size* that has no views; keep few others."""
        while len(self._kept) >= _KEPT:
            buffer = self._kept.popleft()
            # Each view refers to its buffer; else only `buffer` and the argument do.
            if sys.getrefcount(buffer) == 2 and len(buffer) == size:
                return buffer
        return bytearray(size)
