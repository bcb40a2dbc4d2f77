"""An HTTP/2 server over TLS, by the independent h2 library, that runs a script per connection."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.settings
import trustme
from hyperframe.frame import Frame

# A test that would hang ends here.
_PATIENCE_SECONDS = 60


@dataclass(slots=True)
class Asked:
    """One request; `body` grows until `is_whole`."""

    stream: int
    headers: dict[str, str]
    body: bytes = b""
    is_whole: bool = False

    @property
    def path(self) -> str:
        """Return path and query."""
        return self.headers[":path"]


class PeerGoneError(Exception):
    """The client closed the connection."""


@dataclass
class Peer:
    """The server's end of one connection."""

    socket: ssl.SSLSocket
    settings: dict[int, int] = field(default_factory=dict)
    events: list[h2.events.Event] = field(default_factory=list)
    requests: dict[int, Asked] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Send the settings."""
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values={h2.settings.SettingCodes.ENABLE_PUSH: 0, **self.settings})
        self.h2.initiate_connection()
        self.flush()
        self._taken: set[int] = set()

    def flush(self) -> None:
        """Send what h2 has to send."""
        self.socket.sendall(self.h2.data_to_send())

    def send(self, *frames: Frame | bytes) -> None:
        """Send frames that h2 would not send."""
        self.flush()
        self.socket.sendall(b"".join(frame if isinstance(frame, bytes) else frame.serialize() for frame in frames))

    def receive(self) -> list[h2.events.Event]:
        """Return the next events, whatever they are."""
        data = self.socket.recv(1 << 16)
        if not data:
            raise PeerGoneError
        events = self.h2.receive_data(data)
        for event in events:
            self._note(event)
        self.events += events
        self.flush()
        return events

    def wait_for(self, kind: type[h2.events.Event]) -> h2.events.Event:
        """Return the first event of *kind*, which may have come already."""
        while not (found := [event for event in self.events if isinstance(event, kind)]):
            self.receive()
        return found[0]

    def read_head(self) -> Asked:
        """Return the next request, its body perhaps to come."""
        while not (new := self.requests.keys() - self._taken):
            self.receive()
        self._taken.add(min(new))
        return self.requests[min(new)]

    def read_request(self) -> Asked:
        """Return the next request whose body is whole."""
        while not (new := [one for one in self.requests.values() if one.is_whole and one.stream not in self._taken]):
            self.receive()
        self._taken.add(new[0].stream)
        return new[0]

    def read_requests(self, count: int) -> list[Asked]:
        """Return the next requests, in the order of their paths."""
        return sorted((self.read_request() for _ in range(count)), key=lambda asked: asked.path)

    def answer(self, asked: Asked | int, body: bytes = b"ok", *, status: int = 200, headers: Iterable[tuple[str, str]] = (), ends: bool = True) -> None:
        """Send a response with a length."""
        stream = asked if isinstance(asked, int) else asked.stream
        self.h2.send_headers(stream, [(":status", str(status)), ("content-length", str(len(body))), *headers])
        self.send_body(stream, body, ends=ends)

    def send_body(self, stream: int, body: bytes, *, ends: bool = True) -> None:
        """Send a body as the client's windows allow."""
        while body:
            size = min(len(body), self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if not size:
                self.receive()
                continue
            self.h2.send_data(stream, body[:size], end_stream=ends and size == len(body))
            body = body[size:]
            self.flush()
        if ends and stream in self.h2.streams and self.h2.streams[stream].open:
            with contextlib.suppress(h2.exceptions.ProtocolError):
                self.h2.end_stream(stream)
        self.flush()

    def lose(self) -> None:
        """Close the connection."""
        raise PeerGoneError

    def end_output(self) -> None:
        """Send nothing more, below TLS; what comes is read, so that nothing sent is lost."""
        socket.socket.shutdown(self.socket, socket.SHUT_WR)
        while socket.socket.recv(self.socket, 1 << 16):
            pass
        raise PeerGoneError

    def drip_record(self) -> None:
        """Send a TLS record byte by byte, for half a minute at most: the pauses are what is tested."""
        for byte in b"\x17\x03\x03\x3e\x80" + bytes(600):
            try:
                socket.socket.sendall(self.socket, bytes([byte]))
            except OSError as error:
                raise PeerGoneError from error
            time.sleep(0.05)

    def serve(self, answer: Callable[[Asked], bytes] = lambda _: b"ok") -> None:
        """Answer whatever comes until the client goes."""
        while True:
            asked = self.read_request()
            self.answer(asked, answer(asked))

    def _note(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            self.requests[event.stream_id] = Asked(event.stream_id, {str(name): str(value) for name, value in event.headers})
        elif isinstance(event, h2.events.DataReceived):
            self.requests[event.stream_id].body += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.requests[event.stream_id].is_whole = True


class Http2Server:
    """Listens on loopback; the first connection gets the first script, the last script serves all further ones."""

    def __init__(
        self, authority: trustme.CA, *scripts: Callable[[Peer], object], protocols: Iterable[str] = ("h2", "http/1.1"), settings: dict[int, int] | None = None
    ) -> None:
        """Accept connections at once."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.set_alpn_protocols(list(protocols))
        authority.issue_cert("127.0.0.1").configure_cert(self._context)
        self._scripts = scripts
        self._settings = settings or {}
        self.trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(self.trust)
        self.protocols: list[str | None] = []
        self.heads: list[bytes] = []
        self.errors: list[BaseException] = []
        self.origin = ("https", "127.0.0.1", self._listener.getsockname()[1])
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def host(self) -> str:
        """Return HOST:PORT."""
        return f"127.0.0.1:{self.origin[2]}"

    def close(self) -> None:
        """Close everything; raise what a script raised."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        # OpenSSL keeps the number of a descriptor. A thread that still read would take the bytes of the next file with that number.
        self._threads[0].join(_PATIENCE_SECONDS)
        for connection in self._open:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_PATIENCE_SECONDS)
        self._listener.close()
        assert not self.errors, self.errors

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._serve, args=(connection,), daemon=True))
                self._threads[-1].start()

    def _serve(self, plain: socket.socket) -> None:
        plain.settimeout(_PATIENCE_SECONDS)
        try:
            connection = self._context.wrap_socket(plain, server_side=True)
        except OSError:
            return
        self._open.append(connection)
        protocol = connection.selected_alpn_protocol()
        self.protocols.append(protocol)
        try:
            if protocol == "h2":
                number = self.protocols.count("h2") - 1
                peer = Peer(connection, self._settings)
                self._scripts[min(number, len(self._scripts) - 1)](peer)
                # A connection that is closed with something unread is reset, and loses what was sent.
                while connection.recv(1 << 16):
                    pass
            else:
                self._serve_http1(connection)
        except (PeerGoneError, OSError, ValueError):
            pass
        except BaseException as error:  # noqa: BLE001 - raised by `close`
            self.errors.append(error)
        finally:
            connection.close()

    def _serve_http1(self, connection: ssl.SSLSocket) -> None:
        for head in _read_heads(connection):
            self.heads.append(head)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhttp")


def _read_heads(connection: ssl.SSLSocket) -> Iterator[bytes]:
    while True:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            piece = connection.recv(1)
            if not piece:
                return
            head += piece
        yield head
