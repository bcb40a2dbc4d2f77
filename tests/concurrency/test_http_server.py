"""Slow and hostile clients cost little and block nobody."""

from __future__ import annotations

import contextlib
import resource
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from imgsync.concurrency.http_server import limit_connections
from tests.support.web_server import WebServer, web_server

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
# Short, so that the tests are; the product's are of ten seconds and more.
QUICK = {"head_seconds": 1.0, "body_seconds": 1.0, "write_seconds": 1.5, "idle_seconds": 1.0, "requests": 3}
PATIENT = {"head_seconds": 60.0, "body_seconds": 60.0, "write_seconds": 60.0, "idle_seconds": 60.0}


@pytest.fixture(scope="module")
def quick() -> Iterator[WebServer]:
    """A server with short deadlines and many mirrors."""
    with web_server("large_board", limits=QUICK) as found:
        yield found


def connect(server: WebServer) -> socket.socket:
    host, _, port = server.host.rpartition(":")
    client = socket.create_connection((host, int(port)), timeout=20)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return client


def read_all(client: socket.socket) -> bytes:
    """Return what comes until the server closes the connection."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while data := client.recv(1 << 16):
            found += data
    return found


def ask(server: WebServer) -> float:
    """Return how long the page takes."""
    began = time.monotonic()
    with server.client() as client:
        assert client.get("/").status_code == 200
    return time.monotonic() - began


def wait_until(holds: Callable[[], bool], seconds: float = 15) -> None:
    """Return as soon as *holds* is true."""
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "it did not come true"
        time.sleep(0.02)


@contextlib.contextmanager
def clients(server: WebServer, count: int, first: bytes) -> Iterator[list[socket.socket]]:
    """Open connections that send *first* and then do nothing."""
    found: list[socket.socket] = []
    try:
        for _ in range(count):
            found.append(connect(server))
            with contextlib.suppress(OSError):
                found[-1].sendall(first)
        yield found
    finally:
        for one in found:
            one.close()


@pytest.mark.row("SRV-07")
@pytest.mark.parametrize(
    ("first", "what"),
    [
        (b"", "nothing"),
        (b"GET / HTTP/1.1\r\nHost: loc", "half a head"),
        (b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\ntoken=", "half a body"),
        (b"POST /login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "half a chunk"),
        (REQUEST, "a request, and never reads"),
        (b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n", "a stream"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_page_answers_beside_500_slow_clients(first, what, quick):
    """Whatever they send, or do not."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limit[0], min(4096, limit[1])), limit[1]))
    with clients(quick, 500, first):
        times = [ask(quick) for _ in range(5)]

        assert sorted(times)[2] < 5, times
    wait_until(lambda: quick.ask("look")["connections"] <= 64)
    assert quick.ask("look")["errors"] == []


@pytest.mark.row("SRV-07")
def test_a_head_has_one_deadline_in_all(quick):
    """A byte now and then does not extend it."""
    with connect(quick) as client:
        began = time.monotonic()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for byte in b"GET / HTTP/1.1\r\nX: " + b"a" * 1000:
                client.sendall(bytes([byte]))
                time.sleep(0.05)
                if time.monotonic() - began > 10:
                    break
        took = time.monotonic() - began

    assert 0.9 < took < 6


@pytest.mark.row("SRV-07")
def test_a_client_that_never_reads_is_dropped(quick):
    """Its answer is given back."""
    before = quick.ask("look")["dropped"]
    with connect(quick) as client:
        client.sendall(b"GET /api/v1/mirrors/everything HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: quick.ask("look")["dropped"] > before)


@pytest.mark.row("SRV-13")
def test_more_connections_than_allowed_drop_the_ones_that_wait_longest():
    """So that who comes next is served at once, although no deadline is over."""
    with web_server("calm_board", limits=PATIENT, connections=40) as server, clients(server, 120, b"GET / HTTP/1.1\r\n") as found:
        assert ask(server) < 5
        wait_until(lambda: server.ask("look")["connections"] <= 41)
        assert server.ask("look")["dropped"] >= 80
        assert read_all(found[0]) == b""


@pytest.mark.row("SRV-13")
@pytest.mark.parametrize(("servers", "limit"), [(1, 128), (2, 64)])
def test_servers_share_half_of_the_descriptors(servers, limit):
    """A port for events and one for pages leave the other half to registries."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        found = limit_connections(1000, servers)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

    assert found == limit


@pytest.mark.row("SRV-13")
def test_streams_are_limited_apart():
    """The 65th gets a 503, and the page still answers."""
    with web_server("calm_board", limits=PATIENT) as server, clients(server, 64, b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n") as found:
        wait_until(lambda: server.ask("look")["streams"] == 64)
        with server.client() as client:
            assert client.get("/live").status_code == 503
        assert ask(server) < 5
        for one in found:
            one.close()
        server.ask("run")
        server.ask("end")
        wait_until(lambda: server.ask("look")["streams"] == 0, 30)


def test_requests_of_a_connection_are_limited(quick):
    """The last one says that the connection ends."""
    with connect(quick) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5)
        found = read_all(client)

    assert found.count(b"HTTP/1.1 200 OK") == 3
    assert found.count(b"Connection: close") == 1


@pytest.mark.row("SRV-01")
@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"400"),
        (b"GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", b"400"),
        (b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
        (b"POST /login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", b"501"),
        (b"PRI * HTTP/2.0\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
        (b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\n\r\n", b"414"),
    ],
)
def test_unclear_requests_end_the_connection(request_, status, quick):
    """What follows them is not read."""
    with connect(quick) as client:
        client.sendall(request_ + REQUEST)
        found = read_all(client)

    assert found.startswith(b"HTTP/1.1 " + status)
    assert found.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("path", ["/", "/live", "/api/v1/status", "/api/v1/plan"])
def test_an_answer_to_head_has_no_body(path, quick):
    """Not even the end of one: a proxy would take it for the beginning of the next answer."""
    with connect(quick) as client:
        client.sendall(f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\nHEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answers = read_all(client)
    first, second, rest = answers.split(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200")
    assert second.startswith(b"HTTP/1.1 200")
    assert rest == b""


@pytest.mark.row("SRV-02")
def test_a_large_body_is_refused_before_it_is_sent(quick):
    """By its length, with 413; a program that asks first does not send it."""
    with connect(quick) as client:
        client.sendall(b"POST /events/a HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 1048577\r\n\r\n")
        assert read_all(client).startswith(b"HTTP/1.1 413")
    with connect(quick) as client:
        client.sendall(b"POST /events/a/secret HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 100 Continue")
        client.sendall(b"{}")
        assert read_all(client).startswith(b"HTTP/1.1 202")


def test_an_error_of_the_application_is_a_500():
    """The log has it; the page does not."""
    with web_server("calm_board") as server:
        server.ask("break")
        with server.client() as client:
            answer = client.get("/")

        assert answer.status_code == 500
        assert "AttributeError" not in answer.text
        assert "AttributeError" in server.ask("look")["errors"][0]


def test_closing_lets_answers_end_and_drops_the_rest():
    """Idle connections at once, streams at their next look, slow ones after the grace."""
    with (
        web_server("calm_board", limits=PATIENT) as server,
        clients(server, 5, REQUEST) as idle,
        clients(server, 5, b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n") as streams,
    ):
        with clients(server, 5, b"GET / HTTP/1.1\r\n"):
            wait_until(lambda: server.ask("look")["streams"] == 5)
            began = time.monotonic()
            assert server.ask("close", grace=2)["connections"] == 0
            assert time.monotonic() - began < 8
        assert all(read_all(one).startswith(b"HTTP/1.1 200") for one in idle)
        assert all(read_all(one).endswith(b"0\r\n\r\n") for one in streams)
        with pytest.raises(ConnectionRefusedError):
            connect(server)
