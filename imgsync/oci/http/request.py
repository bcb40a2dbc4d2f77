"""Describe one HTTP request and format its head."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import field

from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.url import Origin
from imgsync.oci.http.wait_limit import never_end
from imgsync.system.chunk import Chunk
from imgsync.system.dataclass import dataclass

# Extension of a response that came before any of the request's body was sent.
BODY_UNSENT = "imgsync.body_unsent"
# Extension of a response: the seconds from the end of the request to the head of the response, without connecting.
RESPONSE_SECONDS = "imgsync.response_seconds"
_METHODS_WITHOUT_BODY = {"CONNECT", "DELETE", "GET", "HEAD"}


@dataclass(frozen=True, slots=True)
class Request:
    """
    One HTTP request.

    `httpx.Request` parses each URL character by character, which cost a quarter of a request's CPU time (docs/decisions/0005).

    Attributes:
        method: The method, in upper case.
        origin: Where to connect.
        host: The value of the Host header.
        target: Path and query, ASCII; sent as they are.
        headers: All other headers, in order.
        body: None, bytes, or an iterable that can be sent once.
        length_bytes: The length of an iterable body.
        is_large: Whether a body is so large that it needs a connection of its own.
        expect_continue: Whether to send the body only when the server asks for it, or is silent for a second.
        timeout_seconds: The longest silence.
        connect_timeout_seconds: The longest time to connect.
        response_timeout_seconds: The longest silence before the response, if longer than `timeout_seconds`.
        check: Called about four times a second while waiting; an error that it raises ends the request.
        before_send: Called right before each piece of head and body is sent; after an error that it raises, nothing more is sent.
    """

    method: str
    origin: Origin
    host: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | Iterable[Chunk] | None = field(default=None, repr=False)
    length_bytes: int | None = None
    is_large: bool = False
    expect_continue: bool = False
    timeout_seconds: float = 30.0
    connect_timeout_seconds: float = 10.0
    response_timeout_seconds: float = 0.0
    check: Callable[[], None] = field(default=never_end, repr=False)
    before_send: Callable[[], None] | None = field(default=None, repr=False)

    @property
    def content_length(self) -> int:
        """Return the length of the body in bytes."""
        return self.length_bytes if self.length_bytes is not None else len(self.body) if isinstance(self.body, bytes) else 0

    @property
    def is_replayable(self) -> bool:
        """Return whether the whole body can be sent again."""
        return self.body is None or isinstance(self.body, bytes) or (isinstance(self.body, PrefetchedBody) and self.body.is_replayable)


class PrefetchedBody:
    """
    A streamed body whose first piece is already read.

    It is replayable until the second piece is taken.
    """

    def __init__(self, pieces: Iterable[Chunk]) -> None:
        """Read the first of *pieces*, however long that takes."""
        self._rest = iter(pieces)
        self._first = next(self._rest, b"")
        self.is_replayable = True

    def __iter__(self) -> Iterator[Chunk]:
        """Yield the first piece, and the rest once."""
        yield self._first
        for piece in self._rest:
            self.is_replayable, self._first = False, b""
            yield piece


def sends_length(request: Request) -> bool:
    """Return whether to send a Content-Length."""
    # Servers may answer 411 to a POST without it.
    return request.method not in _METHODS_WITHOUT_BODY


def format_head(request: Request) -> bytes:
    """
    Return the request line and headers as they are sent.

    Raises:
        httpx.LocalProtocolError: A value holds a line break, which would forge a header or a second request.
    """
    lines = [f"{request.method} {request.target} HTTP/1.1", f"Host: {request.host}"]
    lines += [f"{name}: {value}" for name, value in request.headers]
    if sends_length(request):
        lines.append(f"Content-Length: {request.content_length}")
    if request.expect_continue:
        lines.append("Expect: 100-continue")
    text = "\r\n".join(lines)
    if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1 or "\0" in text:
        raise httpx.LocalProtocolError("a header holds a line break")
    return text.encode("latin-1") + b"\r\n\r\n"
