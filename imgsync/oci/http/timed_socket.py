"""A socket that raises httpx's errors and detects stalled peers."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress

from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.errors import StalledError

# Below 1 KiB/s we treat the peer as stalled.
_MINIMUM_BYTES_PER_SECOND = 1 << 10
_TIMED_OUT = "no data within the timeout"


class TimedSocket:
    """
    A connected socket with a timeout for silence and a minimum rate.

    A slow drip never trips a read timeout. So the time spent waiting is added up, and each timeout's worth of it must have moved 1 KiB/s.
    """

    __slots__ = ("_limit_seconds", "_moved_bytes", "_socket", "_waited_seconds", "is_encrypted")

    def __init__(self, connected: socket.socket) -> None:
        """Take over *connected*."""
        self._socket: socket.socket | None = connected
        self._limit_seconds = 0.0
        self._waited_seconds = 0.0
        self._moved_bytes = 0
        self.is_encrypted = isinstance(connected, ssl.SSLSocket)

    @property
    def is_open(self) -> bool:
        """Return whether `close` was not called yet."""
        return self._socket is not None

    def close(self) -> None:
        """Close the socket, once."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()
            self._socket = None

    def set_timeout(self, seconds: float) -> None:
        """Set the longest silence in *seconds*."""
        try:
            self._require_open().settimeout(seconds)
        except OSError as error:
            raise httpx.WriteError(str(error)) from error

    def restart_rate(self, limit_seconds: float) -> None:
        """Measure the rate from now, over *limit_seconds* of waiting."""
        self._limit_seconds = limit_seconds
        self._waited_seconds = 0.0
        self._moved_bytes = 0

    def receive(self, size: int, *, is_measured: bool = True) -> bytes:
        """
        Return up to *size* bytes; none at the end of the stream.

        Args:
            size: The most bytes to return.
            is_measured: Whether the time counts for the minimum rate.

        Raises:
            httpx.ReadTimeout: No byte came in time, or too few.
            httpx.ReadError: The connection broke.
        """
        try:
            if not is_measured:
                return self._require_open().recv(size)
            began = time.monotonic()
            data = self._require_open().recv(size)
        except TimeoutError as error:
            raise httpx.ReadTimeout(_TIMED_OUT) from error
        except OSError as error:
            raise httpx.ReadError(str(error)) from error
        self._measure(began, len(data))
        return data

    def send_all(self, data: bytes) -> None:
        """
        Send *data*, however long that takes while it progresses.

        Raises:
            httpx.WriteTimeout: The peer took no byte in time.
            httpx.WriteError: The connection broke.
            StalledError: The peer takes the bytes too slowly.
        """
        # Piece by piece: `sendall` would apply the timeout to the whole.
        sent = self._send(data)
        if sent < len(data):
            view = memoryview(data)
            while sent < len(data):
                sent += self._send(view[sent:])

    def has_input(self) -> bool:
        """Return whether bytes, an end or an error wait to be read."""
        # Unlike `select`, a read sees descriptors above 1023. gevent's `poll` does too, but costs twice as much.
        return self._is_ready(_peek)

    def discard_input(self) -> bool:
        """
        Read TLS messages; return whether anything else waits to be read.

        Servers send session tickets after a TLS 1.3 handshake.
        """
        return self.has_input() and (not self.is_encrypted or self._is_ready(_read_byte))

    def _is_ready(self, read: Callable[[socket.socket], bytes]) -> bool:
        """Return whether *read* returns or fails at once."""
        connected = self._require_open()
        timeout = connected.gettimeout()
        connected.settimeout(0)
        try:
            read(connected)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            return True
        finally:
            connected.settimeout(timeout)
        return True

    def _send(self, data: bytes | memoryview) -> int:
        try:
            began = time.monotonic()
            sent = self._require_open().send(data)
        except TimeoutError as error:
            raise httpx.WriteTimeout(_TIMED_OUT) from error
        except OSError as error:
            raise httpx.WriteError(str(error)) from error
        self._measure(began, sent)
        return sent

    def _measure(self, began: float, moved_bytes: int) -> None:
        self._waited_seconds += time.monotonic() - began
        self._moved_bytes += moved_bytes
        if self._waited_seconds > self._limit_seconds:
            if self._moved_bytes < _MINIMUM_BYTES_PER_SECOND * self._waited_seconds:
                raise StalledError(f"less than {_MINIMUM_BYTES_PER_SECOND >> 10} KiB/s over {self._waited_seconds:.0f} seconds")
            self._waited_seconds, self._moved_bytes = 0.0, 0

    def _require_open(self) -> socket.socket:
        if self._socket is None:
            raise httpx.ReadError("the connection is closed")
        return self._socket


def _peek(connected: socket.socket) -> bytes:
    # The method of the base class reads below TLS.
    return socket.socket.recv(connected, 1, socket.MSG_PEEK)


def _read_byte(connected: socket.socket) -> bytes:
    return connected.recv(1)
