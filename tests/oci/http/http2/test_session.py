"""The state of one HTTP/2 connection, without a socket."""

from __future__ import annotations

import struct
import tracemalloc

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


@pytest.mark.row("DOS-18")
@pytest.mark.parametrize("pieces", [[b"ab"] * 16_000, [b"a" * 4096, b"b"] * 200], ids=["tiny frames", "every other frame tiny"])
def test_unread_body_takes_little_more_than_its_bytes(pieces):
    """The windows count bytes, so a body in tiny frames must not cost more."""
    session, exchange = begun()
    session.feed(raw(1, 4, 1, b"\x88"))
    sent = [raw(0, 0, 1, piece) for piece in pieces]
    body = b"".join(pieces)
    tracemalloc.start()
    try:
        for frame in sent:
            session.feed(frame)
        used_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert used_bytes < len(body) * 5 // 4 + 4096
    assert session.take(exchange, 1) == b""
    assert b"".join(iter(lambda: session.take(exchange, 1000) if exchange.has_pieces else b"", b"")) == body


@pytest.mark.row("DOS-18")
def test_tiny_body_does_not_pay_for_a_flood():
    """A byte of content among thousands of pings is still a flood."""
    session, _ = begun()
    session.feed(raw(1, 4, 1, b"\x88"))

    def flood() -> None:
        for _ in range(110):
            session.feed(raw(0, 0, 1, b"x") + raw(6, 0, 0, b"x" * 8) * 100)
            session.take_output()

    with pytest.raises(ConnectionBrokenError, match="without content"):
        flood()


@pytest.mark.row("DOS-18")
@pytest.mark.parametrize("frame", [raw(6, 0, 0, b"x" * 8), SETTINGS], ids=["ping", "settings"])
def test_answers_that_are_not_sent_are_limited(frame):
    """A server that reads nothing must not fill our memory with what it asks for."""
    session, _ = begun()
    for _ in range(5):
        session.feed(frame * 900)
        session.take_output()

    with pytest.raises(ConnectionBrokenError, match="answers"):
        session.feed(frame * 1100)


def test_long_connection_may_have_many_frames_without_content():
    """Requests and bodies pay for the pings and windows around them."""
    session, _ = begun()
    session.feed(raw(1, 5, 1, b"\x88"))
    for number in range(3, 403, 2):
        exchange = session.begin("PUT", HEAD, body_bytes=3)
        session.send_body(exchange, b"abc")
        session.feed(raw(6, 0, 0, b"x" * 8) * 60 + raw(1, 4, number, b"\x88") + raw(0, 0, number, b"x" * 16384) * 60)
        session.take(exchange, 1)
        while exchange.has_pieces:
            session.take(exchange, 1 << 20)
        session.feed(raw(8, 0, 0, struct.pack(">I", 3)) * 100 + raw(0, 1, number))
        session.end(exchange)
        session.take_output()

    assert session.exchanges == {}


@pytest.mark.parametrize(
    ("sent", "message"),
    [(b"", "without a response"), (raw(1, 4, 1, b"\x88") + raw(0, 0, 1, b"x"), "before the end of the response")],
    ids=["nothing", "a part"],
)
def test_end_of_the_connection_says_what_is_missing(sent, message):
    """A response that is cut is not one that never came."""
    session, exchange = begun()
    session.feed(sent)

    session.end_input()

    assert exchange.error is not None
    assert message in str(exchange.error)


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
