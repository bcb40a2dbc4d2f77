"""One socket to a registry and the exchange on it: a request goes out, an answer comes in, and neither may dribble."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TypeVar

from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.request import BODY_UNSENT, Request, format_head
from imgsync.oci.http.response_parser import ResponseParser

Given = TypeVar("Given")
Moved = TypeVar("Moved", bytes, int)

# How much of a body is read at once: the more, the less each byte costs, but each lane holds a few pieces. Shared by the large bodies that are open.
_RECEIVE_BYTES = 256 << 10
_LARGE_RECEIVE_BYTES = 1 << 20
_LARGE_TOGETHER_BYTES = 16 << 20
_LARGE_BYTES = 8 << 20
_SMALL_BYTES = 64 << 10
_CONTINUE_SECONDS = 1.0
# What does not even move so much while it is waited for may as well be silent.
_LEAST_BYTES_A_SECOND = 1 << 10
_SELECTABLE = 1024


class Connection:
    """One socket and the exchange on it; `body_started` says whether its body was touched, `response_started` whether any byte of its answer came."""

    def __init__(self, dialled: socket.socket) -> None:
        self._socket: socket.socket | None = dialled
        self._encrypted = isinstance(dialled, ssl.SSLSocket)
        self._idle = True
        self._flow = _Flow(0)
        self.body_started = False
        self.response_started = False

    @property
    def is_usable(self) -> bool:
        """Return whether the next request may be sent: the last answer was read to its end, and nothing came since."""
        return self._socket is not None and self._idle and not self._readable()

    def close(self) -> None:
        """Close the socket, once."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()
            self._socket = None

    def exchange(self, request: Request) -> httpx.Response:
        """Send *request* and read the answer's head."""
        self._idle = False
        self.body_started = False
        self.response_started = False
        parser = ResponseParser(request.method)
        with _as_httpx(httpx.WriteTimeout, httpx.WriteError):
            self._live.settimeout(request.timeout_seconds)
        self._flow = _Flow(request.timeout_seconds)
        complete = False if request.expect_continue and self._is_refused(request, parser) else self._send(request, parser)
        self._flow = _Flow(request.timeout_seconds)
        with _as_httpx(httpx.ReadTimeout, httpx.ReadError):
            if request.response_timeout_seconds > request.timeout_seconds:
                self._live.settimeout(request.response_timeout_seconds)
            while not parser.has_head:
                self._feed(parser)
            if request.response_timeout_seconds > request.timeout_seconds:
                self._live.settimeout(request.timeout_seconds)
        self._flow = _Flow(request.timeout_seconds)
        body = _Body(self, parser, reusable=complete and parser.keep_alive)
        return httpx.Response(parser.status, headers=parser.headers, stream=body, extensions={} if self.body_started else {BODY_UNSENT: True})

    def read(self, size: int) -> bytes:
        """Return up to *size* bytes of a body, none at the connection's end."""
        with _as_httpx(httpx.ReadTimeout, httpx.ReadError):
            return self._flow.timed(self._live.recv, size)

    def finish(self, *, reusable: bool) -> None:
        """The answer is read to its end, or given up: keep the connection for the next request, or close it."""
        if reusable:
            self._idle = True
        else:
            self.close()

    @property
    def _live(self) -> socket.socket:
        if self._socket is None:
            raise httpx.ReadError("the connection was closed")
        return self._socket

    def _readable(self) -> bool:
        number = self._live.fileno()
        return 0 <= number < _SELECTABLE and bool(select.select([number], [], [], 0)[0])

    def _feed(self, parser: ResponseParser) -> None:
        # How long the first byte takes is the server's affair; from then on the head has to come.
        data = self._flow.timed(self._live.recv, _RECEIVE_BYTES) if self.response_started else self._live.recv(_RECEIVE_BYTES)
        if not data:
            raise httpx.RemoteProtocolError("the server closed the connection without an answer")
        self.response_started = True
        parser.feed(data)

    def _is_refused(self, request: Request, parser: ResponseParser) -> bool:
        """Send the head alone, and return whether the server answered without wanting the body; who does not know the question is not waited for."""
        self._send_all(format_head(request))
        with _as_httpx(httpx.ReadTimeout, httpx.ReadError):
            self._live.settimeout(_CONTINUE_SECONDS)
            with suppress(TimeoutError):
                while not (parser.has_head or parser.has_continue):
                    self._feed(parser)
            self._live.settimeout(request.timeout_seconds)
        return parser.has_head

    def _send(self, request: Request, parser: ResponseParser) -> bool:
        """Send head and body; return False when the server answered before it had all of it, and the rest was kept."""
        self.body_started = True
        body = request.body or b""
        pieces = iter((body,) if isinstance(body, bytes) else body)
        head = b"" if request.expect_continue else format_head(request)
        first = next(pieces, b"")
        left = request.length - len(first)
        try:
            if len(first) <= _SMALL_BYTES:
                self._send_all(head + first)
            else:
                self._send_all(head)
                self._send_all(first)
            for piece in pieces:
                if self._answered_early(parser):
                    return False
                left -= len(piece)
                if left < 0:
                    raise httpx.LocalProtocolError("the body is longer than its Content-Length")
                self._send_all(piece)
        except httpx.WriteError:
            # A server that refuses a body closes its end; what it said is still to be read, if it said anything.
            return False
        except httpx.WriteTimeout:
            # Or it leaves it open, and reads no more.
            if not self._readable():
                raise
            return False
        if left != 0:
            raise httpx.LocalProtocolError("the body is not as long as its Content-Length")
        return True

    def _send_all(self, data: bytes) -> None:
        # Piece by piece, so that the timeout is one of no progress, however long the whole takes.
        with _as_httpx(httpx.WriteTimeout, httpx.WriteError):
            sent = self._flow.timed(self._live.send, data)
            if sent < len(data):
                view = memoryview(data)
                while sent < len(data):
                    sent += self._flow.timed(self._live.send, view[sent:])

    def _answered_early(self, parser: ResponseParser) -> bool:
        # Over TLS a readable socket may hold nothing but a session ticket, and reading it would wait.
        if self._encrypted or not self._readable():
            return False
        with _as_httpx(httpx.ReadTimeout, httpx.ReadError):
            self._feed(parser)
        return parser.has_head


class _Flow:
    """
    Bytes that come or go, and how long was waited for them alone.

    A timeout is one of silence; what dribbles is never silent. So in as much waiting as may be silence a KiB for each second has to move.
    """

    __slots__ = ("_limit", "_moved", "_waited")

    def __init__(self, limit_seconds: float) -> None:
        self._limit = limit_seconds
        self._moved = 0
        self._waited = 0.0

    def timed(self, move: Callable[[Given], Moved], what: Given) -> Moved:
        """Return `move(what)`, bytes that came or how many went."""
        began = time.monotonic()
        moved = move(what)
        self._waited += time.monotonic() - began
        self._moved += moved if isinstance(moved, int) else len(moved)
        if self._waited > self._limit:
            if self._moved < _LEAST_BYTES_A_SECOND * self._waited:
                raise httpx.ReadTimeout(f"less than {_LEAST_BYTES_A_SECOND >> 10} KiB a second came or went for {self._waited:.0f} seconds")
            self._waited, self._moved = 0.0, 0
        return moved


class _Body(httpx.SyncByteStream):
    """An answer's body, to be read once; closed before its end, the connection goes with it."""

    _large_open = 0

    def __init__(self, connection: Connection, answer: ResponseParser, *, reusable: bool) -> None:
        self._connection: Connection | None = connection
        self._answer = answer
        self._reusable = reusable
        if not answer.has_body or answer.complete:
            self._finish()

    def __iter__(self) -> Iterator[bytes]:
        answer = self._answer
        left = answer.length
        while True:
            pieces, answer.pieces = answer.pieces, []
            for piece in pieces:
                if left is not None:
                    left -= len(piece)
                yield piece
            connection = self._connection
            if connection is None:
                return
            if left is not None:
                yield from self._read_rest(connection, left)
                return
            self._read_more(connection)

    def close(self) -> None:
        """Give up what was not read, and the connection with it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _read_rest(self, connection: Connection, left: int) -> Iterator[bytes]:
        """Yield what is left of a body of known length, straight from the socket."""
        large = left >= _LARGE_BYTES
        _Body._large_open += large
        try:
            while left > 0:
                most = max(_RECEIVE_BYTES, min(_LARGE_RECEIVE_BYTES, _LARGE_TOGETHER_BYTES // _Body._large_open)) if large else _RECEIVE_BYTES
                piece = connection.read(min(left, most))
                if not piece:
                    raise httpx.RemoteProtocolError(f"the connection closed {left} bytes before the end of the body")
                left -= len(piece)
                if left == 0:
                    self._finish()
                yield piece
        finally:
            _Body._large_open -= large

    def _read_more(self, connection: Connection) -> None:
        """Take in more of a body that says itself where it ends, or ends with the connection."""
        data = connection.read(_RECEIVE_BYTES)
        if data:
            self._answer.feed(data)
            if self._answer.complete:
                self._finish()
        elif self._answer.keep_alive:
            raise httpx.RemoteProtocolError("the connection closed before the end of the body")
        else:
            self._reusable = False
            self._finish()

    def _finish(self) -> None:
        if self._connection is not None:
            self._connection.finish(reusable=self._reusable and not self._answer.has_surplus)
            self._connection = None


class _as_httpx:  # noqa: N801 - reads as what it is, a block
    """Turns a socket's errors into httpx's."""

    __slots__ = ("_broken", "_late")

    def __init__(self, late: type[httpx.TimeoutException], broken: type[httpx.NetworkError]) -> None:
        self._late = late
        self._broken = broken

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, TimeoutError):
            raise self._late("no byte within the time allowed") from error
        if isinstance(error, OSError):
            raise self._broken(str(error)) from error
