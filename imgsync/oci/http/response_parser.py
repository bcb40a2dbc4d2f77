"""One answer as llhttp (httptools) tells of it, byte by byte: head, body in whatever framing, and what does not belong to it."""

from __future__ import annotations

from collections.abc import Iterator

import httptools

from imgsync.oci.http._httpx import httpx

_HEAD_LIMIT = 64 << 10
_NO_BODY = {204, 304}
_CONTINUE = 100


class ResponseParser:
    """
    What is known of an answer so far; `feed` takes in more.

    `pieces` are those of the body that came and were not taken yet, `has_continue` says that the server wants the request's body, `has_surplus` that something
    came which is no part of the answer.
    """

    def __init__(self, method: str) -> None:
        """Begin with nothing known of the answer to a request of *method*."""
        self._parser = httptools.HttpResponseParser(self)
        self._bodyless = method == "HEAD"
        self._seen = 0
        self._between = 0
        self._head_bytes = 0
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.has_head = False
        self.has_continue = False
        self.complete = False
        self.keep_alive = False
        self.length: int | None = None
        self.pieces: list[bytes] = []
        self.has_surplus = False

    @property
    def has_body(self) -> bool:
        """Return whether the head promises a body."""
        return not self._bodyless and self.status not in _NO_BODY

    def feed(self, data: bytes) -> None:
        """Take in the next bytes of the answer."""
        self._seen += 0 if self.has_head else len(data)
        before = len(self.pieces)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not (self.has_head and not self.has_body):
                raise httpx.RemoteProtocolError(f"the answer is not HTTP: {error}") from error
            self.has_surplus = True
        # Between two pieces of a body stand their sizes, behind the last perhaps more headers: no more than a head may be.
        self._between = self._between + len(data) if self.has_head and len(self.pieces) == before else 0
        if max(self._head_bytes, self._between, 0 if self.has_head else self._seen) > _HEAD_LIMIT:
            raise httpx.RemoteProtocolError(f"the answer has more than {_HEAD_LIMIT >> 10} KiB of head")

    def on_message_begin(self) -> None:
        """Begin anew after an interim answer; what comes after the answer proper belongs to nobody."""
        if self.has_head:
            self.has_surplus = True
        else:
            self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header, or a trailer's after the body, which nobody asked for."""
        if not self.has_head:
            self._head_bytes += len(name) + len(value)
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Note the head, unless it is an interim answer's."""
        status = self._parser.get_status_code()
        if status < 200 or self.has_head:
            self.has_continue = self.has_continue or status == _CONTINUE
            return
        self.status = status
        self.has_head = True
        self.keep_alive = self._parser.should_keep_alive()
        names = dict(self._lowered())
        if b"transfer-encoding" not in names and names.get(b"content-length", b"").isdigit():
            self.length = int(names[b"content-length"])

    def on_body(self, data: bytes) -> None:
        """Gather what came of the body."""
        if self.has_body and not self.has_surplus:
            self.pieces.append(data)
        else:
            self.has_surplus = True

    def on_message_complete(self) -> None:
        """Note the end of the body."""
        self.complete = self.has_head

    def _lowered(self) -> Iterator[tuple[bytes, bytes]]:
        return ((name.lower(), value) for name, value in self.headers)
