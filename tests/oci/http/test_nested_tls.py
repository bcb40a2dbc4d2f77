"""TLS that one thread reads and another one writes, over bytes in memory."""

from __future__ import annotations

import ssl

import pytest
import trustme

from imgsync.oci.http.nested_tls import DuplexTls


class Line:
    """A stream that has what the peer sent, and then its end."""

    def __init__(self) -> None:
        self.sent = b""
        self.waiting: list[bytes] = []
        self.reads = 0

    def receive(self, _: int) -> bytes:
        self.reads += 1
        return self.waiting.pop(0) if self.waiting else b""

    def send(self, data: bytes) -> int:
        self.sent += data[:7]
        return min(7, len(data))


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a context for the client and one for the server."""
    authority = trustme.CA()
    client, server = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.configure_trust(client)
    authority.issue_cert("registry.example").configure_cert(server)
    return client, server


@pytest.fixture
def pair(contexts) -> tuple[DuplexTls, Line, ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO]:
    """Return our end with its line, and the server's after the handshake."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = contexts[0].wrap_bio(to_client, to_server, server_hostname="registry.example")
    server = contexts[1].wrap_bio(to_server, to_client, server_side=True)
    for end in (client, server, client, server):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    line = Line()
    return DuplexTls(line, client, to_client, to_server), line, server, to_client, to_server


def test_records_that_came_together_are_returned_together(pair):
    """One read of the line serves all that it brought, session tickets too."""
    duplex, line, server, to_client, _ = pair
    for text in (b"one ", b"two ", b"x" * 40_000):
        server.write(text)
    line.waiting = [to_client.read()]

    assert duplex.receive(1 << 16) == b"one two " + b"x" * 40_000
    assert line.reads == 1


def test_record_that_is_cut_is_awaited(pair):
    """What came before it is not held back."""
    duplex, line, server, to_client, _ = pair
    server.write(b"whole")
    server.write(b"cut")
    data = to_client.read()
    line.waiting = [data[:-5], data[-5:]]

    assert [duplex.receive(1 << 16), duplex.receive(1 << 16)] == [b"whole", b"cut"]


def test_end_follows_what_came_before_it(pair):
    """At once: a server may say that it closes, and keep the connection open."""
    duplex, line, server, to_client, _ = pair
    server.write(b"last")
    with pytest.raises(ssl.SSLWantReadError):
        server.unwrap()
    line.waiting = [to_client.read()]

    assert [duplex.receive(1 << 16) for _ in range(3)] == [b"last", b"", b""]
    assert line.reads == 1


def test_error_follows_what_came_before_it(pair):
    """A response that was complete is not lost, and each later call raises."""
    duplex, line, server, to_client, _ = pair
    server.write(b"last")
    line.waiting = [to_client.read() + b"\x17\x03\x03\x00\x10" + b"?" * 16]

    assert duplex.receive(1 << 16) == b"last"
    for _ in range(2):
        with pytest.raises(ssl.SSLError):
            duplex.receive(1 << 16)


def test_text_is_sent_in_as_many_pieces_as_the_line_takes(pair):
    """The check is called whenever something is left."""
    duplex, line, server, _, to_server = pair
    checks: list[int] = []

    duplex.send(b"hello", lambda: checks.append(1))

    to_server.write(line.sent)
    assert server.read(100) == b"hello"
    assert len(checks) == (len(line.sent) - 1) // 7
