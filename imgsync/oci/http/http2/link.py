"""A session over TLS: one thread reads, one writes."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.errors import Http2UnusableError
from imgsync.oci.http.http2 import frames
from imgsync.oci.http.http2.errors import ConnectionBrokenError
from imgsync.oci.http.http2.exchange import Exchange
from imgsync.oci.http.http2.session import Session
from imgsync.oci.http.http2.static_table import Header
from imgsync.oci.http.nested_tls import DuplexTls, NestedTlsStream
from imgsync.oci.http.wait_limit import TICK_SECONDS

# Responses are small here, and larger buffers cost a system call each.
_RECEIVE_BYTES = 64 << 10
# Bodies wait while more is queued, so that memory stays bounded and a small request does not wait behind them.
_QUEUE_BYTES = 256 << 10
# How long the reader may keep others from running: to let them run costs as much as a small response.
_TURN_SECONDS = 0.01


class Link:
    """One HTTP/2 connection that several callers use at once."""

    def __init__(self, stream: DuplexTls, stream_limit: int) -> None:
        """Take over *stream*, and send the first frames."""
        self._stream = stream
        self._session = Session(stream_limit)
        self._lock = threading.Lock()
        self._has_output = threading.Event()
        self._has_output.set()
        self._queued_bytes = 0
        self._is_closed = False
        self._next_tick = time.monotonic() + TICK_SECONDS
        self._next_turn = 0.0
        for work in (self._read, self._write):
            threading.Thread(target=work, daemon=True).start()

    @property
    def served_frames(self) -> int:
        """Return how many frames of responses came."""
        return self._session.served_frames

    @property
    def stream_limit(self) -> int:
        """Return how many exchanges the server takes at once."""
        return self._session.stream_limit

    @property
    def free_streams(self) -> int:
        """Return how many more exchanges may begin."""
        return 0 if self._is_closed else self._session.free_streams

    @property
    def active_streams(self) -> int:
        """Return how many exchanges there are."""
        return len(self._session.exchanges)

    @property
    def is_open(self) -> bool:
        """Return whether exchanges may begin, now or later."""
        return not self._is_closed and not self._session.is_draining

    @property
    def unusable(self) -> str:
        """Return why HTTP/2 does not work here, "" if it does."""
        return self._session.unusable

    def begin(self, method: str, headers: list[Header], *, body_bytes: int) -> Exchange:
        """
        Begin an exchange.

        Raises:
            FullError: The connection takes no more requests.
        """
        with self._lock:
            exchange = self._session.begin(method, headers, body_bytes=body_bytes)
        self._has_output.set()
        return exchange

    def send_body(self, exchange: Exchange, data: bytes | memoryview) -> int:
        """Queue as much of *data* as the windows and the queue allow."""
        with self._lock:
            if self._queued_bytes >= _QUEUE_BYTES:
                return 0
            size = self._session.send_body(exchange, data)
            self._queued_bytes += size
        if size:
            self._has_output.set()
        return size

    def take(self, exchange: Exchange, size: int) -> bytes:
        """Return up to *size* bytes of the response."""
        with self._lock:
            data = self._session.take(exchange, size)
        self._send_output()
        return data

    def end(self, exchange: Exchange) -> None:
        """Forget an exchange, and cancel what is left of it."""
        with self._lock:
            self._session.end(exchange)
        self._send_output()
        self._close_if_drained()

    def retire(self) -> None:
        """Begin no more exchanges; close once all have ended."""
        self._session.is_draining = True
        self._close_if_drained()

    def close(self) -> None:
        """Close the connection; what runs on it fails."""
        self._fail(httpx.ReadError("the connection is closed"))

    def _send_output(self) -> None:
        if self._session.has_output:
            self._has_output.set()

    def _close_if_drained(self) -> None:
        if self._session.is_draining and not self._session.exchanges:
            self.close()

    def _fail(self, error: httpx.TransportError) -> None:
        self._is_closed = True
        with self._lock:
            self._session.fail(error)
        self._has_output.set()

    def _read(self) -> None:
        """Feed what comes to the session until the connection ends."""
        try:
            while not self._is_closed:
                self._receive()
        except ConnectionBrokenError as error:
            self._say_goodbye(error)
            self._session.unusable = f"the server sent {error}"
            self._fail(Http2UnusableError(self._session.unusable))
        except OSError as error:
            self._fail(httpx.ReadError(str(error)))
        finally:
            # Also after a bug: the callers wait for this thread alone.
            self._fail(httpx.ReadError("the connection is closed"))
            # Here, because nothing may wait at a descriptor that is closed.
            self._stream.close()

    def _receive(self) -> None:
        try:
            data = self._stream.receive(_RECEIVE_BYTES)
        except TimeoutError:
            self._tick()
            return
        now = time.monotonic()
        if now >= self._next_tick:
            self._tick()
        if data is not None:
            self._feed(data)
        if now >= self._next_turn or self._session.has_output:
            # While bytes are there, gevent's `recv` returns without a switch, and nothing else in the process would run.
            time.sleep(0)
            self._next_turn = time.monotonic() + _TURN_SECONDS

    def _feed(self, data: bytes) -> None:
        with self._lock:
            if data:
                self._session.feed(data)
            else:
                self._session.end_input()
        if not data:
            self._fail(httpx.ReadError("the connection is closed"))
        self._send_output()
        self._close_if_drained()

    def _tick(self) -> None:
        """Let all callers look at their time limits."""
        # One timer for all of them, since gevent's timeouts cost as much as a small request.
        self._next_tick = time.monotonic() + TICK_SECONDS
        with self._lock:
            self._session.wake_all()

    def _say_goodbye(self, error: ConnectionBrokenError) -> None:
        """Send the reason, if the server takes it at once."""
        with suppress(OSError):
            self._stream.send(frames.format_goaway(error.code), _give_up)

    def _write(self) -> None:
        """Send what the session has to send, until the connection ends."""
        try:
            while True:
                self._has_output.wait()
                self._has_output.clear()
                self._raise_if_closed()
                self._send()
        except OSError as error:
            self._fail(httpx.WriteError(str(error)))
        finally:
            self._fail(httpx.WriteError("the connection is closed"))

    def _send(self) -> None:
        with self._lock:
            data = self._session.take_output()
            has_bodies, held_back = self._queued_bytes > 0, self._queued_bytes >= _QUEUE_BYTES
        if data:
            self._stream.send(data, self._raise_if_closed)
        if has_bodies:
            with self._lock:
                self._queued_bytes = 0
                if held_back:
                    self._session.wake_senders()

    def _raise_if_closed(self) -> None:
        if self._is_closed:
            raise OSError("the connection is closed")


def _give_up() -> None:
    raise OSError("the peer takes no bytes")


def open_link(stream: NestedTlsStream, *, stream_limit: int) -> Link:
    """
    Return the link over *stream*, whose server chose HTTP/2.

    *stream_limit* is how many exchanges at once it probably takes.
    """
    return Link(stream.make_duplex(), stream_limit)
