"""One request as a lane sends it, the bytes of its head, and a body that may have to go out twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.url import Origin

# An answer's extension: it came before any of the request's body was sent.
BODY_UNSENT = "imgsync.body_unsent"
_WITHOUT_BODY = {"GET", "HEAD", "DELETE"}


@dataclass(frozen=True, slots=True)
class Request:
    """
    One request as it goes out: `target` is path and query, ASCII, sent as it is; `host` is for the Host header.

    An iterator as `body` can be sent once, and is `length_bytes` long; with `expect_continue` it is begun only when the server wants it, or says nothing.
    `timeout_seconds` is the longest silence, but `response_timeout_seconds` (if longer) that before the answer; `connect_timeout_seconds` the longest dialling.

    httpx's own Request is not it: it parses each URL character by character, which was a quarter of a request's CPU (docs/decisions/0005).
    """

    method: str
    origin: Origin
    host: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | Iterable[bytes] | None = field(default=None, repr=False)
    length_bytes: int | None = None
    expect_continue: bool = False
    timeout_seconds: float = 30.0
    connect_timeout_seconds: float = 10.0
    response_timeout_seconds: float = 0.0

    @property
    def length(self) -> int:
        """Return how long the body is, in bytes."""
        return self.length_bytes if self.length_bytes is not None else len(self.body) if isinstance(self.body, bytes) else 0

    @property
    def is_replayable(self) -> bool:
        """Return whether it may be sent once more."""
        return self.body is None or isinstance(self.body, bytes) or (isinstance(self.body, PrefetchedBody) and self.body.fresh)


class PrefetchedBody:
    """A body whose first piece is at hand; it can be given from its beginning as long as no other was taken."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        """Take the first of *pieces*, however long it is in coming."""
        self._rest = iter(pieces)
        self._first = next(self._rest, b"")
        self.fresh = True

    def __iter__(self) -> Iterator[bytes]:
        """Give the first piece, as often as nobody asks for the second, and the rest once."""
        yield self._first
        for piece in self._rest:
            self.fresh, self._first = False, b""
            yield piece


def format_head(request: Request) -> bytes:
    """
    Return what stands before the body of *request* on the wire.

    Raises:
        httpx.LocalProtocolError: A line break in it would make two requests of one.
    """
    lines = [f"{request.method} {request.target} HTTP/1.1", f"Host: {request.host}"]
    lines += [f"{name}: {value}" for name, value in request.headers]
    if request.method not in _WITHOUT_BODY:
        lines.append(f"Content-Length: {request.length}")
    if request.expect_continue:
        lines.append("Expect: 100-continue")
    text = "\r\n".join(lines)
    if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1 or "\0" in text:
        raise httpx.LocalProtocolError("a header holds a line break")
    return text.encode("latin-1") + b"\r\n\r\n"
