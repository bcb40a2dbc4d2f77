"""
A lane to one registry: kept sockets under httpx's answers and errors, heads parsed by llhttp (httptools).

It does what a mirror needs of HTTP/1.1 and no more: one request at a time, bodies of a known length, one connection to the registry and one to
where it keeps its blobs. Nothing here decodes, follows, authorises or tries again what a server may have seen.
docs/decisions/0005 says what that saves, measured.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TypeVar

from imgsync.oci.address import Origin
from imgsync.oci.answer import ParsedAnswer
from imgsync.oci.foreign import httpx
from imgsync.oci.guard import Guard

Given = TypeVar("Given")
Moved = TypeVar("Moved", bytes, int)

# How much of a body is read at once: the more, the less each byte costs, but each lane holds a few pieces. Shared by the large bodies that are open.
_RECEIVE_BYTES = 256 << 10
_LARGE_RECEIVE_BYTES = 1 << 20
_LARGE_TOGETHER_BYTES = 16 << 20
_LARGE_BYTES = 8 << 20
_SMALL_BYTES = 64 << 10
_CONNECTIONS = 2
_CONTINUE_SECONDS = 1.0
# What does not even move so much while it is waited for may as well be silent.
_LEAST_BYTES_A_SECOND = 1 << 10
# An answer's extension: it came before any of the request's body was sent.
UNTOUCHED = "imgsync.untouched"
_WITHOUT_BODY = {"GET", "HEAD", "DELETE"}
_SELECTABLE = 1024


@dataclass(frozen=True, slots=True)
class Outgoing:
    """
    One request as it goes out: `target` is path and query, ASCII, sent as it is; `host` is for the Host header.

    An iterator as `body` can be sent once, and is `length_bytes` long; with `expects` it is begun only when the server wants it, or says nothing.
    `timeout_seconds` is the longest silence, but `answer_seconds` (if longer) that before the answer; `connect_seconds` the longest dialling.

    httpx's own Request is not it: it parses each URL character by character, which was a quarter of a request's CPU (docs/decisions/0005).
    """

    method: str
    origin: Origin
    host: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | Iterable[bytes] | None = field(default=None, repr=False)
    length_bytes: int | None = None
    expects: bool = False
    timeout_seconds: float = 30.0
    connect_seconds: float = 10.0
    answer_seconds: float = 0.0

    @property
    def length(self) -> int:
        """Return how long the body is, in bytes."""
        return self.length_bytes if self.length_bytes is not None else len(self.body) if isinstance(self.body, bytes) else 0

    @property
    def replayable(self) -> bool:
        """Return whether it may be sent once more."""
        return self.body is None or isinstance(self.body, bytes) or (isinstance(self.body, _Primed) and self.body.fresh)


class _Primed:
    """A body whose first piece is at hand; it can be given from its beginning as long as no other was taken."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._rest = iter(pieces)
        self._first = next(self._rest, b"")
        self.fresh = True

    def __iter__(self) -> Iterator[bytes]:
        yield self._first
        for piece in self._rest:
            self.fresh, self._first = False, b""
            yield piece


class Lane:
    """Sends one request at a time; keeps its last two connections open. Errors are httpx's own."""

    def __init__(self, context: Callable[[], ssl.SSLContext], guard: Guard) -> None:
        """Dial through *guard*, and speak TLS to https with what *context* gives."""
        self._context = context
        self._guard = guard
        self._connections: dict[Origin, _Connection] = {}

    def send(self, request: Outgoing) -> httpx.Response:
        """
        Send *request* and return the answer with its body unread.

        Raises:
            httpx.TransportError: Nobody answered in time, or not in HTTP.
        """
        origin = request.origin
        if request.body is not None and not isinstance(request.body, bytes) and not request.expects:
            # Before a connection is chosen: until the first byte comes, one that lies idle may be closed.
            request = replace(request, body=_Primed(request.body))
        kept = self._connections.pop(origin, None)
        if kept is not None and not kept.usable:
            kept.close()
            kept = None
        connection = kept or self._connected(origin, request.connect_seconds)
        try:
            try:
                answer = connection.exchange(request)
            except (httpx.NetworkError, httpx.RemoteProtocolError):
                if kept is None or connection.answered or (connection.begun and not request.replayable):
                    raise
                # It was closed while it lay idle: the server has not seen this request, so it goes out again on a new one.
                connection.close()
                connection = self._connected(origin, request.connect_seconds)
                answer = connection.exchange(request)
        except BaseException:
            connection.close()
            raise
        self._keep(origin, connection)
        return answer

    def connect(self, origin: Origin, seconds: float) -> None:
        """
        Open the connection to *origin* before it is needed; in so many *seconds*, or not.

        Raises:
            httpx.TransportError: It does not answer.
        """
        if origin not in self._connections:
            self._keep(origin, self._connected(origin, seconds))

    def close(self) -> None:
        """Close both connections."""
        while self._connections:
            self._connections.popitem()[1].close()

    def _keep(self, origin: Origin, connection: _Connection) -> None:
        self._connections[origin] = connection
        while len(self._connections) > _CONNECTIONS:
            self._connections.pop(next(iter(self._connections))).close()

    def _connected(self, origin: Origin, seconds: float) -> _Connection:
        scheme, host, port = origin
        dialled = self._guard.dial(host, port, seconds)
        try:
            dialled.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if scheme == "https":
                dialled = self._context().wrap_socket(dialled, server_hostname=host)
        except TimeoutError as error:
            dialled.close()
            raise httpx.ConnectTimeout("the TLS handshake takes too long") from error
        except (OSError, ValueError) as error:
            dialled.close()
            raise httpx.ConnectError(str(error)) from error
        return _Connection(dialled)


class _Connection:
    """One socket and the exchange on it; `begun` says whether its body was touched, `answered` whether any byte of its answer came."""

    def __init__(self, dialled: socket.socket) -> None:
        self._socket: socket.socket | None = dialled
        self._encrypted = isinstance(dialled, ssl.SSLSocket)
        self._idle = True
        self._flow = _Flow(0)
        self.begun = False
        self.answered = False

    @property
    def usable(self) -> bool:
        """Return whether the next request may be sent: the last answer was read to its end, and nothing came since."""
        return self._socket is not None and self._idle and not self._readable()

    def close(self) -> None:
        """Close the socket, once."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()
            self._socket = None

    def exchange(self, request: Outgoing) -> httpx.Response:
        """Send *request* and read the answer's head."""
        self._idle = False
        self.begun = False
        self.answered = False
        parser = ParsedAnswer(request.method)
        with _as_httpx(httpx.WriteTimeout, httpx.WriteError):
            self._live.settimeout(request.timeout_seconds)
        self._flow = _Flow(request.timeout_seconds)
        complete = False if request.expects and self._is_refused(request, parser) else self._send(request, parser)
        self._flow = _Flow(request.timeout_seconds)
        with _as_httpx(httpx.ReadTimeout, httpx.ReadError):
            if request.answer_seconds > request.timeout_seconds:
                self._live.settimeout(request.answer_seconds)
            while not parser.has_head:
                self._feed(parser)
            if request.answer_seconds > request.timeout_seconds:
                self._live.settimeout(request.timeout_seconds)
        self._flow = _Flow(request.timeout_seconds)
        body = _Body(self, parser, reusable=complete and parser.keeps_alive)
        return httpx.Response(parser.status, headers=parser.headers, stream=body, extensions={} if self.begun else {UNTOUCHED: True})

    def read(self, size: int) -> bytes:
        """Return up to *size* bytes of a body, none at the connection's end."""
        with _as_httpx(httpx.ReadTimeout, httpx.ReadError):
            return self._flow.timed(self._live.recv, size)

    def done(self, *, reusable: bool) -> None:
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

    def _feed(self, parser: ParsedAnswer) -> None:
        # How long the first byte takes is the server's affair; from then on the head has to come.
        data = self._flow.timed(self._live.recv, _RECEIVE_BYTES) if self.answered else self._live.recv(_RECEIVE_BYTES)
        if not data:
            raise httpx.RemoteProtocolError("the server closed the connection without an answer")
        self.answered = True
        parser.feed(data)

    def _is_refused(self, request: Outgoing, parser: ParsedAnswer) -> bool:
        """Send the head alone, and return whether the server answered without wanting the body; who does not know the question is not waited for."""
        self._send_all(_head(request))
        with _as_httpx(httpx.ReadTimeout, httpx.ReadError):
            self._live.settimeout(_CONTINUE_SECONDS)
            with suppress(TimeoutError):
                while not (parser.has_head or parser.goes_on):
                    self._feed(parser)
            self._live.settimeout(request.timeout_seconds)
        return parser.has_head

    def _send(self, request: Outgoing, parser: ParsedAnswer) -> bool:
        """Send head and body; return False when the server answered before it had all of it, and the rest was kept."""
        self.begun = True
        body = request.body or b""
        pieces = iter((body,) if isinstance(body, bytes) else body)
        head = b"" if request.expects else _head(request)
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

    def _answered_early(self, parser: ParsedAnswer) -> bool:
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

    def __init__(self, connection: _Connection, answer: ParsedAnswer, *, reusable: bool) -> None:
        self._connection: _Connection | None = connection
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

    def _read_rest(self, connection: _Connection, left: int) -> Iterator[bytes]:
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

    def _read_more(self, connection: _Connection) -> None:
        """Take in more of a body that says itself where it ends, or ends with the connection."""
        data = connection.read(_RECEIVE_BYTES)
        if data:
            self._answer.feed(data)
            if self._answer.complete:
                self._finish()
        elif self._answer.keeps_alive:
            raise httpx.RemoteProtocolError("the connection closed before the end of the body")
        else:
            self._reusable = False
            self._finish()

    def _finish(self) -> None:
        if self._connection is not None:
            self._connection.done(reusable=self._reusable and not self._answer.surplus)
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


def _head(request: Outgoing) -> bytes:
    lines = [f"{request.method} {request.target} HTTP/1.1", f"Host: {request.host}"]
    lines += [f"{name}: {value}" for name, value in request.headers]
    if request.method not in _WITHOUT_BODY:
        lines.append(f"Content-Length: {request.length}")
    if request.expects:
        lines.append("Expect: 100-continue")
    text = "\r\n".join(lines)
    if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1 or "\0" in text:
        raise httpx.LocalProtocolError("a header holds a line break")
    return text.encode("latin-1") + b"\r\n\r\n"
