"""HTTP/2 over real sockets: shared connections, and what a server may do to them."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import h2.events
import h2.exceptions
import h2.settings
import httpx
import pytest
import trustme
from hyperframe import frame as frames

from imgsync.oci.http import shared_connections as shared_module
from imgsync.oci.http.client import HttpClient
from imgsync.oci.http.connector import Connector
from imgsync.oci.http.errors import ForbiddenAddressError, RefusedError
from imgsync.oci.http.http2 import session as session_module
from imgsync.oci.http.request import Request
from imgsync.oci.http.shared_connections import SharedConnections
from imgsync.oci.http.ssrf_guard import SsrfGuard
from tests.support.http2_server import Asked, Http2Server, Peer, PeerGoneError
from tests.support.patched import run_patched


@dataclasses.dataclass
class Clients:
    """Clients of one server that share its connections."""

    server: Http2Server
    guard: SsrfGuard
    shared: SharedConnections
    unusable: list[str]

    def make(self) -> HttpClient:
        return HttpClient(Connector(lambda _: self.server.trust, self.guard), self.shared)

    def send(self, method: str = "GET", target: str = "/v2/", **more: object) -> httpx.Response:
        with contextlib.closing(self.make()) as client:
            return client.send(self.request(method, target, **more))

    def request(self, method: str = "GET", target: str = "/v2/", **more: object) -> Request:
        more.setdefault("timeout_seconds", 30)
        return Request(method, self.server.origin, "registry", target, (("Accept", "*/*"),), **more)  # type: ignore[arg-type]


@pytest.fixture
def serving(authority: trustme.CA) -> Iterator[Callable[..., Clients]]:
    with contextlib.ExitStack() as ends:

        def start(*scripts: Callable[[Peer], object], **options: object) -> Clients:
            server = Http2Server(authority, *scripts, **options)  # type: ignore[arg-type]
            guard = SsrfGuard([("127.0.0.1", server.origin[2])])
            unusable: list[str] = []
            shared = SharedConnections(Connector(lambda _: server.trust, guard), lambda _, reason: unusable.append(reason))
            ends.callback(server.close)
            ends.callback(shared.close)
            return Clients(server, guard, shared, unusable)

        yield start


def body_of(answer: httpx.Response) -> bytes:
    with contextlib.closing(answer):
        return b"".join(answer.iter_raw())


def serve(peer: Peer) -> None:
    peer.serve(lambda asked: asked.path.encode() + asked.body)


def answer_once(peer: Peer, sent: bytes) -> None:
    """Answer one request with *sent*, and keep the connection open."""
    peer.read_request()
    peer.send(sent)
    while True:
        peer.receive()


def test_callers_share_one_connection(serving):
    """Each gets its own answer, whatever the order in which the server sends them."""

    def script(peer: Peer) -> None:
        for asked in reversed(peer.read_requests(8)):
            peer.answer(asked, asked.path.encode())

    clients = serving(script)
    with ThreadPoolExecutor(8) as pool:
        bodies = list(pool.map(lambda number: body_of(clients.send(target=f"/{number}")), range(8)))

    assert bodies == [b"/%d" % number for number in range(8)]
    assert clients.server.protocols == ["h2"]


def test_request_is_the_same_as_by_http1(serving):
    """Method, host, target, headers and body arrive as they were given."""
    seen: list[Asked] = []

    def script(peer: Peer) -> None:
        seen.append(peer.read_request())
        peer.answer(seen[0], b"stored", status=201, headers=[("location", "/v2/x"), ("x", "1"), ("x", "2")])

    clients = serving(script)
    answer = clients.send("PUT", "/v2/a?b=%2F", body=iter([b"abc", b"def"]), length_bytes=6)

    assert body_of(answer) == b"stored"
    assert (answer.status_code, answer.headers["location"], answer.headers.get_list("x")) == (201, "/v2/x", ["1", "2"])
    assert seen[0].body == b"abcdef"
    assert seen[0].headers == {
        ":method": "PUT",
        ":scheme": "https",
        ":authority": "registry",
        ":path": "/v2/a?b=%2F",
        "accept": "*/*",
        "content-length": "6",
    }


def test_server_without_http2_gets_http1(serving):
    """The connection that asked is used, and no second one asks again."""
    clients = serving(serve, protocols=["http/1.1"])
    client = clients.make()

    bodies = [body_of(client.send(clients.request())) for _ in range(2)]
    clients.send()

    assert bodies == [b"http", b"http"]
    assert clients.server.protocols == ["http/1.1", None]
    client.close()


@pytest.mark.parametrize("more", [{"is_large": True}, {"expect_continue": True}], ids=["large body", "announced body"])
def test_large_bodies_get_connections_of_their_own(more, serving):
    """They use HTTP/1.1, so each has a connection's whole rate."""
    clients = serving(serve)

    assert body_of(clients.send("PUT", body=b"abc", **more)) == b"http"
    assert clients.server.protocols == [None]


@pytest.mark.row("NET-21")
def test_server_that_leaves_finishes_what_it_accepted(serving):
    """After a GOAWAY, accepted requests end, and others go to a new connection."""
    accepted = threading.Event()

    def script(peer: Peer) -> None:
        first = peer.read_request()
        peer.send(frames.GoAwayFrame(0, last_stream_id=first.stream, error_code=0))
        accepted.set()
        peer.read_request()
        peer.answer(first, b"first")

    clients = serving(script, serve)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(lambda: body_of(clients.send(target="/1")))
        accepted.wait(60)
        second = body_of(clients.send("PUT", "/2", body=b"!"))
        with contextlib.suppress(httpx.TransportError):
            # Whichever comes first on the old connection lets the script end.
            clients.send(target="/3")
        first.cancel()

    assert second == b"/2!"
    assert clients.server.protocols[:2] == ["h2", "h2"]


@pytest.mark.row("NET-21")
@pytest.mark.parametrize("way", ["goaway", "reset"])
def test_request_that_was_not_processed_is_sent_again(way, serving):
    """A refused stream and one beyond the last of a GOAWAY were not seen by the application."""

    def script(peer: Peer) -> None:
        asked = peer.read_request()
        if way == "goaway":
            peer.send(frames.GoAwayFrame(0, last_stream_id=0, error_code=0))
        else:
            peer.send(frames.RstStreamFrame(asked.stream, error_code=7))
        serve(peer)

    clients = serving(script, serve)

    assert body_of(clients.send("PUT", "/u", body=iter([b"a"]), length_bytes=1)) == b"/ua"


@pytest.mark.row("NET-21")
def test_streamed_body_is_not_sent_again(serving):
    """What can be read once is not started again, even if the server refuses the stream."""

    def script(peer: Peer) -> None:
        asked = peer.read_request()
        peer.send(frames.RstStreamFrame(asked.stream, error_code=7))
        serve(peer)

    clients = serving(script)

    with pytest.raises(httpx.RemoteProtocolError, match="refused"):
        clients.send("PUT", "/u", body=iter([b"a", b"b"]), length_bytes=2)


@pytest.mark.row("NET-12")
def test_connection_that_was_lost_is_replaced_once(serving):
    """A request without an answer is repeated on a new connection, once."""
    asked: list[str] = []

    def lose(peer: Peer) -> None:
        asked.append(peer.read_request().path)
        peer.lose()

    def answer_then_lose(peer: Peer) -> None:
        peer.answer(peer.read_request())
        lose(peer)

    clients = serving(answer_then_lose, lose, serve)
    clients.send()

    with pytest.raises(httpx.TransportError):
        clients.send(target="/lost")
    assert asked == ["/lost", "/lost"]


@pytest.mark.parametrize("code", [1, 2, 11], ids=["protocol", "internal", "calm"])
def test_stream_that_is_reset_is_an_error(code, serving):
    """The server has seen the request, so only the caller may repeat it."""
    seen = []

    def script(peer: Peer) -> None:
        while True:
            seen.append(peer.read_request())
            peer.send(frames.RstStreamFrame(seen[-1].stream, error_code=code))

    clients = serving(script)

    with pytest.raises(httpx.RemoteProtocolError, match="reset the stream"):
        clients.send()
    assert len(seen) == 1


def test_server_that_requires_http1_gets_it(serving):
    """The request is repeated by HTTP/1.1, and the reason is reported once."""

    def script(peer: Peer) -> None:
        peer.send(frames.RstStreamFrame(peer.read_request().stream, error_code=13))

    clients = serving(script)

    assert [body_of(clients.send("POST")) for _ in range(2)] == [b"http", b"http"]
    assert clients.server.protocols == ["h2", None, None]
    assert clients.unusable == ["the server requires HTTP/1.1"]


def raw(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


# Literal headers without compression.
STATUS = b"\x88"
LENGTH_5 = b"\x0f\x0d\x015"
BROKEN = {
    "no HTTP/2": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "huge frame": raw(0, 0, 1, b"x" * 16385),
    "frame of a stream that was not opened": raw(0, 0, 7, b"x"),
    "push": raw(5, 4, 1, b"\0\0\0\2" + STATUS),
    "headers of no stream": raw(1, 4, 0, STATUS),
    "headers that are cut": raw(1, 0, 1, STATUS) + raw(6, 0, 0, b"x" * 8),
    "continuation without headers": raw(9, 4, 1, STATUS),
    "headers that cannot be decompressed": raw(1, 4, 1, b"\xff\xff\xff\xff\xff\xff\xff"),
    "compression bomb": raw(1, 4, 1, b"\x40\x01a\x7f\x81\x1f" + b"b" * 4096 + b"\xbe" * 12000),
    "endless continuations": raw(1, 0, 1, STATUS) + raw(9, 0, 1, b"") * 20,
    "giant head in pieces": raw(1, 0, 1, STATUS) + raw(9, 0, 1, b"\0" * 16000) * 5,
    "more padding than payload": raw(0, 8, 1, b"\xffx"),
    "ping of a wrong length": raw(6, 0, 0, b"x"),
    "settings of a wrong length": raw(4, 0, 0, b"x"),
    "window beyond the limit": raw(4, 0, 0, struct.pack(">HI", 4, 1 << 31)),
    "window that grows by nothing": raw(8, 0, 0, b"\0" * 4),
    "window that overflows": raw(8, 0, 0, b"\x7f\xff\xff\xff"),
    "reset of a wrong length": raw(3, 0, 1, b"x"),
    "flood of pings": raw(6, 0, 0, b"x" * 8) * 10_100,
    "flood of settings": raw(4, 0, 0) * 10_100,
    "flood of empty data": raw(1, 4, 1, STATUS) + raw(0, 0, 1) * 10_100,
}


@pytest.mark.row("DOS-18")
@pytest.mark.parametrize("sent", BROKEN.values(), ids=BROKEN.keys())
def test_broken_http2_is_an_error(sent, serving):
    """The connection is given up, and later requests use HTTP/1.1."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(sent)

    clients = serving(script)

    # It might have done what was asked, so a streamed body is not repeated.
    with pytest.raises(httpx.RemoteProtocolError):
        body_of(clients.send("PUT", body=iter([b"a", b"b"]), length_bytes=2))
    assert body_of(clients.send()) == b"http"
    assert len(clients.unusable) == 1


RESPONSES = {
    "body that is too short": raw(1, 4, 1, STATUS + LENGTH_5) + raw(0, 1, 1, b"abc"),
    "body that is too long": raw(1, 4, 1, STATUS + LENGTH_5) + raw(0, 1, 1, b"abcdef"),
    "no body although there is a length": raw(1, 5, 1, STATUS + LENGTH_5),
    "body without a head": raw(0, 1, 1, b"abc"),
    "no status": raw(1, 4, 1, LENGTH_5),
    "two statuses": raw(1, 4, 1, STATUS + STATUS),
    "status that is no number": raw(1, 4, 1, b"\x08\x03abc"),
    "switching protocols": raw(1, 4, 1, b"\x08\x03101"),
    "two lengths": raw(1, 4, 1, STATUS + LENGTH_5 + b"\x0f\x0d\x016"),
    "length that is no number": raw(1, 4, 1, STATUS + b"\x0f\x0d\x02+5"),
    "connection header": raw(1, 4, 1, STATUS + b"\0\x0aconnection\x05close"),
    "transfer-encoding": raw(1, 4, 1, STATUS + b"\0\x11transfer-encoding\x07chunked"),
    "name in upper case": raw(1, 4, 1, STATUS + b"\0\x01X\x011"),
    "line break in a header": raw(1, 4, 1, STATUS + b"\0\x01x\x03a\r\n"),
    "second head": raw(1, 4, 1, STATUS) + raw(1, 4, 1, STATUS),
    "end with an interim head": raw(1, 5, 1, b"\x08\x03103"),
    "endless interim heads": raw(1, 4, 1, b"\x08\x03103") * 2000,
}


@pytest.mark.row("NET-14", "DIG-06")
@pytest.mark.parametrize("sent", RESPONSES.values(), ids=RESPONSES.keys())
def test_malformed_response_is_an_error(sent, serving):
    """A response that is incomplete or not allowed is never used."""
    clients = serving(lambda peer: answer_once(peer, sent))

    with pytest.raises(httpx.RemoteProtocolError):
        body_of(clients.send())


@pytest.mark.parametrize(
    "sent",
    [
        raw(1, 4, 1, STATUS + LENGTH_5) + raw(0, 1, 1, b"abcde"),
        raw(1, 4, 1, STATUS) + raw(0, 0, 1, b"abc") + raw(0, 1, 1, b"de"),
        raw(1, 4, 1, STATUS) + raw(0, 8, 1, b"\x04abcde\0\0\0\0") + raw(0, 9, 1, b"\x01\0"),
        raw(1, 4, 1, b"\x08\x03100") + raw(1, 4, 1, b"\x08\x03103") + raw(1, 4, 1, STATUS) + raw(0, 1, 1, b"abcde"),
        raw(1, 4, 1, STATUS) + raw(0, 0, 1, b"abcde") + raw(1, 5, 1, b"\0\x01x\x011"),
        raw(1, 0x2C, 1, b"\x01" + b"\0" * 5 + STATUS + b"\0") + raw(0, 1, 1, b"abcde"),
        raw(1, 0, 1, b"") + raw(9, 4, 1, STATUS) + raw(0, 1, 1, b"abcde"),
        raw(99, 0, 1, b"?") + raw(2, 0, 1, b"\0" * 5) + raw(1, 4, 1, STATUS) + raw(0, 1, 1, b"abcde") + raw(3, 0, 1, b"\0\0\0\0"),
    ],
    ids=["length", "no length", "padding", "interim heads", "trailers", "padded head with priority", "continuation", "unknown frames, and a reset at the end"],
)
def test_bodies_are_read_in_every_framing(sent, serving):
    """As the specification allows them."""
    clients = serving(lambda peer: answer_once(peer, sent))

    assert body_of(clients.send()) == b"abcde"
    assert clients.unusable == []


@pytest.mark.row("DOS-06")
def test_stalled_stream_is_not_kept_alive_by_others(serving):
    """Each request has its own timeout, and the others go on."""
    answered = threading.Event()

    def script(peer: Peer) -> None:
        while True:
            asked = peer.read_request()
            if asked.path != "/stalled":
                peer.answer(asked)

    clients = serving(script)

    def keep_busy() -> None:
        while not answered.is_set():
            assert body_of(clients.send()) == b"ok"

    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(keep_busy)
        with pytest.raises(httpx.ReadTimeout):
            clients.send(target="/stalled", timeout_seconds=0.5)
        answered.set()
        busy.result()


@pytest.mark.row("DOS-06")
def test_body_that_drips_is_an_error(serving):
    """A byte now and then is no progress."""

    def script(peer: Peer) -> None:
        asked = peer.read_request()
        peer.h2.send_headers(asked.stream, [(":status", "200")])
        while True:
            peer.send_body(asked.stream, b"x", ends=False)
            time.sleep(0.05)

    clients = serving(script)

    with pytest.raises(httpx.ReadTimeout):
        body_of(clients.send(timeout_seconds=0.5))


def test_silent_connection_gets_no_more_requests(serving):
    """If nothing came while a request timed out, the next one uses a new connection."""

    def silent(peer: Peer) -> None:
        while True:
            peer.receive()

    clients = serving(silent, serve)

    with pytest.raises(httpx.ReadTimeout):
        clients.send(timeout_seconds=0.5)
    assert body_of(clients.send(target="/2")) == b"/2"


@pytest.mark.row("DOS-17")
def test_dripping_tls_record_is_left_by_all_callers(serving):
    """Its bytes are no data before the whole record is there; the connection is closed then."""
    is_gone = threading.Event()

    def script(peer: Peer) -> None:
        peer.read_requests(2)
        try:
            peer.drip_record()
        except PeerGoneError:
            is_gone.set()
            raise

    clients = serving(script)
    with ThreadPoolExecutor(2) as pool:
        errors = list(pool.map(lambda _: _error_of(clients, timeout_seconds=0.5), range(2)))

    assert [type(error) for error in errors] == [httpx.ReadTimeout] * 2
    assert is_gone.wait(60)


@pytest.mark.row("RUN-17")
def test_check_ends_a_request_during_a_dripping_record(serving):
    """It is called about four times a second, whatever the server sends."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.drip_record()

    clients = serving(script)
    calls = iter((False, False))

    def check() -> None:
        if next(calls, True):
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        clients.send(check=check)


def test_cut_body_is_not_called_a_missing_response(serving):
    """Head and bytes came, and the body has no length that would show the cut."""

    def script(peer: Peer) -> None:
        asked = peer.read_request()
        peer.send(raw(1, 4, asked.stream, STATUS) + raw(0, 0, asked.stream, b"abc"))
        peer.end_output()

    clients = serving(script)

    with pytest.raises(httpx.RemoteProtocolError, match="before the end of the response"):
        body_of(clients.send())


FLOODED = """
    import threading
    from imgsync.oci.http.http2.link import Link

    PING = b"\\0\\0\\x08\\6\\0\\0\\0\\0\\0" + b"x" * 8
    writes, ended = [], threading.Event()

    class Flood:
        def __init__(self):
            self.frames = iter([b"\\0\\0\\0\\4\\0\\0\\0\\0\\0"] + [PING] * 500)

        def receive(self, size):
            # As gevent does while bytes are there: it returns without a switch.
            return next(self.frames, b"")

        def send(self, data, check):
            writes.append(data.count(b"x" * 8))

        def close(self):
            ended.set()

    Link(Flood(), 100)
    ended.wait()
    print(json.dumps(writes))
"""


@pytest.mark.row("DOS-18")
def test_flood_leaves_others_their_turns():
    """While bytes keep coming, gevent does not switch, so the answers would never go out."""
    writes = run_patched(FLOODED)

    assert sum(writes) > 490
    assert max(writes) <= 2


def test_check_ends_a_request(serving):
    """So a run can stop; the others on the connection go on."""

    def script(peer: Peer) -> None:
        peer.read_request()
        serve(peer)

    clients = serving(script)

    def check() -> None:
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        clients.send(check=check)
    assert body_of(clients.send(target="/2")) == b"/2"
    assert clients.server.protocols == ["h2"]


def test_limit_of_streams_is_obeyed(serving):
    """More requests than a server takes at once get another connection."""
    clients = serving(serve, settings={h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 1})
    clients.send()
    with ThreadPoolExecutor(6) as pool:
        bodies = list(pool.map(lambda number: body_of(clients.send(target=f"/{number}")), range(30)))

    # The server ends the connection that exceeds its limit with an error.
    assert bodies == [b"/%d" % number for number in range(30)]
    assert clients.unusable == []


def test_busy_connection_gets_another_beside_it(serving, monkeypatch):
    """A line limits each connection; who comes meanwhile does not wait."""
    monkeypatch.setattr(shared_module, "_BUSY_STREAMS", 1)
    arrived, has_second = threading.Semaphore(0), threading.Event()

    def first(peer: Peer) -> None:
        asked = []
        for _ in range(2):
            asked.append(peer.read_request())
            arrived.release()
        has_second.wait(60)
        for one in asked:
            peer.answer(one)

    def second(peer: Peer) -> None:
        has_second.set()
        serve(peer)

    clients = serving(first, second)
    with ThreadPoolExecutor(2) as pool:
        waiting = []
        for _ in range(2):
            waiting.append(pool.submit(lambda: body_of(clients.send())))
            arrived.acquire(timeout=60)
        assert [one.result() for one in waiting] == [b"ok", b"ok"]
    assert clients.server.protocols == ["h2", "h2"]


def test_server_that_takes_no_streams_gets_http1(serving):
    """A limit of zero is answered by HTTP/1.1, not by waiting."""

    def script(peer: Peer) -> None:
        with contextlib.suppress(h2.exceptions.ProtocolError):
            serve(peer)
        peer.lose()

    clients = serving(script, settings={h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 0})
    with contextlib.suppress(httpx.TransportError):
        clients.send()

    assert body_of(clients.send()) == b"http"


@pytest.mark.row("DOS-18")
def test_slow_reader_bounds_what_the_server_sends(serving):
    """A server may send one window ahead of the reader, and no more."""
    sent = threading.Event()
    window = session_module.EXCHANGE_WINDOW
    ahead: list[int] = []

    def script(peer: Peer) -> None:
        asked = peer.read_request()
        peer.h2.send_headers(asked.stream, [(":status", "200")])
        peer.send_body(asked.stream, b"x" * window, ends=False)
        ahead.append(peer.h2.local_flow_control_window(asked.stream))
        sent.set()
        peer.send_body(asked.stream, b"y" * (2 * window))

    clients = serving(script)
    with contextlib.closing(clients.send()) as answer:
        assert sent.wait(60)
        size = sum(map(len, answer.iter_raw()))

    assert ahead == [0]
    assert size == 3 * window


def test_body_waits_for_the_window_of_the_server(serving):
    """A larger body than the window goes out as the server reads."""
    clients = serving(lambda peer: peer.serve(lambda asked: b"%d" % len(asked.body)))
    body = b"x" * 200_000

    assert body_of(clients.send("PUT", body=iter([body]), length_bytes=len(body))) == b"200000"


@pytest.mark.row("NET-17")
@pytest.mark.parametrize("ends", [True, False], ids=["with a reset", "without"])
def test_early_answer_to_an_upload_is_used(ends, serving):
    """A server that refuses a body need not read it."""

    def script(peer: Peer) -> None:
        asked = peer.read_head()
        peer.answer(asked, b"too large", status=413)
        if ends:
            peer.send(frames.RstStreamFrame(asked.stream, error_code=0))

    clients = serving(script)
    body = b"x" * 200_000
    answer = clients.send("PUT", body=iter([body]), length_bytes=len(body))

    assert (answer.status_code, body_of(answer)) == (413, b"too large")


@pytest.mark.parametrize(("pieces", "length"), [([b"abc"], 4), ([b"abc", b"de"], 4), ([b"abcde"], 4)], ids=["too short", "too long", "too long at once"])
def test_body_of_another_length_is_an_error(pieces, length, serving):
    """The body must have its length; the connection stays good for others."""
    clients = serving(serve)

    with pytest.raises(httpx.LocalProtocolError):
        clients.send("PUT", body=iter(pieces), length_bytes=length)
    assert body_of(clients.send(target="/2")) == b"/2"
    assert clients.server.protocols == ["h2"]


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\0"])
def test_line_break_in_a_header_is_an_error(value, serving):
    """It would become a header of its own where a proxy turns HTTP/2 into HTTP/1.1."""
    clients = serving(serve)
    request = dataclasses.replace(clients.request(), headers=(("x", value),))

    with pytest.raises(httpx.LocalProtocolError):
        clients.make().send(request)


def test_abandoned_body_is_cancelled(serving):
    """The server learns it, and the connection stays good for others."""
    reset = threading.Event()

    def script(peer: Peer) -> None:
        asked = peer.read_request()
        peer.h2.send_headers(asked.stream, [(":status", "200")])
        peer.flush()
        peer.wait_for(h2.events.StreamReset)
        reset.set()
        serve(peer)

    clients = serving(script)
    clients.send().close()

    assert reset.wait(60)
    assert body_of(clients.send(target="/2")) == b"/2"
    assert clients.server.protocols == ["h2"]


def test_ping_of_the_server_is_answered(serving):
    """Servers close connections that do not answer."""
    answered = threading.Event()

    def script(peer: Peer) -> None:
        asked = peer.read_request()
        peer.h2.ping(b"12345678")
        peer.flush()
        peer.wait_for(h2.events.PingAckReceived)
        answered.set()
        peer.answer(asked)

    clients = serving(script)

    assert body_of(clients.send()) == b"ok"
    assert answered.is_set()


def test_head_has_no_body(serving):
    """Its length is that of the body that a GET would have."""

    def script(peer: Peer) -> None:
        asked = peer.read_request()
        peer.h2.send_headers(asked.stream, [(":status", "200"), ("content-length", "5")], end_stream=True)
        peer.flush()
        serve(peer)

    clients = serving(script)
    answer = clients.send("HEAD")

    assert (answer.headers["content-length"], body_of(answer)) == ("5", b"")


@pytest.mark.row("AUTH-04")
def test_guard_checks_the_address_of_a_shared_connection(serving):
    """A host that a registry leads to may not be at a forbidden address."""
    clients = serving(serve)
    request = dataclasses.replace(clients.request(), origin=("https", "169.254.169.254", 443))

    with pytest.raises(ForbiddenAddressError):
        clients.make().send(request)


def test_failed_connection_fails_for_each_caller(serving):
    """Callers that waited for it get their own errors, at once."""
    clients = serving(serve)
    with socket.socket() as deaf:
        # Taken, but nothing listens.
        deaf.bind(("127.0.0.1", 0))
        clients.server.origin = ("https", *deaf.getsockname())

        with ThreadPoolExecutor(8) as pool:
            errors = list(pool.map(lambda _: _error_of(clients), range(8)))

    assert all(isinstance(error, RefusedError) for error in errors)


def _error_of(clients: Clients, **more: object) -> Exception | None:
    try:
        clients.send(**more)
    except httpx.TransportError as error:
        return error
    return None
