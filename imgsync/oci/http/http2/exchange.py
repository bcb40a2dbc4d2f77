"""The state of one request and its response on a shared connection."""

from __future__ import annotations

import threading
from collections import deque

from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.errors import HeadTooLargeError
from imgsync.oci.http.http2.errors import MalformedResponseError
from imgsync.oci.http.http2.head import ResponseHead, read_head
from imgsync.oci.http.http2.static_table import Header

_HEADS_LIMIT = 64 << 10
_NO_BODY = {204, 304}
# Smaller pieces are joined, since each costs as much memory as many bytes.
_PIECE_BYTES = 4 << 10


class Exchange:
    """
    One request and its response; a stream, in the words of HTTP/2.

    The session changes it. Who waits for a change waits for `changed`.

    Attributes:
        number: The stream's number.
        unsent_bytes: How many bytes of the request's body are left.
        send_window: How many of them the server takes now.
        receive_window: How many bytes of body it may still send.
        unreturned_bytes: How many bytes were read since that window was last raised.
        has_ended: Whether the response ended, well or not.
        head: The head of the response, once it came.
        head_is_taken: Whether `take` has reported it.
        has_response: Whether anything of the response came.
        error: Why the exchange failed.
    """

    def __init__(self, number: int, method: str, *, body_bytes: int, send_window: int, receive_window: int) -> None:
        """Begin without a response."""
        self.number = number
        self.unsent_bytes = body_bytes
        self.send_window = send_window
        self.receive_window = receive_window
        self.unreturned_bytes = 0
        self.has_ended = False
        self.has_response = False
        self.head: ResponseHead | None = None
        self.head_is_taken = False
        self.error: httpx.TransportError | None = None
        self.changed = threading.Event()
        self._method = method
        self._heads_bytes = 0
        self._pieces: deque[bytes | bytearray] = deque()
        self._body_left: int | None = None

    @property
    def is_readable(self) -> bool:
        """Return whether `take` returns or raises at once."""
        return bool(self._pieces) or self.has_ended or (self.head is not None and not self.head_is_taken)

    @property
    def has_pieces(self) -> bool:
        """Return whether some of the body waits to be taken."""
        return bool(self._pieces)

    def note_headers(self, headers: list[Header], *, ends: bool) -> None:
        """
        Note the head of the response; ignore interim heads and trailers.

        Raises:
            MalformedResponseError: It is not the head of a response.
            HeadTooLargeError: All heads together exceed 64 KiB.
        """
        self.has_response = True
        self._heads_bytes += sum(len(name) + len(value) + 32 for name, value in headers)
        if self._heads_bytes > _HEADS_LIMIT:
            raise HeadTooLargeError(f"the response head is larger than {_HEADS_LIMIT >> 10} KiB")
        if self.head is not None:
            if not ends:
                raise MalformedResponseError("a second head")
            self._end()
            return
        head = read_head(headers)
        if head.is_interim:
            if ends:
                raise MalformedResponseError("the response ends with an interim head")
            return
        self.head = head
        has_body = self._method != "HEAD" and head.status not in _NO_BODY
        self._body_left = head.content_length if has_body else 0
        if ends:
            self._end()
        self.changed.set()

    def note_data(self, data: bytes, *, ends: bool) -> None:
        """
        Note a piece of the body.

        Raises:
            MalformedResponseError: It has another length than the head says.
        """
        self.has_response = True
        if self.head is None:
            raise MalformedResponseError("a body without a head")
        if data:
            if self._body_left is not None:
                self._body_left -= len(data)
                if self._body_left < 0:
                    raise MalformedResponseError("the body is longer than the head says")
            self._add_piece(data)
        if ends:
            self._end()
        if data or ends:
            self.changed.set()

    def fail(self, error: httpx.TransportError) -> None:
        """End the exchange with *error*, unless it has ended."""
        if not self.has_ended:
            self.error = error
            self.has_ended = True
        self.changed.set()

    def take(self, size: int) -> bytes:
        """
        Return up to *size* bytes of the body that came.

        None at the end, and once when the head came.

        Raises:
            httpx.TransportError: The exchange failed.
        """
        if self.head is not None and not self.head_is_taken:
            self.head_is_taken = True
            return b""
        if self._pieces:
            return self._take_pieces(size)
        if self.error is not None:
            raise self.error
        return b""

    def discard(self) -> int:
        """Drop what was not taken; return how many bytes that were."""
        dropped = sum(map(len, self._pieces))
        self._pieces.clear()
        return dropped

    def _add_piece(self, data: bytes) -> None:
        last = self._pieces[-1] if self._pieces else None
        if last is None or len(last) >= _PIECE_BYTES:
            self._pieces.append(data)
        elif isinstance(last, bytearray):
            last += data
        else:
            self._pieces[-1] = bytearray(last) + data

    def _take_pieces(self, size: int) -> bytes:
        pieces = [self._pieces.popleft()]
        left = size - len(pieces[0])
        while self._pieces and len(self._pieces[0]) <= left:
            pieces.append(self._pieces.popleft())
            left -= len(pieces[-1])
        if left < 0:
            self._pieces.appendleft(pieces[-1][left:])
            pieces[-1] = pieces[-1][:left]
        return bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces)

    def _end(self) -> None:
        if self._body_left:
            raise MalformedResponseError(f"the body ended {self._body_left} bytes before its end")
        self.has_ended = True
        self.changed.set()
