"""The HTTP client over real sockets, byte for byte."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import os
import resource
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
import trustme

from imgsync.oci.http import connection as connection_module
from imgsync.oci.http.client import HttpClient
from imgsync.oci.http.connector import Connector
from imgsync.oci.http.errors import HeadTooLargeError
from imgsync.oci.http.request import BODY_UNSENT, Request
from imgsync.oci.http.response_parser import ResponseParser
from imgsync.oci.http.ssrf_guard import SsrfGuard

Script = Callable[[socket.socket], None]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Runs one script per connection; `heads` are the requests' heads."""

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._scripts = scripts
        self._tls = tls
        self.heads: list[bytes] = []
        self.errors: list[BaseException] = []
        self.origin = ("https" if tls else "http", "127.0.0.1", self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for script in self._scripts:
            connection, _ = self._listener.accept()
            try:
                if self._tls is not None:
                    connection = self._tls.wrap_socket(connection, server_side=True)
                script(connection)
            except BaseException as error:  # noqa: BLE001 - raised by `end`
                self.errors.append(error)
            finally:
                connection.close()

    def end(self) -> None:
        self._thread.join(10)
        self._listener.close()
        assert not self._thread.is_alive(), "the server still waits for a connection"
        assert not self.errors

    def head(self, connection: socket.socket) -> bytes:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        self.heads.append(head)
        return head

    def answering(self, *answers: bytes, body: int = 0) -> Script:
        """Read a head (and a body) for each answer, and send it."""

        def script(connection: socket.socket) -> None:
            for answer in answers:
                self.head(connection)
                _exactly(connection, body)
                connection.sendall(answer)

        return script


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += connection.recv(size - len(data))
    return data


@pytest.fixture
def serving() -> Iterator[Callable[..., tuple[Server, HttpClient]]]:
    with contextlib.ExitStack() as ends:

        def start(*make: Callable[[Server], Script], tls: ssl.SSLContext | None = None, trust: ssl.SSLContext | None = None) -> tuple[Server, HttpClient]:
            server = Server(*(lambda connection, one=one: one(server)(connection) for one in make), tls=tls)
            client = HttpClient(Connector(lambda _: trust or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), SsrfGuard([("127.0.0.1", server.origin[2])])))
            ends.callback(server.end)
            ends.callback(client.close)
            return server, client

        yield start


def get(server: Server, target: str = "/v2/", **more: object) -> Request:
    return Request("GET", server.origin, "registry", target, (("Accept", "*/*"),), timeout_seconds=5, **more)  # type: ignore[arg-type]


def put(server: Server, pieces: list[bytes] | Iterator[bytes], length: int, **more: object) -> Request:
    return Request("PUT", server.origin, "registry", "/u", (), iter(pieces), length, timeout_seconds=5, **more)  # type: ignore[arg-type]


def body_of(answer: httpx.Response) -> bytes:
    return b"".join(answer.iter_raw())


def test_connection_is_reused(serving):
    """After a complete response; the head is what was to be sent."""
    server, client = serving(lambda server: server.answering(OK, OK))

    bodies = [body_of(client.send(get(server, f"/v2/{number}"))) for number in range(2)]

    assert bodies == [b"ok", b"ok"]
    assert server.heads == [b"GET /v2/%d HTTP/1.1\r\nHost: registry\r\nAccept: */*\r\n\r\n" % number for number in range(2)]


def test_post_without_a_body_has_a_length(serving):
    """Registries answer 411 without `Content-Length: 0`."""
    server, client = serving(lambda server: server.answering(OK))

    client.send(Request("POST", server.origin, "registry", "/u", ()))

    assert b"\r\nContent-Length: 0\r\n" in server.heads[0]


def list_parsers() -> set[int]:
    return {id(one) for one in gc.get_objects() if isinstance(one, ResponseParser)}


def test_exchange_frees_its_memory_at_once(serving):
    """Whether its body was read, its parser does not wait for the garbage collector."""
    server, client = serving(lambda server: server.answering(OK, OK), lambda server: server.answering(OK))
    gc.collect()
    gc.disable()
    try:
        # Another test may have left one in a thread that is about to end.
        before = list_parsers()
        assert body_of(client.send(get(server))) == b"ok"
        client.send(get(server)).close()
        assert body_of(client.send(get(server))) == b"ok"
        assert list_parsers() <= before
    finally:
        gc.enable()


@pytest.mark.row("NET-12")
def test_idle_connection_that_was_closed_is_replaced(serving):
    """The next request uses a new connection."""
    server, client = serving(lambda server: server.answering(OK), lambda server: server.answering(OK))

    bodies = [body_of(client.send(get(server))) for _ in range(2)]

    assert bodies == [b"ok", b"ok"]


def test_streamed_body_is_never_sent_twice(serving):
    """A body that can be read once is not started again."""
    server, client = serving(lambda server: lambda connection: server.head(connection) and None)

    with pytest.raises(httpx.TransportError):
        client.send(put(server, [b"a" * 1000], 1000))

    assert len(server.heads) == 1


@pytest.mark.parametrize(("pieces", "length"), [([b"abc"], 4), ([b"abc", b"de"], 4), ([b"abcde"], 4)], ids=["too short", "too long", "too long at once"])
def test_body_of_another_length_is_an_error(pieces, length, serving):
    """The body must have its Content-Length."""

    def swallow(connection) -> None:
        while connection.recv(4096):
            pass

    server, client = serving(lambda server: swallow)

    with pytest.raises(httpx.LocalProtocolError):
        client.send(put(server, pieces, length))


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcde",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde",
    ],
    ids=["chunked", "after an interim answer", "to the connection's end", "of known length"],
)
def test_bodies_are_read_in_every_framing(answer, serving):
    """By length, in chunks, or until the connection closes."""
    server, client = serving(lambda server: server.answering(answer))

    assert body_of(client.send(get(server))) == b"abcde"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
        b"",
    ],
    ids=["cut", "cut between chunks", "no chunk", "no HTTP", "endless head", "nothing"],
)
def test_broken_responses_are_errors(answer, serving):
    """A malformed or incomplete response is never used."""
    server, client = serving(lambda server: server.answering(answer))

    with pytest.raises(httpx.RemoteProtocolError):
        body_of(client.send(get(server)))


@pytest.mark.row("NET-13")
def test_bytes_after_a_response_close_the_connection(serving):
    """They are not taken for the next response."""
    lie = OK + b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nlie"
    server, client = serving(lambda server: server.answering(lie), lambda server: server.answering(OK))

    bodies = [body_of(client.send(get(server))) for _ in range(2)]

    assert bodies == [b"ok", b"ok"]


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Open more than 1,024 files, so that later sockets have higher descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)), hard))
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(1024)]
    yield
    for descriptor in opened:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.row("NET-13")
def test_idle_connection_above_descriptor_1023_is_watched(many_descriptors, serving):
    """`select` cannot watch it, and would miss bytes that arrive."""
    lying = threading.Event()

    def lie(server: Server) -> Script:
        def run(connection: socket.socket) -> None:
            server.head(connection)
            connection.sendall(OK)
            lying.wait(5)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nlie")
            with contextlib.suppress(OSError):
                connection.recv(1)

        return run

    server, client = serving(lie, lambda server: server.answering(OK))
    assert body_of(client.send(get(server))) == b"ok"
    kept = client._connections[server.origin]._socket._stream.socket
    lying.set()
    kept.recv(1, socket.MSG_PEEK)

    assert kept.fileno() > 1023
    assert body_of(client.send(get(server))) == b"ok"


@pytest.mark.parametrize("header", [("X", "a\r\nY: b"), ("X", "a\nb"), ("X\r\n", "a"), ("X", "\0")])
def test_line_break_in_a_header_is_never_sent(header, serving):
    """A header cannot smuggle in another header or request."""
    server, client = serving(lambda server: lambda connection: connection.recv(1) and None)

    with pytest.raises(httpx.LocalProtocolError):
        client.send(Request("GET", server.origin, "registry", "/", (header,)))


@pytest.mark.row("NET-17")
def test_early_response_ends_sending(serving):
    """A refusal during the body is read, and the rest is not sent."""
    refused = threading.Event()

    def refuse(server: Server) -> Script:
        def script(connection: socket.socket) -> None:
            server.head(connection)
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
            refused.set()
            with contextlib.suppress(OSError):
                while connection.recv(1 << 20):
                    pass

        return script

    server, client = serving(refuse)
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(100):
            yield b"x" * 100_000
            sent += 1
            assert refused.wait(5)

    answer = client.send(put(server, pieces(), 10_000_000))

    assert (answer.status_code, body_of(answer)) == (403, b"no")
    assert sent < 100


def test_refusal_before_the_body_leaves_it_unread(serving):
    """The body can be sent elsewhere."""
    refuse = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
    server, client = serving(lambda server: server.answering(refuse), lambda server: server.answering(OK))
    body = iter([b"abc"])

    first = client.send(put(server, body, 3, expect_continue=True))

    assert first.status_code == 401
    assert BODY_UNSENT in first.extensions
    assert list(body) == [b"abc"]
    assert b"Expect: 100-continue\r\n" in server.heads[0]
    # The server waits for the announced body: that connection serves nothing more.
    assert body_of(client.send(get(server))) == b"ok"


def test_announced_body_survives_a_closed_connection(serving, monkeypatch):
    """The body was not touched, so it is sent on another connection."""
    # The server's end is closed, and we have not heard of it yet.
    monkeypatch.setattr(connection_module.Connection, "is_usable", property(lambda _: True))
    server, client = serving(lambda server: server.answering(OK), lambda server: server.answering(OK, body=6))
    monkeypatch.setattr(connection_module, "_CONTINUE_SECONDS", 0.01)
    assert body_of(client.send(get(server))) == b"ok"

    answer = client.send(put(server, [b"abc", b"def"], 6, expect_continue=True))

    assert answer.status_code == 200


def test_body_is_sent_after_100_continue(serving):
    """The interim response starts the body."""
    got: list[bytes] = []

    def script(server: Server) -> Script:
        def run(connection: socket.socket) -> None:
            server.head(connection)
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            got.append(_exactly(connection, 6))
            connection.sendall(OK)

        return run

    server, client = serving(script)

    answer = client.send(put(server, [b"abc", b"def"], 6, expect_continue=True))

    assert (answer.status_code, got, BODY_UNSENT in answer.extensions) == (200, [b"abcdef"], False)


def test_server_without_100_continue_gets_the_body(serving, monkeypatch):
    """After a short wait."""
    monkeypatch.setattr(connection_module, "_CONTINUE_SECONDS", 0.01)
    server, client = serving(lambda server: server.answering(OK, body=6))

    assert client.send(put(server, [b"abc", b"def"], 6, expect_continue=True)).status_code == 200


def test_only_silence_times_out(serving):
    """A slow response is read, however long it takes in total."""
    silent = threading.Event()
    content = b"".join(bytes([byte]) * 4096 for byte in b"abcdef")

    def trickle(server: Server) -> Script:
        def run(connection: socket.socket) -> None:
            server.head(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content))
            for begin in range(0, len(content), 4096):
                # The pause is what is tested: each a third of the time allowed, together twice that.
                silent.wait(0.1)
                connection.sendall(content[begin : begin + 4096])

        return run

    def hold(server: Server) -> Script:
        def run(connection: socket.socket) -> None:
            server.head(connection)
            silent.wait(10)

        return run

    server, client = serving(trickle, hold)
    slow = Request("GET", server.origin, "registry", "/", (), timeout_seconds=0.3)

    assert body_of(client.send(slow)) == content
    client.close()
    with pytest.raises(httpx.ReadTimeout):
        client.send(slow)
    silent.set()


@pytest.mark.row("DOS-06", "DOS-07")
@pytest.mark.parametrize("what", ["head", "body", "chunked body", "request"])
def test_slow_drip_times_out(what, serving):
    """Below 1 KiB per second of waiting the connection is closed, in both directions."""
    over = threading.Event()
    starts = {"head": b"HTTP/1.1 200 OK\r\nX: ", "body": b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", "request": b""}
    piece = b"1\r\na\r\n" if what == "chunked body" else b"a"

    def dribble(server: Server) -> Script:
        def run(connection: socket.socket) -> None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            server.head(connection)
            with contextlib.suppress(OSError):
                connection.sendall(starts.get(what, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"))
                for _ in range(1000):
                    # The pause is what is tested: far shorter than the time allowed.
                    over.wait(0.02)
                    if over.is_set():
                        return
                    if what == "request":
                        connection.recv(1)
                    else:
                        connection.sendall(piece)

        return run

    server, client = serving(dribble)
    request = put(server, [b"x" * (1 << 20)] * 40, 40 << 20) if what == "request" else get(server)
    began = time.monotonic()

    with pytest.raises((httpx.ReadTimeout, httpx.WriteTimeout)):
        body_of(client.send(dataclasses.replace(request, timeout_seconds=0.3)))

    over.set()
    assert time.monotonic() - began < 10, "it would have gone on for twenty seconds"


@pytest.mark.row("DOS-05")
@pytest.mark.parametrize("what", ["trailer", "chunk extension", "interim answers"])
def test_endless_framing_is_an_error(what, serving):
    """Chunk extensions, trailers and interim responses are limited like a head."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    start, piece = {
        "trailer": (chunked + b"0\r\nX: ", b"x" * 4096),
        "chunk extension": (chunked + b"5;", b"x" * 4096),
        "interim answers": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 100),
    }[what]
    sent = 0

    def endless(server: Server) -> Script:
        def run(connection: socket.socket) -> None:
            nonlocal sent
            server.head(connection)
            with contextlib.suppress(OSError):
                connection.sendall(start)
                while sent < 64 << 20:
                    connection.sendall(piece)
                    sent += len(piece)

        return run

    server, client = serving(endless)

    with pytest.raises(HeadTooLargeError):
        body_of(client.send(get(server)))

    client.close()
    assert sent < 32 << 20


@pytest.mark.parametrize("is_encrypted", [False, True])
def test_kept_pieces_of_a_large_body_stay_as_they_came(is_encrypted, serving, authority: trustme.CA):
    """Also those of the next body on the same connection."""
    body = os.urandom((9 << 20) + 7)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    context, trust = _contexts(authority) if is_encrypted else (None, None)
    server, client = serving(lambda server: server.answering(head + body, head + body, OK), tls=context, trust=trust)

    first, second = ([bytes(piece) if number % 3 else piece for number, piece in enumerate(client.send(get(server)).stream)] for _ in range(2))

    assert b"".join(first) == body
    assert b"".join(second) == body
    assert body_of(client.send(get(server))) == b"ok"


def test_large_body_that_is_cut_over_tls_is_an_error(serving, authority: trustme.CA):
    """After the bytes that came."""
    body = os.urandom(9 << 20)
    context, trust = _contexts(authority)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(body) + 1)
    server, client = serving(lambda server: server.answering(head + body), tls=context, trust=trust)
    came: list[bytes] = []

    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        came.extend(client.send(get(server)).stream)

    assert body.startswith(b"".join(came))


def test_large_body_is_sent_over_tls_as_it_is(serving, authority: trustme.CA):
    """To a peer that takes few bytes at once, in pieces of any length."""
    body = os.urandom((3 << 20) + 5)
    context, trust = _contexts(authority)
    taken: list[bytes] = []

    def take(server: Server) -> Script:
        def script(connection: socket.socket) -> None:
            server.head(connection)
            taken.append(_exactly(connection, len(body)))
            connection.sendall(OK)

        return script

    server, client = serving(take, tls=context, trust=trust)

    answer = client.send(put(server, [memoryview(body)[:70_000], memoryview(body)[70_000:]], len(body)))

    assert answer.status_code == 200
    assert taken == [body]


def _contexts(authority: trustme.CA) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the contexts of a server and of its client."""
    context, trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(trust)
    return context, trust


def test_preconnected_connection_is_used(serving):
    """It serves the first request."""
    server, client = serving(lambda server: server.answering(OK))

    client.connect(server.origin, 5)

    assert body_of(client.send(get(server))) == b"ok"


def test_tls_certificate_is_verified(serving, authority: trustme.CA):
    """An untrusted certificate ends the connection before a request."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(trust)
    server, client = serving(lambda server: server.answering(OK, OK), tls=context, trust=trust)

    assert [body_of(client.send(get(server))) for _ in range(2)] == [b"ok", b"ok"]


def test_preconnected_tls_connection_is_used(serving, authority: trustme.CA):
    """TLS 1.3 session tickets are not a response."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(trust)
    server, client = serving(lambda server: server.answering(OK), tls=context, trust=trust)

    client.connect(server.origin, 5)
    select.select([client._connections[server.origin]._socket._stream.socket], [], [], 5)

    assert body_of(client.send(get(server))) == b"ok"


def test_untrusted_certificate_gets_no_byte(serving, authority: trustme.CA):
    """No byte of a request is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server, client = serving(tls=context)
    threading.Thread(target=lambda: contextlib.suppress(Exception).__enter__() or _handshake(server, context), daemon=True).start()

    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        client.send(get(server))

    assert server.heads == []


def _handshake(server: Server, context: ssl.SSLContext) -> None:
    connection, _ = server._listener.accept()
    with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as encrypted:
        encrypted.recv(1)


@pytest.mark.row("NET-17")
def test_response_of_a_server_that_stops_reading_counts(serving):
    """Sending ends, and the response is read."""
    answered = threading.Event()

    def script(server: Server) -> Script:
        def run(connection: socket.socket) -> None:
            server.head(connection)
            connection.sendall(b"HTTP/1.1 507 No\r\nContent-Length: 2\r\n\r\nno")
            answered.wait(20)

        return run

    server, client = serving(script)
    size = 64 << 20

    answer = client.send(Request("PUT", server.origin, "registry", "/u", (), iter([bytes(size)]), size, timeout_seconds=0.5))
    body = body_of(answer)
    answered.set()

    assert (answer.status_code, body) == (507, b"no")


@pytest.mark.row("NET-18", "NET-12")
@pytest.mark.parametrize("noticed", [True, False], ids=["seen", "not seen yet"])
def test_connection_closed_before_the_body_is_replaced(noticed, serving, monkeypatch):
    """The body is sent whole on another connection."""
    if not noticed:
        monkeypatch.setattr(connection_module.Connection, "is_usable", property(lambda _: True))
    closed = threading.Event()
    got: list[bytes] = []

    def closing(server: Server) -> Script:
        def run(connection: socket.socket) -> None:
            server.head(connection)
            connection.sendall(OK)
            closed.wait(10)

        return run

    def taking(server: Server) -> Script:
        def run(connection: socket.socket) -> None:
            server.head(connection)
            got.append(_exactly(connection, 3))
            connection.sendall(OK)

        return run

    server, client = serving(closing, taking)
    assert body_of(client.send(get(server))) == b"ok"

    def pieces() -> Iterator[bytes]:
        closed.set()
        # The server's second script begins only once the first connection is closed.
        with contextlib.suppress(OSError):
            select.select([client._connections[server.origin]._socket._stream.socket], [], [], 10)
        yield b"abc"

    assert body_of(client.send(put(server, pieces(), 3))) == b"ok"
    assert got == [b"abc"]


@pytest.mark.row("NET-19")
def test_response_timeout_applies_before_the_head(serving):
    """`response_timeout_seconds` applies only there."""
    done = threading.Event()

    def script(server: Server) -> Script:
        def run(connection: socket.socket) -> None:
            server.head(connection)
            done.wait(0.6)
            connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n")
            done.wait(10)

        return run

    server, client = serving(script)

    answer = client.send(Request("PUT", server.origin, "registry", "/u", (), timeout_seconds=0.2, response_timeout_seconds=20))
    assert answer.status_code == 201
    with pytest.raises(httpx.ReadTimeout):
        answer.read()
    done.set()
