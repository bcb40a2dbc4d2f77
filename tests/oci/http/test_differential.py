"""
Compare our HTTP client with urllib3 on the same responses.

A raw socket server sends the same bytes to both. Both must read the same status, headers and body, or both must fail. Where ours is stricter or follows a
newer standard, the table says so.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from operator import itemgetter

import httpx
import pytest
import urllib3
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from imgsync.oci.http.client import HttpClient
from imgsync.oci.http.connector import Connector
from imgsync.oci.http.request import Request
from imgsync.oci.http.ssrf_guard import SsrfGuard
from tests.support.effort import effort

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
EMPTY = b"Content-Length: 0\r\n\r\n"
FAILED = "failed"
# Status, headers (names in lower case), body; or FAILED.
Outcome = tuple[int, list[tuple[str, str]], bytes] | str


@dataclass
class RawServer:
    """Sends canned bytes for each request, and then closes or waits."""

    answers: list[bytes] = field(default_factory=list)
    stays_open: bool = False
    connections: int = 0

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            while _read_head(connection):
                connection.sendall(self.answers.pop(0))
                if not self.answers and not self.stays_open:
                    connection.shutdown(socket.SHUT_WR)
                    return

    def close(self) -> None:
        self._listener.close()


def _read_head(connection: socket.socket) -> bool:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            return False
        head += byte
    return True


@pytest.fixture(scope="module")
def server() -> Iterator[RawServer]:
    # It warns of each header that it cannot parse.
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)
    with contextlib.closing(RawServer()) as running:
        yield running


def read_with_ours(server: RawServer, method: str, count: int) -> list[Outcome]:
    client = HttpClient(Connector(lambda _: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), SsrfGuard([("127.0.0.1", server.port)])))
    with contextlib.closing(client):
        return [_ours(client, Request(method, ("http", "127.0.0.1", server.port), "registry", "/", (), timeout_seconds=5)) for _ in range(count)]


def _ours(client: HttpClient, request: Request) -> Outcome:
    try:
        response = client.send(request)
        body = b"".join(response.iter_raw())
    except httpx.TransportError:
        return FAILED
    return response.status_code, _by_name((name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers.raw), body


def read_with_urllib3(server: RawServer, method: str, count: int) -> list[Outcome]:
    pool = urllib3.HTTPConnectionPool("127.0.0.1", server.port, timeout=5, retries=False)
    with contextlib.closing(pool):
        return [_urllib3(pool, method) for _ in range(count)]


def _urllib3(pool: urllib3.HTTPConnectionPool, method: str) -> Outcome:
    try:
        response = pool.urlopen(method, "/", preload_content=False, redirect=False, decode_content=False)
        body = response.read(decode_content=False)
    except (urllib3.exceptions.HTTPError, ValueError, OverflowError):
        # It raises the last two for lengths that are negative or too large.
        return FAILED
    return response.status, _by_name(response.headers.iteritems()), body


def _by_name(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return *headers* sorted by name; the order of those with one name stays."""
    return sorted(((name.lower(), value) for name, value in headers), key=itemgetter(0))


def read_with_both(server: RawServer, *answers: bytes, method: str = "GET", stays_open: bool = False) -> tuple[list[Outcome], list[Outcome], list[int]]:
    """Return the outcomes of both clients, and how many connections each opened."""
    outcomes, connections = [], []
    for read in (read_with_ours, read_with_urllib3):
        server.answers, server.stays_open, server.connections = list(answers), stays_open, 0
        outcomes.append(read(server, method, len(answers)))
        connections.append(server.connections)
    return outcomes[0], outcomes[1], connections


@pytest.mark.parametrize(
    "answer",
    [
        # Status lines.
        pytest.param(b"HTTP/1.1 200\r\n" + EMPTY, id="no reason"),
        pytest.param(b"HTTP/1.1 200 \r\n" + EMPTY, id="empty reason"),
        pytest.param(b"HTTP/1.1 200 \xe9\r\n" + EMPTY, id="reason in Latin-1"),
        pytest.param(b"HTTP/1.1 404 Not Found\r\n" + EMPTY, id="404"),
        pytest.param(b"HTTP/1.1 999 X\r\n" + EMPTY, id="999"),
        pytest.param(b"HTTP/1.1 99 X\r\n" + EMPTY, id="99"),
        pytest.param(b"HTTP/1.1 1000 X\r\n" + EMPTY, id="1000"),
        pytest.param(b"HTTP/1.1 abc X\r\n" + EMPTY, id="status in letters"),
        pytest.param(b"HTTP/1.1 000 X\r\n" + EMPTY, id="status 000"),
        pytest.param(b"http/1.1 200 OK\r\n" + EMPTY, id="protocol in lower case"),
        pytest.param(b"HTTP/2 200 OK\r\n" + EMPTY, id="HTTP/2"),
        pytest.param(b"ICY 200 OK\r\n\r\n", id="ICY"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\nabc", id="HTTP/1.0"),
        # Headers.
        pytest.param(OK + b"X: a\r\nX: b\r\nx: c\r\n" + EMPTY, id="header three times"),
        pytest.param(OK + b"Set-Cookie: a=b\r\nSet-Cookie: c=d\r\n" + EMPTY, id="two cookies"),
        pytest.param(OK + b"x-A: b\r\ncontent-length: 2\r\n\r\nab", id="names in other case"),
        pytest.param(OK + b"X:\r\nY: \r\n" + EMPTY, id="empty values"),
        pytest.param(OK + b"X:   a b  \t\r\n" + EMPTY, id="spaces around a value"),
        pytest.param(OK + b"X: \xe9\r\n" + EMPTY, id="value in Latin-1"),
        pytest.param(OK + b"X: y\r\n" * 90 + EMPTY, id="90 headers"),
        pytest.param(OK + b"X: " + b"x" * 60_000 + b"\r\n" + EMPTY, id="60 kB of head"),
        pytest.param(OK + b"X: " + b"x" * 70_000 + b"\r\n" + EMPTY, id="70 kB of head"),
        pytest.param(OK + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", id="encoded body stays as it is"),
        # Bodies of known length.
        pytest.param(OK + EMPTY, id="empty body"),
        pytest.param(OK + b"Content-Length: 3\r\n\r\nabc", id="length"),
        pytest.param(OK + b"Content-Length: 5\r\n\r\nabc", id="truncated body"),
        pytest.param(OK + b"Content-Length: 2\r\n\r\nabc", id="more bytes than announced"),
        pytest.param(OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", id="two lengths"),
        pytest.param(OK + b"Content-Length: 99999999999999999999999\r\n\r\nabc", id="length beyond all numbers"),
        # Bodies that end with the connection.
        pytest.param(OK + b"\r\nabc", id="no length"),
        pytest.param(OK + b"Connection: close\r\n\r\nabc", id="connection close"),
        # Chunked bodies.
        pytest.param(CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", id="chunks"),
        pytest.param(CHUNKED + b'3;a=b;c="d;e"\r\nabc\r\n0;x\r\n\r\n', id="chunk extensions"),
        pytest.param(CHUNKED + b"3\r\nabc\r\n0\r\nX: y\r\nZ: w\r\n\r\n", id="trailers"),
        pytest.param(CHUNKED + b"A\r\n0123456789\r\n0\r\n\r\n", id="chunk size in upper case"),
        pytest.param(CHUNKED + b"003\r\nabc\r\n000\r\n\r\n", id="chunk size with zeros"),
        pytest.param(OK + b"Transfer-Encoding: CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n", id="CHUNKED"),
        pytest.param(OK + b"Transfer-Encoding: xchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", id="unknown transfer encoding"),
        pytest.param(CHUNKED + b"3", id="cut in a chunk size"),
        pytest.param(CHUNKED + b"3\r\nab", id="cut in a chunk"),
        pytest.param(CHUNKED + b"3\r\nabc\r\n", id="cut between chunks"),
        pytest.param(OK + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", id="cut in a chunk, connection close"),
        pytest.param(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", id="cut between chunks, HTTP/1.0"),
        pytest.param(CHUNKED + b"zz\r\nabc\r\n0\r\n\r\n", id="no chunk size"),
        pytest.param(CHUNKED + b"-3\r\nabc\r\n0\r\n\r\n", id="negative chunk size"),
        pytest.param(CHUNKED + b"fffffffffffffffff\r\nabc", id="chunk size beyond all numbers"),
        pytest.param(CHUNKED + b"3\nabc\n0\n\n", id="chunks without carriage returns"),
        pytest.param(CHUNKED + b"3\r\nabcX\r\n0\r\n\r\n", id="chunk longer than its size"),
        # Responses without a body.
        pytest.param(b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc", id="204 with a length"),
        pytest.param(b"HTTP/1.1 205 Reset Content\r\n" + EMPTY, id="205"),
        # Interim responses.
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + OK + b"Content-Length: 1\r\n\r\na", id="100 three times"),
        pytest.param(b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" + OK + EMPTY, id="100 with a header"),
        # Not HTTP.
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 20", id="half a status line"),
        pytest.param(b"abc", id="HTTP/0.9"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n", id="SSH"),
        pytest.param(b"\x15\x03\x01\x00\x02\x02\x46", id="TLS alert"),
        pytest.param(b"<html>\r\n\r\n", id="HTML"),
        pytest.param(bytes(range(256)), id="all bytes"),
    ],
)
def test_both_clients_read_the_same(answer, server):
    """Status, headers and body are equal, or both clients fail."""
    ours, theirs, _ = read_with_both(server, answer)

    assert ours == theirs


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        pytest.param("HEAD", OK + b"Content-Length: 3\r\n\r\n", id="HEAD with a length"),
        pytest.param("HEAD", CHUNKED, id="HEAD of a chunked body"),
        pytest.param("HEAD", OK + b"\r\n", id="HEAD without a length"),
        pytest.param("GET", b"HTTP/1.1 204 No Content\r\n\r\n", id="204"),
        pytest.param("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", id="304 with a length"),
        pytest.param("GET", OK + b"Content-Length: 3\r\n\r\nabc", id="length"),
        pytest.param("GET", CHUNKED + b"3\r\nabc\r\n0\r\nX: y\r\n\r\n", id="chunks and trailer"),
        pytest.param("GET", b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc", id="HTTP/1.0, kept alive"),
        pytest.param("GET", b"HTTP/1.1 100 Continue\r\n\r\n" + OK + EMPTY, id="after an interim response"),
    ],
)
def test_both_clients_reuse_an_open_connection(method, answer, server):
    """The response ends without the connection, which serves the next request."""
    ours, theirs, connections = read_with_both(server, answer, answer, answer, method=method, stays_open=True)

    assert ours == theirs
    assert FAILED not in ours
    assert connections == [1, 1]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(OK + b"Connection: close\r\nContent-Length: 3\r\n\r\nabc", id="connection close"),
        pytest.param(OK + b"Connection: Close, X\r\nContent-Length: 3\r\n\r\nabc", id="connection close in a list"),
        pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", id="HTTP/1.0"),
    ],
)
def test_both_clients_leave_a_connection_that_is_announced_to_close(answer, server):
    """The next request goes out on a new connection."""
    ours, theirs, connections = read_with_both(server, answer, answer, stays_open=True)

    assert ours == theirs == [(200, [*ours[0][1]], b"abc")] * 2
    assert connections == [2, 2]


SMUGGLING = "two readers could see different messages (RFC 9112, 6.3)"
NUMBERS = "a length has digits alone (RFC 9110, 8.6)"
SYNTAX = "not a header field (RFC 9112, 5)"


@pytest.mark.row("NET-14")
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(b"HTTP/1.2 200 OK\r\n" + EMPTY, "no such version", id="HTTP/1.2"),
        pytest.param(b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc", "lines end with CR LF (RFC 9112, 2.2)", id="lines without carriage returns"),
        pytest.param(OK + b"X: a\r\n b\r\n" + EMPTY, "obsolete (RFC 9112, 5.2)", id="folded header"),
        pytest.param(OK + b" X: a\r\n" + EMPTY, SYNTAX, id="folded first header"),
        pytest.param(OK + b"X : a\r\n" + EMPTY, SYNTAX, id="space before the colon"),
        pytest.param(OK + b"X\r\n" + EMPTY, SYNTAX, id="header without a colon"),
        pytest.param(OK + b": a\r\n" + EMPTY, SYNTAX, id="header without a name"),
        pytest.param(OK + b"X: a\0b\r\n" + EMPTY, SYNTAX, id="NUL in a value"),
        pytest.param(OK + b"X: a\x01b\r\n" + EMPTY, SYNTAX, id="control character in a value"),
        pytest.param(OK + b"X: a\rb\r\n" + EMPTY, SYNTAX, id="carriage return in a value"),
        pytest.param(OK + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", SMUGGLING, id="the same length twice"),
        pytest.param(OK + b"Content-Length: 3, 3\r\n\r\nabc", SMUGGLING, id="list of lengths"),
        pytest.param(OK + b"Content-Length: -3\r\n\r\nabc", NUMBERS, id="negative length"),
        pytest.param(OK + b"Content-Length: +3\r\n\r\nabc", NUMBERS, id="length with a sign"),
        pytest.param(OK + b"Content-Length: 0x3\r\n\r\nabc", NUMBERS, id="hexadecimal length"),
        pytest.param(OK + b"Content-Length: \r\n\r\nabc", NUMBERS, id="empty length"),
        pytest.param(OK + b"Content-Length: abc\r\n\r\nabc", NUMBERS, id="length in letters"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n", SMUGGLING, id="chunked and a length"),
        pytest.param(OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", SMUGGLING, id="a length and chunked"),
        pytest.param(OK + b"Transfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc", SMUGGLING, id="identity and a length"),
        pytest.param(CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n", "a chunk size has hexadecimal digits alone (RFC 9112, 7.1)", id="chunk size with 0x"),
        pytest.param(CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n", "a chunk size has hexadecimal digits alone (RFC 9112, 7.1)", id="chunk size with a space"),
        pytest.param(CHUNKED + b"3\r\nabc\r\n0\r\n", "truncated", id="cut before the last line"),
        pytest.param(OK + b"X: y\r\n", "truncated", id="cut after a header"),
        pytest.param(OK + b"X: y", "truncated", id="cut in a header"),
        pytest.param(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nabc", "we never ask for another protocol", id="101"),
    ],
)
def test_our_client_refuses_what_urllib3_reads(answer, reason, server):
    """It is stricter where a lenient reader could be led astray."""
    (ours,), (theirs,), _ = read_with_both(server, answer)

    assert ours == FAILED, reason
    assert theirs != FAILED, f"urllib3 refuses it now as well; move it to the first table ({reason})"


@pytest.mark.parametrize(
    ("answer", "status", "body", "reason"),
    [
        pytest.param(
            b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
            204,
            b"",
            "a 204 never has a body (RFC 9112, 6.3)",
            id="chunked 204",
        ),
        pytest.param(
            b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\na", 200, b"a", "103 is an interim response (RFC 8297)", id="103"
        ),
        pytest.param(
            OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 200, b"abc", "the last encoding frames the body", id="gzip, chunked"
        ),
        pytest.param(b"HTTP/2.0 200 OK\r\n" + EMPTY, 200, b"", "llhttp knows the version; nothing else follows from it", id="HTTP/2.0"),
        pytest.param(b"\r\n" + OK + EMPTY, 200, b"", "an empty line before a message is ignored (RFC 9112, 2.2)", id="empty line first"),
        pytest.param(OK + b"X: y\r\n" * 200 + EMPTY, 200, b"", "we limit the bytes of a head, not its lines", id="200 headers"),
    ],
)
def test_our_client_reads_what_urllib3_does_not(answer, status, body, reason, server):
    """Each of them has a reason, too."""
    (ours,), (theirs,), _ = read_with_both(server, answer)

    assert (ours[0], ours[2]) == (status, body), reason
    assert theirs != ours, f"urllib3 reads it now as well; move it to the first table ({reason})"


_TOKENS = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_", min_size=1, max_size=12)
_VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20)
_BODIES = st.binary(max_size=40)


@st.composite
def _chunked(draw: st.DrawFn) -> bytes:
    chunks = draw(st.lists(st.binary(min_size=1, max_size=20), max_size=4))
    extensions = st.one_of(st.just(""), _TOKENS.map(lambda name: f";{name}"), st.tuples(_TOKENS, _TOKENS).map(lambda pair: f";{pair[0]}={pair[1]}"))
    trailers = draw(st.lists(st.tuples(_TOKENS, _VALUES), max_size=2))
    body = b"".join(f"{len(chunk):x}{draw(extensions)}\r\n".encode() + chunk + b"\r\n" for chunk in chunks)
    return body + b"0\r\n" + b"".join(f"X-{name}: {value}\r\n".encode() for name, value in trailers) + b"\r\n"


@st.composite
def _responses(draw: st.DrawFn) -> bytes:
    """A response as RFC 9112 defines it."""
    status = draw(st.sampled_from([200, 201, 202, 204, 206, 304, 307, 400, 401, 404, 429, 503]))
    headers = draw(st.lists(st.tuples(_TOKENS.map(lambda name: f"X-{name}"), _VALUES), max_size=6))
    framing, body = draw(
        st.one_of(
            _BODIES.map(lambda body: (f"Content-Length: {len(body)}\r\n", body)),
            _chunked().map(lambda body: ("Transfer-Encoding: chunked\r\n", body)),
            _BODIES.map(lambda body: ("", body)),
        )
    )
    if status in {204, 304}:
        framing, body = "", b""
    closing = draw(st.sampled_from(["", "Connection: close\r\n", "Connection: keep-alive\r\n"]))
    lines = [f"HTTP/1.{draw(st.sampled_from('01'))} {status} {draw(_VALUES)}", *(f"{name}: {value}" for name, value in headers)]
    head = "\r\n".join([*lines, f"{closing}{framing}\r\n"])
    return head.encode() + body


@given(answer=_responses(), interim=st.integers(0, 2), method=st.sampled_from(["GET", "HEAD"]))
@settings(max_examples=effort(60, 3000), deadline=None, derandomize=effort(1, 0) == 1)
def test_both_clients_read_generated_responses_the_same(server, answer, interim, method):
    """Any valid response, perhaps after interim ones: status, headers and body are equal, and neither fails."""
    ours, theirs, _ = read_with_both(server, interim * b"HTTP/1.1 100 Continue\r\n\r\n" + answer, method=method)

    assert ours == theirs
    assert ours != [FAILED]


@st.composite
def _damaged_responses(draw: st.DrawFn) -> bytes:
    """A response that is cut, or in which one byte is replaced, inserted or removed."""
    answer = draw(_responses())
    at = draw(st.integers(0, len(answer) - 1))
    before, after = answer[:at], answer[at + 1 :]
    byte = bytes([draw(st.integers(0, 127))])
    return before + draw(st.sampled_from([b"", after, byte + after, byte + answer[at:]]))


@given(answer=_damaged_responses())
@settings(max_examples=effort(120, 6000), deadline=None, derandomize=effort(1, 0) == 1)
def test_damaged_response_is_read_the_same_or_refused(server, answer):
    """Our client never reads what urllib3 refuses, nor anything else than it."""
    # Read for the reasons in the last table.
    assume(not answer.startswith((b"\r", b"\n", b"HTTP/2.0")))
    ours, theirs, _ = read_with_both(server, answer)

    assert ours in ([FAILED], theirs)
