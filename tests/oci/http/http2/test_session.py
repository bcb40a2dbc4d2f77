"""The state of one HTTP/2 connection, without a socket."""

from __future__ import annotations

import struct

import h2.config
import h2.connection
import h2.events
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.oci.http.http2 import session as session_module
from imgsync.oci.http.http2.errors import ConnectionBrokenError
from imgsync.oci.http.http2.exchange import Exchange
from imgsync.oci.http.http2.session import Session

SETTINGS = b"\0\0\0\4\0\0\0\0\0"
HEAD = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"r"), (b":path", b"/v2/")]


def raw(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def begun(*, body_bytes: int = 0) -> tuple[Session, Exchange]:
    """Return a session with its settings, and one exchange."""
    session = Session(100)
    exchange = session.begin("GET", HEAD, body_bytes=body_bytes)
    session.feed(SETTINGS)
    session.take_output()
    return session, exchange


@pytest.mark.row("DOS-18")
@pytest.mark.parametrize("streams", [1, 17], ids=["of a body", "of the connection"])
def test_body_beyond_the_window_ends_the_connection(streams):
    """Nothing is read meanwhile, so what the server may send is bounded."""
    session = Session(100)
    for _ in range(streams):
        session.begin("GET", HEAD, body_bytes=0)
    session.feed(SETTINGS)

    piece = b"x" * 16384
    sent = b"".join(raw(1, 4, number, b"\x88") + raw(0, 0, number, piece) * 64 for number in range(1, 2 * streams + 1, 2))
    with pytest.raises(ConnectionBrokenError, match="window"):
        session.feed(sent + raw(0, 0, 1, piece))


def test_window_grows_as_the_body_is_read():
    """And it does not before, nor for what came and was not read."""
    session, exchange = begun()
    session.feed(raw(1, 4, 1, b"\x88"))
    assert session.take(exchange, 1) == b""
    for _ in range(64):
        session.feed(raw(0, 0, 1, b"x" * 16384))
    assert not session.has_output

    read = sum(len(session.take(exchange, 100_000)) for _ in range(11))

    assert read == session_module.EXCHANGE_WINDOW
    assert session.take_output() == raw(8, 0, 1, struct.pack(">I", 600_000)) or exchange.receive_window > 0
    session.feed(raw(0, 0, 1, b"x" * 16384))


def test_unread_bodies_return_their_window_to_the_connection():
    """Otherwise cancelled responses would use up the connection's window."""
    session = Session(100)
    session.feed(SETTINGS)
    for number in range(1, 201, 2):
        exchange = session.begin("GET", HEAD, body_bytes=0)
        session.feed(raw(1, 4, number, b"\x88") + raw(0, 0, number, b"x" * 16384) * 63)
        session.end(exchange)
        # What was on its way.
        session.feed(raw(0, 0, number, b"x" * 16384))

    assert session.exchanges == {}


def test_settings_change_the_windows_of_open_streams():
    """Up and down, even below zero."""
    session, exchange = begun(body_bytes=100_000)
    assert session.send_body(exchange, b"x" * 100_000) == 65_535
    session.feed(raw(8, 0, 0, struct.pack(">I", 1_000_000)))

    session.feed(raw(4, 0, 0, struct.pack(">HI", 4, 1000)))
    below = session.send_body(exchange, b"x" * 1000)
    session.feed(raw(4, 0, 0, struct.pack(">HI", 4, 65_545)))

    assert below == 0
    assert session.send_body(exchange, b"x" * 1000) == 10


def test_each_exchange_gets_its_own_error():
    """One that is raised again and again would collect tracebacks."""
    session, first = begun()
    second = session.begin("GET", HEAD, body_bytes=0)

    session.fail(httpx.ReadError("broken"))

    assert str(first.error) == str(second.error) == "broken"
    assert first.error is not second.error


@given(
    bodies=st.lists(st.binary(max_size=70_000), min_size=1, max_size=4),
    size=st.integers(1, 20_000),
    take=st.integers(1, 40_000),
    padding=st.integers(0, 255),
)
def test_session_and_h2_understand_each_other(bodies, size, take, padding):
    """Requests and responses arrive as they were sent, however the bytes are cut."""
    session = Session(100)
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
    server.initiate_connection()
    received: dict[int, bytes] = {}

    def exchange_bytes() -> None:
        for event in server.receive_data(session.take_output()):
            if isinstance(event, h2.events.DataReceived):
                received[event.stream_id] = received.get(event.stream_id, b"") + event.data
                server.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        data = server.data_to_send()
        for at in range(0, len(data), size):
            session.feed(data[at : at + size])

    exchanges = [session.begin("PUT", HEAD, body_bytes=len(body)) for body in bodies]
    unsent = list(bodies)
    while any(unsent):
        unsent = [body[session.send_body(exchange, body) :] for exchange, body in zip(exchanges, unsent, strict=True)]
        exchange_bytes()
    for exchange, body in zip(exchanges, bodies, strict=True):
        exchange_bytes()
        server.send_headers(exchange.number, [(b":status", b"200"), (b"content-length", b"%d" % len(body)), (b"x", b"y" * padding)], end_stream=not body)
        got, left = b"", body
        while left or not exchange.has_ended:
            room = min(len(left), server.local_flow_control_window(exchange.number) - padding - 1, 16_000)
            if room > 0:
                server.send_data(exchange.number, left[:room], end_stream=room == len(left), pad_length=padding)
                left = left[room:]
            exchange_bytes()
            while exchange.is_readable and not (exchange.has_ended and exchange.head_is_taken and not exchange.has_pieces):
                got += session.take(exchange, take)
        assert got == body == received.get(exchange.number, b"")
        session.end(exchange)
    assert session.exchanges == {}
