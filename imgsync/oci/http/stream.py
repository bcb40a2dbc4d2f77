"""
Byte streams whose operations wait a quarter of a second at most.

gevent and `ssl` restart their timeout with each byte. So a peer that sends a TLS record byte by byte would hold one call for hours.
Here each call returns soon, and the caller counts the time.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol, TypeVar

from imgsync.oci.http.wait_limit import TICK_SECONDS, WaitLimit

Result = TypeVar("Result")


class Stream(Protocol):
    """A connected socket, plain or with TLS."""

    is_encrypted: bool

    def receive(self, size: int) -> bytes:
        """
        Return up to *size* bytes; none at the end.

        Raises:
            TimeoutError: None came within a quarter of a second; call again.
        """

    def receive_into(self, buffer: memoryview) -> int:
        """
        Fill *buffer* from its start; return the count, 0 at the end.

        Raises:
            TimeoutError: None came within a quarter of a second; call again.
        """

    def send(self, data: bytes | memoryview) -> int:
        """
        Return how many bytes of *data* were taken.

        Raises:
            TimeoutError: None was taken within a quarter of a second; call again with the same data.
        """

    def has_input(self) -> bool:
        """Return whether bytes, an end or an error wait to be read."""

    def discard_input(self) -> bool:
        """Read TLS messages; return whether anything else waits to be read."""

    def close(self) -> None:
        """Close the socket."""


class PlainStream:
    """A stream without TLS."""

    is_encrypted = False

    def __init__(self, connected: socket.socket) -> None:
        """Take over *connected*."""
        self.socket = connected
        connected.settimeout(TICK_SECONDS)
        # Called without a method in between: most streams are plain, and each request calls them.
        self.receive = connected.recv
        self.receive_into = connected.recv_into
        self.send = connected.send

    def has_input(self) -> bool:
        """Return whether bytes, an end or an error wait to be read."""
        return has_raw_input(self.socket)

    def discard_input(self) -> bool:
        """Return whether anything waits to be read."""
        return has_raw_input(self.socket)

    def close(self) -> None:
        """Close the socket."""
        with suppress(OSError):
            self.socket.close()


class TlsStream:
    """A stream with TLS over a socket."""

    is_encrypted = True

    def __init__(self, connected: socket.socket, context: ssl.SSLContext, host: str, session: ssl.SSLSession | None = None) -> None:
        """Take over *connected*; call `shake_hands` first, which may resume *session*."""
        self.socket = context.wrap_socket(connected, server_hostname=host, do_handshake_on_connect=False, session=session)
        self.socket.settimeout(0)
        self._awaits_answer = False

    @property
    def tls(self) -> ssl.SSLSocket:
        """Return the TLS connection."""
        return self.socket

    def shake_hands(self, limit: WaitLimit) -> None:
        """
        Do the TLS handshake.

        Raises:
            TimeoutError: It took longer than *limit*.
            ssl.SSLError: The server is not trusted, or does not speak TLS.
        """
        repeat(partial(self._run, self.socket.do_handshake), limit)

    def receive(self, size: int) -> bytes:
        """Return up to *size* bytes; none at the end."""
        if self._awaits_answer:
            # It takes at least a round trip, and a read in vain costs more than a wait.
            self._awaits_answer = False
            if not self.socket.pending():
                self._wait(select.POLLIN)
        return self._run(partial(self.socket.recv, size))

    def receive_into(self, buffer: memoryview) -> int:
        """Fill *buffer* from its start; return the count, 0 at the end."""
        return read_records(self.socket.recv_into, buffer, self._run(partial(self.socket.recv_into, buffer)))

    def send(self, data: bytes | memoryview) -> int:
        """Return how many bytes of *data* were taken."""
        self._awaits_answer = True
        return write_records(self.socket.send, data, self._run(partial(self.socket.send, data)))

    def has_input(self) -> bool:
        """Return whether bytes, an end or an error wait to be read."""
        return has_raw_input(self.socket)

    def discard_input(self) -> bool:
        """Read TLS messages; return whether anything else waits to be read."""
        # Servers send session tickets after a TLS 1.3 handshake.
        if not self.has_input():
            return False
        try:
            self.socket.recv(1)
        except (ssl.SSLWantReadError, BlockingIOError):
            return False
        except OSError:
            pass
        return True

    def close(self) -> None:
        """Close the socket."""
        with suppress(OSError):
            self.socket.close()

    def _run(self, step: Callable[[], Result]) -> Result:
        """Repeat *step* until TLS has the bytes that it needs."""
        ends = 0.0
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                needs = select.POLLIN
            except ssl.SSLWantWriteError:
                needs = select.POLLOUT
            now = time.monotonic()
            ends = ends or now + TICK_SECONDS
            if now >= ends:
                raise TimeoutError("TLS needs more bytes")
            self._wait(needs)

    def _wait(self, event: int) -> None:
        if event == select.POLLOUT:
            wait_until_ready(self.socket, event)
            return
        # Cheaper than `poll` under gevent; the method of the base class reads below TLS.
        self.socket.settimeout(TICK_SECONDS)
        try:
            socket.socket.recv(self.socket, 1, socket.MSG_PEEK)
        finally:
            self.socket.settimeout(0)


def read_records(receive_into: Callable[[memoryview], int], buffer: memoryview, count: int) -> int:
    """Read TLS records behind *count* bytes; return the new count."""
    # TLS gives at most one record of 16 KiB at once.
    with suppress(ssl.SSLWantReadError):
        while 0 < count < len(buffer):
            more = receive_into(buffer[count:])
            if not more:
                break
            count += more
    return count


def write_records(send: Callable[[memoryview], int], data: bytes | memoryview, count: int) -> int:
    """Write *data* behind *count* bytes; return the new count."""
    if count < len(data):
        view = memoryview(data)
        # As above. What TLS could not send must be offered again, which the next call does.
        with suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            while count < len(view):
                count += send(view[count:])
    return count


def repeat(step: Callable[[], Result], limit: WaitLimit) -> Result:
    """Repeat *step* until it no longer raises TimeoutError, within *limit*."""
    while True:
        try:
            return step()
        except TimeoutError:
            limit.raise_if_over()


def wait_until_ready(connected: socket.socket, event: int) -> None:
    """
    Wait for *event* of `select.poll` at a socket.

    Raises:
        TimeoutError: It did not come within a quarter of a second.
    """
    ready = select.poll()
    ready.register(connected.fileno(), event)
    if not ready.poll(TICK_SECONDS * 1000):
        raise TimeoutError("the socket is not ready")


def has_raw_input(connected: socket.socket) -> bool:
    """Return whether bytes, an end or an error wait below TLS."""
    # Unlike `select`, a read sees descriptors above 1023. gevent's `poll` does too, but costs twice as much.
    timeout = connected.gettimeout()
    connected.settimeout(0)
    try:
        socket.socket.recv(connected, 1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        connected.settimeout(timeout)
    return True
