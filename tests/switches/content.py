"""Switches that answer with wrong or endless content."""

from __future__ import annotations

import itertools
import json
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from tests.support.images import Image
from tests.support.wire import Answer, Request, plain_answer
from tests.switches import Respond, Switch

_MEBIBYTE = 1 << 20


def manifest_of(content: Image) -> Respond:
    """Answer with another valid manifest."""
    return Respond(200, content.raw, headers={"Content-Type": content.media_type, "Docker-Content-Digest": content.digest})


class Flipping(Switch):
    """A tag that moves with every request through *contents*."""

    def __init__(self, *contents: Image) -> None:
        """Answer the first of *contents* first."""
        self._answers = itertools.cycle([manifest_of(content) for content in contents])

    def request(self, request: Request) -> Request | Answer:
        """Answer the next."""
        return next(self._answers).request(request)


class Endless(Switch):
    """
    A body without an end, until the client closes or *most_bytes*.

    No client should read that much. `sent` counts the bytes sent, without heads of chunks.
    """

    def __init__(
        self,
        status: int = 200,
        *,
        start: bytes = b"",
        piece: bytes = b"x" * (64 << 10),
        headers: dict[str, str] | None = None,
        framing: str = "chunked",
        most_bytes: int = 256 * _MEBIBYTE,
        pause_seconds: float = 0,
    ) -> None:
        """
        Answer *status* with *start*, then *piece* forever, *pause_seconds* apart.

        With the *framing* "raw" the head is part of *start*.
        """
        self.sent = 0
        self._answer = Answer(status, self._headers(headers or {}, framing), self._body, framing)
        self._start = start
        self._piece = piece
        self._most = most_bytes
        self._pause = pause_seconds

    def request(self, request: Request) -> Request | Answer:
        """Answer."""
        return self._answer

    def _body(self) -> Iterator[bytes]:
        if self._start:
            yield self._start
        sent = 0
        while sent < self._most:
            yield self._piece
            sent += len(self._piece)
            self.sent += len(self._piece)
            time.sleep(self._pause)

    def _headers(self, given: dict[str, str], framing: str) -> tuple[tuple[str, str], ...]:
        ends = {"Transfer-Encoding": "chunked"} if framing == "chunked" else {"Connection": "close"} if framing == "close" else {}
        return tuple(({"Content-Type": "application/json"} | ends | given).items())


def bomb(size_bytes: int, *, status: int = 200, headers: dict[str, str] | None = None, start: bytes = b'"') -> Respond:
    """Answer with gzip that unpacks to *size_bytes*."""
    packer = zlib.compressobj(9, wbits=31)
    packed = packer.compress(start) + b"".join(packer.compress(b" " * _MEBIBYTE) for _ in range(size_bytes // _MEBIBYTE)) + packer.flush()
    return Respond(status, packed, headers={"Content-Encoding": "gzip", **(headers or {})})


class Pages(Switch):
    """An endless listing; *names* and *cursor* depend on the page number."""

    def __init__(self, names: Callable[[int], Sequence[str]], *, cursor: Callable[[int], str] = str, field: str = "tags") -> None:
        """List what *names* returns as *field*."""
        self.served = 0
        self._names = names
        self._cursor = cursor
        self._field = field

    def request(self, request: Request) -> Request | Answer:
        """Answer the next page, with a `Link` to one more."""
        number, self.served = self.served, self.served + 1
        body = json.dumps({"name": "x", self._field: list(self._names(number))}).encode()
        return plain_answer(200, body, {"Link": f'<{request.path}?last={self._cursor(number)}>; rel="next"'})


class Unlike(Switch):
    """Answer HEAD as if the tag named another content than GET serves."""

    def __init__(self, content: Image) -> None:
        """Let HEAD describe *content*."""
        self._content = content

    def answer(self, request: Request, answer: Answer) -> Answer:
        """Change the answer of HEAD."""
        if request.method != "HEAD" or answer.status != 200:
            return answer
        return replace(answer.with_headers(Docker_Content_Digest=self._content.digest, Content_Type=self._content.media_type), body=lambda: iter(()))
