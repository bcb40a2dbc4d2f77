"""HTTP/1.1 by hand, piece by piece, so that a proxy can lie."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http import HTTPStatus

PIECE = 1 << 14
_HEAD_LIMIT = 1 << 18
Headers = tuple[tuple[str, str], ...]


class CutError(Exception):
    """Raised in a body to end the connection, with or without a reset."""

    def __init__(self, *, reset: bool) -> None:
        super().__init__("cut")
        self.reset = reset


class PeerGoneError(Exception):
    """The other side closed the connection, or never spoke HTTP."""


@dataclass(frozen=True, slots=True)
class Request:
    """The head of a request."""

    method: str
    target: str
    headers: Headers

    @property
    def path(self) -> str:
        """Return the target without its query."""
        return self.target.partition("?")[0]

    def header(self, name: str) -> str | None:
        """Return the first value of a header, None without one."""
        return first(self.headers, name)


@dataclass(frozen=True, slots=True)
class Answer:
    """
    A response: head and body.

    `framing` is how the body ends: "length", "chunked" or "close". With "length" the `Content-Length` in `headers` is sent as it is, right or wrong. With "raw"
    the body is the whole response with its head.
    """

    status: int
    headers: Headers = ()
    body: Callable[[], Iterator[bytes]] = field(default=lambda: iter(()))
    framing: str = "length"

    def header(self, name: str) -> str | None:
        """Return the first value of a header, None without one."""
        return first(self.headers, name)

    def with_headers(self, **changes: str | None) -> Answer:
        """Return the answer with headers set (`Content_Length="3"`), or removed with None."""
        named = {name.replace("_", "-"): value for name, value in changes.items()}
        return replace(self, headers=changed(self.headers, named))


def first(headers: Headers, name: str) -> str | None:
    """Return the first value of the header *name*, None without one."""
    return next((value for key, value in headers if key.lower() == name.lower()), None)


def changed(headers: Headers, changes: dict[str, str | None]) -> Headers:
    """Return *headers* with *changes*; None removes a header."""
    lowered = {name.lower() for name in changes}
    kept = tuple((name, value) for name, value in headers if name.lower() not in lowered)
    return kept + tuple((name, value) for name, value in changes.items() if value is not None)


def plain_answer(status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
    """Return an answer with a body of known length."""
    given = {"Content-Type": "application/json", "Content-Length": str(len(body))} | (headers or {})
    return Answer(status, tuple(given.items()), lambda: iter((body,) if body else ()))


class Connection:
    """One socket, read with a small buffer of its own."""

    def __init__(self, sock: socket.socket) -> None:
        """Read from and write to *sock*."""
        self.sock = sock
        self._buffer = b""

    def read_request(self) -> Request | None:
        """Return the next request's head, None when the client is done."""
        try:
            lines = self._read_head()
        except (PeerGoneError, OSError):
            return None
        method, _, rest = lines[0].partition(" ")
        return Request(method, rest.rpartition(" ")[0], _headers(lines[1:]))

    def read_answer(self, method: str) -> Answer:
        """Return the response to a *method* request; its body is read lazily."""
        lines = self._read_head()
        status = int(lines[0].split(" ")[1])
        headers = _headers(lines[1:])
        if method == "HEAD" or status in {204, 304} or status < 200:
            return Answer(status, headers)
        if (first(headers, "transfer-encoding") or "").lower() == "chunked":
            return Answer(status, headers, self.chunked, "chunked")
        length = first(headers, "content-length")
        if length is None:
            return Answer(status, headers, self.to_the_end, "close")
        return Answer(status, headers, lambda: self.exactly(int(length)), "length")

    def body_of(self, request: Request) -> Iterator[bytes]:
        """Yield a request's body; send 100 Continue when it is first needed."""
        if (request.header("expect") or "").lower() == "100-continue":
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if (request.header("transfer-encoding") or "").lower() == "chunked":
            yield from self.chunked()
        else:
            yield from self.exactly(int(request.header("content-length") or 0))

    def exactly(self, size: int) -> Iterator[bytes]:
        """Yield *size* bytes in pieces."""
        while size:
            piece = self._take(min(size, PIECE))
            size -= len(piece)
            yield piece

    def to_the_end(self) -> Iterator[bytes]:
        """Yield everything until the other side closes."""
        while True:
            try:
                yield self._take(PIECE)
            except PeerGoneError:
                return

    def chunked(self) -> Iterator[bytes]:
        """Yield the content of a chunked body."""
        while size := int(self._read_line().partition(";")[0], 16):
            yield from self.exactly(size)
            self._read_line()
        while self._read_line():
            pass

    def send_request(self, request: Request) -> None:
        """Send a request's head."""
        self.send(_head(f"{request.method} {request.target} HTTP/1.1", request.headers))

    def send_answer(self, answer: Answer, *, head_only: bool, on_bytes: Callable[[int], None], on_end: Callable[[], None]) -> None:
        """
        Send a response; report each piece and the end.

        *on_bytes* gets each piece of body; *on_end* is called before the client can see the end.

        Raises:
            CutError: The body cuts the connection here; the bytes before were sent.
        """
        reason = HTTPStatus(answer.status).phrase if answer.status in set(HTTPStatus) else "Unknown"
        length = answer.header("content-length") or ""
        left = int(length) if answer.framing == "length" and length.isdigit() else None
        if head_only or left == 0:
            on_end()
        if answer.framing != "raw":
            self.send(_head(f"HTTP/1.1 {answer.status} {reason}", answer.headers))
            if head_only:
                return
        for piece in answer.body():
            on_bytes(len(piece))
            if left is not None and 0 < left <= len(piece):
                on_end()
            left = None if left is None else left - len(piece)
            self.send(b"%x\r\n%s\r\n" % (len(piece), piece) if answer.framing == "chunked" else piece)
        on_end()
        if answer.framing == "chunked":
            self.send(b"0\r\n\r\n")

    def send(self, content: bytes) -> None:
        """Send bytes."""
        self.sock.sendall(content)

    def close(self, *, reset: bool = False) -> None:
        """Close the connection; a reset is an error for the other side."""
        try:
            if reset:
                # Linger on with zero seconds: the kernel sends RST instead of FIN.
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            else:
                self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()

    def _read_head(self) -> list[str]:
        while b"\r\n\r\n" not in self._buffer:
            if len(self._buffer) > _HEAD_LIMIT:
                raise PeerGoneError
            self._buffer += self._receive()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return head.decode("latin-1").split("\r\n")

    def _read_line(self) -> str:
        while b"\r\n" not in self._buffer:
            self._buffer += self._receive()
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line.decode("latin-1")

    def _take(self, size: int) -> bytes:
        if not self._buffer:
            self._buffer = self._receive()
        piece, self._buffer = self._buffer[:size], self._buffer[size:]
        return piece

    def _receive(self) -> bytes:
        received = self.sock.recv(PIECE)
        if not received:
            raise PeerGoneError
        return received


def _headers(lines: list[str]) -> Headers:
    pairs = (line.partition(":") for line in lines)
    return tuple((name, value.strip()) for name, _, value in pairs)


def _head(start: str, headers: Headers) -> bytes:
    return "\r\n".join([start, *(f"{name}: {value}" for name, value in headers), "", ""]).encode("latin-1")
