"""Memory that a large body is read into, again and again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

# What is left of a buffer is not worth a read.
_LEAST_BYTES = 16 << 10
# Full buffers of all bodies, to be used again. Of those beyond this number, the views keep the memory. Each of ten bodies keeps up to three buffers until
# they are written to a bundle, and new memory is cleared first.
_full: deque[bytearray] = deque(maxlen=32)


class ReadBuffers:
    """
    The buffers of one body.

    A buffer is filled again only once no view of it is left. So bytes never change that a slow destination has still to send, and what others keep for
    it costs no more memory than its length and part of one buffer.
    """

    __slots__ = ("_buffer", "_used_bytes")

    def __init__(self) -> None:
        """Begin without memory."""
        self._buffer = bytearray()
        self._used_bytes = 0

    def read(self, size: int, receive_into: Callable[[memoryview], int], *, buffer_bytes: int) -> memoryview:
        """Return up to *size* bytes of *receive_into*, in a buffer of *buffer_bytes*."""
        # Small reads share a buffer: a view keeps a whole one in memory.
        if len(self._buffer) - self._used_bytes < min(size, _LEAST_BYTES):
            _full.append(self._buffer)
            self._buffer = _find_unused(buffer_bytes)
            self._used_bytes = 0
        free = memoryview(self._buffer)[self._used_bytes : self._used_bytes + size]
        count = receive_into(free)
        self._used_bytes += count
        return free[:count]


def _find_unused(size: int) -> bytearray:
    """Return a buffer of *size* without views."""
    for _ in range(len(_full)):
        buffer = _full.popleft()
        if len(buffer) == size:
            if not _has_views(buffer):
                return buffer
            _full.append(buffer)
    return bytearray(size)


def _has_views(buffer: bytearray) -> bool:
    """Return whether a view of *buffer* is left."""
    try:
        # Python refuses to change the length of what has views.
        buffer.append(0)
    except BufferError:
        return True
    buffer.pop()
    return False
