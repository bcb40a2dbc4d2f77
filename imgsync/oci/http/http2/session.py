"""
The state of one HTTP/2 connection: frames to exchanges, and back.

Without input or output: `feed` takes what came, `take_output` returns what to send.
"""

from __future__ import annotations

from collections.abc import Callable

from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.errors import FullError, HeadTooLargeError, Http2UnusableError, UnprocessedError
from imgsync.oci.http.http2 import frames
from imgsync.oci.http.http2.errors import ConnectionBrokenError, ErrorCode, MalformedResponseError, name_code
from imgsync.oci.http.http2.exchange import Exchange
from imgsync.oci.http.http2.flood_limit import FloodLimit
from imgsync.oci.http.http2.frames import LARGEST_WINDOW, FrameReader, format_frame, format_number
from imgsync.oci.http.http2.header_decoder import HeaderDecoder
from imgsync.oci.http.http2.header_encoder import HeaderEncoder
from imgsync.oci.http.http2.peer_settings import DEFAULT_WINDOW, PeerSettings
from imgsync.oci.http.http2.static_table import Header

# What a server may send before it was read: 1 MiB of each body, 16 MiB together. With 100 ms that is 10 MiB/s a body.
EXCHANGE_WINDOW = 1 << 20
CONNECTION_WINDOW = 16 << 20
_HEADERS_LIMIT = 64 << 10
_BLOCK_FRAMES = 16
# With other codes, a server says that it does not understand us.
_HARMLESS = {ErrorCode.NO_ERROR, ErrorCode.INTERNAL_ERROR, ErrorCode.CANCEL, ErrorCode.REFUSED_STREAM, ErrorCode.ENHANCE_YOUR_CALM}
_LAST_NUMBER = LARGEST_WINDOW - 2


class Session:
    """
    One HTTP/2 connection as its client sees it.

    Attributes:
        exchanges: Those that have not ended, by their number.
        is_draining: Whether the server takes no more requests.
        served_frames: How many frames of responses came.
        unusable: Why HTTP/2 does not work with the server, "" if it does.
    """

    def __init__(self, stream_limit: int) -> None:
        """
        Prepare the client's first frames.

        *stream_limit* counts until the server states its own.
        """
        self.exchanges: dict[int, Exchange] = {}
        self.is_draining = False
        self.served_frames = 0
        self.unusable = ""
        self._reader = FrameReader()
        self._encoder, self._decoder = HeaderEncoder(), HeaderDecoder(_HEADERS_LIMIT)
        self._peer = PeerSettings(stream_limit)
        self._next_number = 1
        self._send_window = DEFAULT_WINDOW
        self._receive_window = CONNECTION_WINDOW
        self._unreturned_bytes = 0
        # Stream, flags and pieces of a header block that is not complete.
        self._block: tuple[int, int, list[bytes]] | None = None
        self._flood = FloodLimit()
        self._handlers: dict[int, Callable[[int, int, bytes], None]] = {
            frames.DATA: self._on_data,
            frames.HEADERS: self._on_headers,
            frames.CONTINUATION: self._on_continuation,
            frames.RST_STREAM: self._on_reset,
            frames.SETTINGS: self._on_settings,
            frames.PUSH_PROMISE: self._on_push,
            frames.PING: self._on_ping,
            frames.GOAWAY: self._on_goaway,
            frames.WINDOW_UPDATE: self._on_window_update,
        }
        settings = {frames.ENABLE_PUSH: 0, frames.INITIAL_WINDOW_SIZE: EXCHANGE_WINDOW, frames.MAX_HEADER_LIST_SIZE: _HEADERS_LIMIT}
        grown = format_number(frames.WINDOW_UPDATE, 0, CONNECTION_WINDOW - DEFAULT_WINDOW)
        self._output: list[bytes] = [frames.PREFACE, frames.format_settings(settings), grown]

    @property
    def stream_limit(self) -> int:
        """Return how many exchanges the server takes at once."""
        return self._peer.stream_limit

    @property
    def free_streams(self) -> int:
        """Return how many more exchanges may begin."""
        return 0 if self.is_draining or self._next_number > _LAST_NUMBER else self.stream_limit - len(self.exchanges)

    @property
    def has_output(self) -> bool:
        """Return whether there is something to send."""
        return bool(self._output)

    def take_output(self) -> bytes:
        """Return what to send next."""
        data = b"".join(self._output)
        self._output.clear()
        self._flood.note_sent()
        return data

    def begin(self, method: str, headers: list[Header], *, body_bytes: int) -> Exchange:
        """
        Send the head of a request; return its exchange.

        Raises:
            FullError: The connection takes no more requests.
        """
        if self.free_streams < 1:
            raise FullError("the connection takes no more requests")
        number, self._next_number = self._next_number, self._next_number + 2
        exchange = Exchange(number, method, body_bytes=body_bytes, send_window=self._peer.window, receive_window=EXCHANGE_WINDOW)
        self.exchanges[number] = exchange
        block = self._encoder.encode(headers)
        self._output.append(frames.format_headers(number, block, ends=not body_bytes, limit=self._peer.frame_bytes))
        self._flood.note_request()
        return exchange

    def send_body(self, exchange: Exchange, data: bytes | memoryview) -> int:
        """Send as much of *data* as the windows allow; return how much."""
        if exchange.has_ended:
            return 0
        size = min(len(data), exchange.send_window, self._send_window)
        at = 0
        while at < size:
            piece = bytes(data[at : min(at + self._peer.frame_bytes, size)])
            at += len(piece)
            exchange.unsent_bytes -= len(piece)
            self._output.append(format_frame(frames.DATA, 0 if exchange.unsent_bytes else frames.END_STREAM, exchange.number, piece))
        exchange.send_window -= at
        self._send_window -= at
        self._flood.note_content(at)
        return at

    def take(self, exchange: Exchange, size: int) -> bytes:
        """Return bytes of a body; let the server send as many more."""
        data = exchange.take(size)
        if data:
            self._return(exchange, len(data))
        return data

    def wake_senders(self) -> None:
        """Let the exchanges try again to send their bodies."""
        for exchange in self.exchanges.values():
            if exchange.unsent_bytes:
                exchange.changed.set()

    def wake_all(self) -> None:
        """Let who waits look at the time."""
        for exchange in self.exchanges.values():
            exchange.changed.set()

    def end(self, exchange: Exchange) -> None:
        """Forget an exchange, and cancel what is left of it."""
        if self.exchanges.pop(exchange.number, None) is not None and not (exchange.has_ended and exchange.error is None and not exchange.unsent_bytes):
            self._output.append(format_number(frames.RST_STREAM, exchange.number, ErrorCode.CANCEL))
        if not exchange.has_ended:
            exchange.fail(httpx.ReadError("the request was cancelled"))
        if exchange.has_pieces:
            self._return(exchange, exchange.discard())

    def fail(self, error: httpx.TransportError) -> None:
        """Fail all exchanges, each with an error of its own."""
        self.is_draining = True
        while self.exchanges:
            self.exchanges.popitem()[1].fail(type(error)(str(error)))

    def end_input(self) -> None:
        """Fail all exchanges, because the server closed the connection."""
        for exchange in self.exchanges.values():
            missing = "before the end of the response" if exchange.has_response else "without a response"
            exchange.fail(httpx.RemoteProtocolError(f"the server closed the connection {missing}"))
        self.fail(httpx.RemoteProtocolError("the server closed the connection"))

    def feed(self, data: bytes) -> None:
        """
        Process what came from the server.

        Raises:
            ConnectionBrokenError: It is not HTTP/2, or floods us.
        """
        for kind, flags, number, payload in self._reader.feed(data):
            if (self._block is not None) != (kind == frames.CONTINUATION):
                raise ConnectionBrokenError(ErrorCode.PROTOCOL_ERROR, "a header block that is cut")
            if not self._peer.are_known and kind != frames.SETTINGS:
                raise ConnectionBrokenError(ErrorCode.PROTOCOL_ERROR, "no settings")
            self._flood.note_frame()
            handler = self._handlers.get(kind)
            if handler is not None:
                handler(flags, number, payload)

    def _find(self, number: int) -> Exchange | None:
        """Return the exchange of a frame, None if it has ended."""
        if not number % 2 or number >= self._next_number:
            raise ConnectionBrokenError(ErrorCode.PROTOCOL_ERROR, f"a frame of stream {number}, which was never opened")
        return self.exchanges.get(number)

    def _on_data(self, flags: int, number: int, payload: bytes) -> None:
        exchange = self._find(number)
        data = frames.strip_padding(flags & ~frames.HAS_PRIORITY, payload)
        self._receive_window -= len(payload)
        if exchange is not None:
            exchange.receive_window -= len(payload)
        if self._receive_window < 0 or (exchange is not None and exchange.receive_window < 0):
            raise ConnectionBrokenError(ErrorCode.FLOW_CONTROL_ERROR, "more bytes than the window allows")
        if exchange is None or exchange.has_ended:
            self._return(None, len(payload))
            return
        self._return(exchange, len(payload) - len(data))
        self._flood.note_content(len(data))
        self._note(exchange, lambda: exchange.note_data(data, ends=bool(flags & frames.END_STREAM)))

    def _on_headers(self, flags: int, number: int, payload: bytes) -> None:
        self._find(number)
        self._add_to_block(number, flags, [frames.strip_padding(flags, payload)], is_last=bool(flags & frames.END_HEADERS))

    def _on_continuation(self, flags: int, number: int, payload: bytes) -> None:
        if self._block is None or self._block[0] != number:
            raise ConnectionBrokenError(ErrorCode.PROTOCOL_ERROR, "a header block of another stream")
        _, first_flags, pieces = self._block
        self._add_to_block(number, first_flags, [*pieces, payload], is_last=bool(flags & frames.END_HEADERS))

    def _add_to_block(self, number: int, flags: int, pieces: list[bytes], *, is_last: bool) -> None:
        if len(pieces) > _BLOCK_FRAMES or sum(map(len, pieces)) > _HEADERS_LIMIT:
            raise ConnectionBrokenError(ErrorCode.ENHANCE_YOUR_CALM, f"a response head larger than {_HEADERS_LIMIT >> 10} KiB")
        self._block = None if is_last else (number, flags, pieces)
        if not is_last:
            return
        headers = self._decoder.decode(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        exchange = self.exchanges.get(number)
        if exchange is not None and not exchange.has_ended:
            self._note(exchange, lambda: exchange.note_headers(headers, ends=bool(flags & frames.END_STREAM)))

    def _note(self, exchange: Exchange, change: Callable[[], None]) -> None:
        """Change *exchange*, and fail it if the response is malformed."""
        self.served_frames += 1
        try:
            change()
        except HeadTooLargeError as error:
            exchange.fail(error)
        except MalformedResponseError as error:
            self._give_up(exchange, f"the response is malformed: {error}")
        # Until the caller ends it, the exchange counts: what is left of the request would be missing.
        if exchange.has_ended and exchange.error is None and not exchange.unsent_bytes:
            self.exchanges.pop(exchange.number, None)

    def _on_reset(self, _: int, number: int, payload: bytes) -> None:
        exchange, code = self._find(number), frames.read_number(payload)
        if exchange is None:
            return
        del self.exchanges[number]
        if code == ErrorCode.HTTP_1_1_REQUIRED:
            self._give_up(exchange, "the server requires HTTP/1.1")
        elif code == ErrorCode.REFUSED_STREAM:
            exchange.fail(UnprocessedError("the server refused the stream"))
        else:
            exchange.has_response = True
            exchange.fail(httpx.RemoteProtocolError(f"the server reset the stream ({name_code(code)})"))

    def _on_settings(self, flags: int, number: int, payload: bytes) -> None:
        _require_connection(number)
        if flags & frames.ACK:
            return
        before = self._peer.window
        self._peer.update(payload)
        self._encoder.resize(self._peer.table_bytes)
        for exchange in self.exchanges.values():
            exchange.send_window += self._peer.window - before
            if exchange.send_window > LARGEST_WINDOW:
                raise ConnectionBrokenError(ErrorCode.FLOW_CONTROL_ERROR, "a window that is too large")
        self.wake_senders()
        self._answer(format_frame(frames.SETTINGS, frames.ACK, 0))

    def _on_push(self, *_: object) -> None:
        raise ConnectionBrokenError(ErrorCode.PROTOCOL_ERROR, "a push, which was disabled")

    def _on_ping(self, flags: int, number: int, payload: bytes) -> None:
        _require_connection(number)
        if len(payload) != 8:
            raise ConnectionBrokenError(ErrorCode.FRAME_SIZE_ERROR, "a ping of a wrong length")
        if not flags & frames.ACK:
            self._answer(format_frame(frames.PING, frames.ACK, 0, payload))

    def _answer(self, frame: bytes) -> None:
        self._flood.note_answer()
        self._output.append(frame)

    def _on_goaway(self, _: int, number: int, payload: bytes) -> None:
        _require_connection(number)
        last, code = frames.read_goaway(payload)
        self.is_draining = True
        if code not in _HARMLESS:
            self.unusable = f"the server ended the connection with {name_code(code)}"
        for exchange in [one for one in self.exchanges.values() if one.number > last]:
            del self.exchanges[exchange.number]
            exchange.fail(UnprocessedError(f"the server ended the connection ({name_code(code)})"))

    def _give_up(self, exchange: Exchange, reason: str) -> None:
        """Fail *exchange*, and begin no more."""
        self.is_draining = True
        self.unusable = reason
        exchange.fail(Http2UnusableError(reason))

    def _on_window_update(self, _: int, number: int, payload: bytes) -> None:
        grown = frames.read_number(payload) & LARGEST_WINDOW
        exchange = self._find(number) if number else None
        if number and exchange is None:
            return
        window = (self._send_window if exchange is None else exchange.send_window) + grown
        if not grown or window > LARGEST_WINDOW:
            raise ConnectionBrokenError(ErrorCode.FLOW_CONTROL_ERROR, f"a window that grows by {grown} bytes")
        if exchange is not None:
            exchange.send_window = window
            exchange.changed.set()
            return
        self._send_window = window
        self.wake_senders()

    def _return(self, exchange: Exchange | None, size: int) -> None:
        """Let the server send *size* more bytes, once that pays a frame."""
        self._unreturned_bytes += size
        if self._unreturned_bytes >= CONNECTION_WINDOW // 4:
            self._output.append(format_number(frames.WINDOW_UPDATE, 0, self._unreturned_bytes))
            self._receive_window += self._unreturned_bytes
            self._unreturned_bytes = 0
        if exchange is None or exchange.has_ended:
            return
        exchange.unreturned_bytes += size
        if exchange.unreturned_bytes >= EXCHANGE_WINDOW // 2:
            self._output.append(format_number(frames.WINDOW_UPDATE, exchange.number, exchange.unreturned_bytes))
            exchange.receive_window += exchange.unreturned_bytes
            exchange.unreturned_bytes = 0


def _require_connection(number: int) -> None:
    if number:
        raise ConnectionBrokenError(ErrorCode.PROTOCOL_ERROR, f"a frame of stream {number} that is for the connection")
