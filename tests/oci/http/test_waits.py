"""Every wait of the HTTP client has a limit, and ends when it is told to."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
import trustme

from imgsync.oci.http import resolver as resolver_module
from imgsync.oci.http.client import HttpClient
from imgsync.oci.http.connector import Connector
from imgsync.oci.http.request import Request
from imgsync.oci.http.ssrf_guard import SsrfGuard

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
RECORD = b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03"


class Peer:
    """Accepts connections and runs *act* with each; `over` ends it."""

    def __init__(self, act: Callable[[Peer, socket.socket], None]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._act = act
        self.over = threading.Event()
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            self._act(self, connection)

    def drip(self, connection: socket.socket, data: bytes, *, seconds: float = 0.05) -> None:
        """Send *data* byte by byte: the pauses are what is tested."""
        for number in range(len(data)):
            connection.sendall(data[number : number + 1])
            if self.over.wait(seconds):
                return

    def close(self) -> None:
        self.over.set()
        self._listener.close()


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    with contextlib.ExitStack() as ends:
        yield lambda act: ends.enter_context(contextlib.closing(Peer(act)))


def _context(*trusted: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for authority in trusted:
        authority.configure_trust(context)
    return context


def _send(port: int, *, scheme: str = "http", context: ssl.SSLContext | None = None, host: str = "127.0.0.1", **more: object) -> bytes:
    client = HttpClient(Connector(lambda _: context or _context(), SsrfGuard([(host, port)])))
    with contextlib.closing(client):
        return client.send(Request("GET", (scheme, host, port), "r.example", "/v2/", (), **more)).read()  # type: ignore[arg-type]


def dripping_handshake(peer: Peer, connection: socket.socket) -> None:
    connection.recv(4096)
    peer.drip(connection, RECORD + bytes(16000))


def dripping_head(peer: Peer, connection: socket.socket) -> None:
    connection.recv(4096)
    peer.drip(connection, b"HTTP/1.1 200 OK\r\nX: " + b"x" * 60_000)


def interim_answers(peer: Peer, connection: socket.socket) -> None:
    connection.recv(4096)
    while not peer.over.wait(0.05):
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n")


def dripping_body(peer: Peer, connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n")
    peer.drip(connection, bytes(4000))


def silent(peer: Peer, connection: socket.socket) -> None:
    connection.recv(4096)
    peer.over.wait(60)


WAITS = [
    (dripping_handshake, "https"),
    (silent, "https"),
    (dripping_head, "http"),
    (interim_answers, "http"),
    (dripping_body, "http"),
    (silent, "http"),
]


@pytest.mark.row("DOS-17")
@pytest.mark.parametrize(("act", "scheme"), WAITS, ids=lambda given: getattr(given, "__name__", given))
def test_slow_peer_is_left_in_time(act, scheme, peer):
    """No byte renews the limit, whatever it is a byte of."""
    began = time.monotonic()

    with pytest.raises(httpx.TimeoutException):
        _send(peer(act).port, scheme=scheme, timeout_seconds=0.4, connect_timeout_seconds=0.4)

    assert time.monotonic() - began < 8


@pytest.mark.row("DOS-17")
def test_dripping_tls_record_is_left_in_time(peer, authority: trustme.CA):
    """Its bytes are no data before the whole record is there."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)

    def act(peer: Peer, connection: socket.socket) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = server.wrap_bio(incoming, outgoing, server_side=True)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                connection.sendall(outgoing.read())
                incoming.write(connection.recv(1 << 16))
        connection.sendall(outgoing.read())
        tls.write(OK + bytes(16000))
        peer.drip(connection, outgoing.read())

    began = time.monotonic()
    with pytest.raises(httpx.TimeoutException):
        _send(peer(act).port, scheme="https", context=_context(authority), timeout_seconds=0.4)

    assert time.monotonic() - began < 8


class Enough(Exception):
    """What the check raises."""


def _check_that_raises() -> Callable[[], None]:
    calls = iter((False, False))

    def check() -> None:
        if next(calls, True):
            raise Enough

    return check


@pytest.mark.row("RUN-17")
@pytest.mark.parametrize(("act", "scheme"), WAITS, ids=lambda given: getattr(given, "__name__", given))
def test_check_ends_a_request_in_the_middle(act, scheme, peer):
    """Its error is raised as it is, long before any limit."""
    began = time.monotonic()

    with pytest.raises(Enough):
        _send(peer(act).port, scheme=scheme, check=_check_that_raises())

    assert time.monotonic() - began < 5


@pytest.mark.row("RUN-17")
def test_check_ends_a_connection_attempt():
    """A server that does not accept answers nothing."""
    with contextlib.ExitStack() as ends, socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        # The queue of the listener is full after one or two.
        for _ in range(4):
            waiting = ends.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        began = time.monotonic()

        with pytest.raises(Enough):
            _send(listener.getsockname()[1], check=_check_that_raises())
        with pytest.raises(httpx.ConnectTimeout, match="did not answer in time"):
            _send(listener.getsockname()[1], connect_timeout_seconds=0.3)

        assert time.monotonic() - began < 5


@pytest.mark.row("RUN-17", "NET-15")
def test_silent_name_server_is_left_in_time(monkeypatch):
    """The system's resolver cannot be interrupted, but is not waited for."""
    over = threading.Event()
    monkeypatch.setattr(resolver_module.socket, "getaddrinfo", lambda *_, **__: over.wait(30) and [])
    began = time.monotonic()

    with pytest.raises(Enough):
        _send(443, host="r.example", check=_check_that_raises())
    with pytest.raises(httpx.ConnectTimeout, match=r"r\.example was not resolved in time"):
        _send(443, host="r.example", connect_timeout_seconds=0.3)

    over.set()
    assert time.monotonic() - began < 5


def test_heartbeats_before_a_late_answer_are_read(peer):
    """Interim responses, slower than 1 KiB/s, while a registry stores a blob."""

    def act(peer: Peer, connection: socket.socket) -> None:
        connection.recv(4096)
        for _ in range(10):
            connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\n")
            peer.over.wait(0.1)
        connection.sendall(OK)

    assert _send(peer(act).port, timeout_seconds=0.5, response_timeout_seconds=10) == b"ok"
