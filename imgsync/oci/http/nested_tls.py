"""TLS inside a tunnel that is itself encrypted, through an https proxy."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from imgsync.oci.http.stream import Stream, read_records, repeat
from imgsync.oci.http.wait_limit import WaitLimit

Result = TypeVar("Result")

_RECORD_BYTES = 32 << 10
# The most that one record holds.
_PLAIN_BYTES = 16 << 10


class NestedTlsStream:
    """A stream with TLS over another stream."""

    is_encrypted = True

    def __init__(self, outer: Stream, context: ssl.SSLContext, host: str, session: ssl.SSLSession | None = None) -> None:
        """Take over *outer*; call `shake_hands` first, which may resume *session*."""
        self._outer = outer
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host, session=session)
        self._unsent = b""

    def shake_hands(self, limit: WaitLimit) -> None:
        """
        Do the TLS handshake.

        Raises:
            TimeoutError: It took longer than *limit*.
            ssl.SSLError: The server is not trusted, or does not speak TLS.
        """
        repeat(partial(self._run, self.tls.do_handshake), limit)
        repeat(self._flush, limit)

    def receive(self, size: int) -> bytes:
        """Return up to *size* bytes; none at the end."""
        try:
            return self._run(partial(self.tls.read, size))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def receive_into(self, buffer: memoryview) -> int:
        """Fill *buffer* from its start; return the count, 0 at the end."""
        return read_records(self._read_into, buffer, self._run(partial(self._read_into, buffer)))

    def _read_into(self, buffer: memoryview) -> int:
        try:
            # With a buffer, it returns a number.
            return int(self.tls.read(len(buffer), buffer))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return 0

    def send(self, data: bytes | memoryview) -> int:
        """Return how many bytes of *data* were taken."""
        # What an earlier call took goes out first, so memory stays bounded.
        self._flush()
        taken = self.tls.write(data)
        # The bytes are taken; the next call sends the rest.
        with suppress(TimeoutError):
            self._flush()
        return taken

    def has_input(self) -> bool:
        """Return whether bytes, an end or an error wait to be read."""
        return bool(self._incoming.pending or self.tls.pending()) or self._outer.has_input()

    def discard_input(self) -> bool:
        """Read TLS messages; return whether anything else waits to be read."""
        if not self.has_input():
            return False
        try:
            self.receive(1)
        except TimeoutError:
            return False
        except OSError:
            pass
        return True

    @property
    def protocol(self) -> str:
        """Return the protocol that the server chose, "" if it chose none."""
        return self.tls.selected_alpn_protocol() or ""

    def make_duplex(self) -> DuplexTls:
        """Return the same stream for a reading and a writing thread."""
        return DuplexTls(self._outer, self.tls, self._incoming, self._outgoing)

    def close(self) -> None:
        """Close the stream below."""
        self._outer.close()

    def _run(self, step: Callable[[], Result]) -> Result:
        """Do *step*; read once from the stream below if TLS needs more."""
        self._flush()
        try:
            return step()
        except ssl.SSLWantReadError:
            self._flush()
            data = self._outer.receive(_RECORD_BYTES)
            if data:
                self._incoming.write(data)
            else:
                self._incoming.write_eof()
        try:
            return step()
        except ssl.SSLWantReadError as error:
            raise TimeoutError("TLS needs more bytes") from error

    def _flush(self) -> None:
        """Send what TLS has written, or raise TimeoutError."""
        while self._unsent or self._outgoing.pending:
            self._unsent = self._unsent or self._outgoing.read()
            self._unsent = self._unsent[self._outer.send(self._unsent) :]


class DuplexTls:
    """A stream with TLS that one thread reads and another one writes."""

    def __init__(self, outer: Stream, tls: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> None:
        """Take over what a handshake made."""
        self._outer, self._tls, self._incoming, self._outgoing = outer, tls, incoming, outgoing
        # OpenSSL does not let two threads use one connection at the same time.
        self._lock = threading.Lock()
        # Reported once all that came before it was returned.
        self._end: ssl.SSLError | None = None

    def receive(self, size: int) -> bytes | None:
        """
        Return what came in *size* encrypted bytes; none at the end.

        Return None while a TLS record is incomplete; the caller counts the time.

        Raises:
            TimeoutError: None came within a quarter of a second; call again.
            OSError: The connection broke.
        """
        received = self._outer.receive(size) if self._end is None and not self._incoming.pending else None
        with self._lock:
            if received:
                self._incoming.write(received)
            elif received is not None:
                self._incoming.write_eof()
            return self._decrypt()

    def send(self, data: bytes, check: Callable[[], None]) -> None:
        """
        Encrypt *data* and send it, however long that takes.

        *check* is called whenever the peer does not take all at once, at least four times a second; its error ends the wait.

        Raises:
            OSError: The connection broke.
        """
        with self._lock:
            self._tls.write(data)
            unsent = memoryview(self._outgoing.read())
        while unsent:
            with suppress(TimeoutError):
                unsent = unsent[self._outer.send(unsent) :]
            if unsent:
                check()

    def close(self) -> None:
        """Close the stream below."""
        self._outer.close()

    def _decrypt(self) -> bytes | None:
        """Return bytes, none at the end, None while a record is incomplete."""
        pieces: list[bytes] = []
        try:
            # A read in vain costs more than one of a record, so there is none after the last.
            while self._end is None and (not pieces or self._incoming.pending):
                piece = self._tls.read(_PLAIN_BYTES)
                if not piece:
                    raise ssl.SSLZeroReturnError
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._end = error
        if pieces or self._end is None:
            return b"".join(pieces) or None
        if isinstance(self._end, (ssl.SSLZeroReturnError, ssl.SSLEOFError)):
            return b""
        raise self._end
