"""A stream that raises httpx's errors and detects stalled peers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TypeVar

from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.errors import StalledError
from imgsync.oci.http.stream import Stream
from imgsync.oci.http.wait_limit import TICK_SECONDS, never_end
from imgsync.system.chunk import Chunk

_Given = TypeVar("_Given")
_Received = TypeVar("_Received")

# Below 1 KiB/s we treat the peer as stalled.
_MINIMUM_BYTES_PER_SECOND = 1 << 10
_TIMED_OUT = "no data within the timeout"


class TimedSocket:
    """
    A stream with a limit for silence, and one for slowness.

    A slow drip never trips a timeout. So either the whole wait is limited (`limit_total`), or the time spent waiting is added up, and
    each timeout's worth of it must have moved 1 KiB/s (`require_rate`).
    """

    __slots__ = (
        "_before_send",
        "_check",
        "_ends",
        "_moved_bytes",
        "_next_check",
        "_rate_seconds",
        "_silence_seconds",
        "_stream",
        "_waited_seconds",
        "is_encrypted",
    )

    def __init__(self, stream: Stream) -> None:
        """Take over *stream*."""
        self._stream: Stream | None = stream
        self._check = never_end
        self._before_send: Callable[[], None] | None = None
        self._next_check = 0.0
        self._silence_seconds = 0.0
        self._ends = self._rate_seconds = math.inf
        self._waited_seconds = 0.0
        self._moved_bytes = 0
        self.is_encrypted = stream.is_encrypted

    @property
    def is_open(self) -> bool:
        """Return whether `close` was not called yet."""
        return self._stream is not None

    def close(self) -> None:
        """Close the socket, once."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def detach(self) -> Stream:
        """Return the stream, no longer limited."""
        stream, self._stream = self._require_open(), None
        return stream

    def set_check(self, check: Callable[[], None], before_send: Callable[[], None] | None = None) -> None:
        """
        Call *check* about four times a second; its error ends the wait.

        *before_send* is called right before each piece is given to the system; after its error nothing more is sent.
        """
        self._check = check
        self._before_send = before_send

    def require_rate(self, timeout_seconds: float) -> None:
        """Limit silence to *timeout_seconds*, and measure the rate from now."""
        self._silence_seconds = self._rate_seconds = timeout_seconds
        self._ends = math.inf
        self._waited_seconds = 0.0
        self._moved_bytes = 0

    def limit_total(self, *, silence_seconds: float, total_seconds: float) -> None:
        """Limit silence, and the time from now on, whatever rate."""
        self._silence_seconds = silence_seconds
        self._rate_seconds = math.inf
        self._ends = time.monotonic() + total_seconds

    def receive(self, size: int) -> bytes:
        """
        Return up to *size* bytes; none at the end of the stream.

        Raises:
            httpx.ReadTimeout: No byte came in time, or too few.
            httpx.ReadError: The connection broke.
        """
        return self._receive(self._require_open().receive, size, len)

    def receive_into(self, buffer: memoryview) -> int:
        """
        Fill *buffer* from its start; return the count, 0 at the end.

        Raises:
            httpx.ReadTimeout: No byte came in time, or too few.
            httpx.ReadError: The connection broke.
        """
        return self._receive(self._require_open().receive_into, buffer, int)

    def send_all(self, data: Chunk) -> None:
        """
        Send *data*, however long that takes while it progresses.

        Raises:
            httpx.WriteTimeout: The peer took no byte in time.
            httpx.WriteError: The connection broke.
            StalledError: The peer takes the bytes too slowly.
        """
        sent = self._send(data)
        if sent < len(data):
            view = memoryview(data)
            while sent < len(data):
                sent += self._send(view[sent:])

    def has_input(self) -> bool:
        """Return whether bytes, an end or an error wait to be read."""
        return self._require_open().has_input()

    def discard_input(self) -> bool:
        """Read TLS messages; return whether anything else waits to be read."""
        return self._require_open().discard_input()

    def _receive(self, step: Callable[[_Given], _Received], given: _Given, count: Callable[[_Received], int]) -> _Received:
        """Return the result of *step*, whose bytes *count* counts."""
        began = time.monotonic()
        while True:
            try:
                received = step(given)
            except TimeoutError as error:
                self._hold_on(began, httpx.ReadTimeout, error)
            except OSError as error:
                raise httpx.ReadError(str(error)) from error
            else:
                self._measure(began, count(received))
                return received

    def _send(self, data: Chunk) -> int:
        stream = self._require_open()
        began = time.monotonic()
        while True:
            if self._before_send is not None:
                self._before_send()
            try:
                sent = stream.send(data)
            except TimeoutError as error:
                self._hold_on(began, httpx.WriteTimeout, error)
            except OSError as error:
                raise httpx.WriteError(str(error)) from error
            else:
                self._measure(began, sent)
                return sent

    def _hold_on(self, began: float, kind: type[httpx.TimeoutException], cause: TimeoutError) -> None:
        """Return if the wait that *began* may continue."""
        self._check()
        now = time.monotonic()
        if now - began >= self._silence_seconds:
            raise kind(_TIMED_OUT) from cause
        self._raise_if_late(now)

    def _measure(self, began: float, moved_bytes: int) -> None:
        now = time.monotonic()
        if now >= self._next_check:
            self._next_check = now + TICK_SECONDS
            self._check()
        self._raise_if_late(now)
        self._waited_seconds += now - began
        self._moved_bytes += moved_bytes
        if self._waited_seconds > self._rate_seconds:
            if self._moved_bytes < _MINIMUM_BYTES_PER_SECOND * self._waited_seconds:
                raise StalledError(f"less than {_MINIMUM_BYTES_PER_SECOND >> 10} KiB/s over {self._waited_seconds:.0f} seconds")
            self._waited_seconds, self._moved_bytes = 0.0, 0

    def _raise_if_late(self, now: float) -> None:
        if now > self._ends:
            raise StalledError("the head of the response did not arrive in time")

    def _require_open(self) -> Stream:
        if self._stream is None:
            raise httpx.ReadError("the connection is closed")
        return self._stream
