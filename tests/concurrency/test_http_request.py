"""Requests are read strictly, so that no two programs read them differently."""

from __future__ import annotations

import contextlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.concurrency.http_request import BODY_LIMIT_BYTES, Framing, RefusedRequestError, check_framing, check_request_line, read_body, read_head

HOST = ("host", "page.example")


@pytest.mark.parametrize("line", ["GET / HTTP/1.1\r\n", "POST /api/v1/reconcile HTTP/1.0\r\n", "GET /?q=a%20b HTTP/1.1\n"])
def test_usual_request_lines_are_read(line):
    """A method, a path and a version."""
    check_request_line(line)


@pytest.mark.row("SRV-01")
@pytest.mark.parametrize(
    "line",
    [
        "GET /\r\n",
        "GET / HTTP/0.9\r\n",
        "GET / HTTP/2.0\r\n",
        "GET  / HTTP/1.1\r\n",
        "GET / x HTTP/1.1\r\n",
        "GET http://other.example/ HTTP/1.1\r\n",
        "get / HTTP/1.1\r\n",
        "GET /\x00 HTTP/1.1\r\n",
        "GET /é HTTP/1.1\r\n",
        " GET / HTTP/1.1\r\n",
    ],
)
def test_unusual_request_lines_are_refused(line):
    """Two words, two spaces, another host, control characters."""
    with pytest.raises(RefusedRequestError):
        check_request_line(line)


def test_header_fields_are_read_in_order():
    """Names are in lower case, values without blanks around them."""
    assert read_head(io.BytesIO(b"Host: a\r\nX-One:  b \t\r\nx-one: c\r\nEmpty:\r\n\r\nrest")) == [("host", "a"), ("x-one", "b"), ("x-one", "c"), ("empty", "")]


@pytest.mark.row("SRV-01")
@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Host: a\r\n folded\r\n\r\n", "400"),
        (b"Host : a\r\n\r\n", "400"),
        (b"Ho st: a\r\n\r\n", "400"),
        (b": a\r\n\r\n", "400"),
        (b"Host: a\rX: b\r\n\r\n", "400"),
        (b"Host: a\x00\r\n\r\n", "400"),
        (b"Host: a\r\n", "400"),
        (b"no field\r\n\r\n", "400"),
        (b"X: " + b"a" * 40_000 + b"\r\n\r\n", "431"),
        (b"X: a\r\n" * 200 + b"\r\n", "431"),
    ],
)
def test_unclear_heads_are_refused(head, status):
    """Folded lines, blanks in names, lone carriage returns, too much of it."""
    with pytest.raises(RefusedRequestError) as caught:
        read_head(io.BytesIO(head))

    assert caught.value.status.startswith(status)


@pytest.mark.row("SRV-02")
@pytest.mark.timeout(20)
@pytest.mark.parametrize("begin", [b"X:", b"X: a", b"X"])
def test_many_blanks_are_read_at_once(begin):
    """In a field that is then refused; to try every way to read them would take a day."""
    with pytest.raises(RefusedRequestError):
        read_head(io.BytesIO(begin + b" \t" * 15_000 + b"\x00\r\n\r\n"))


def test_lengths_of_bodies_are_known():
    """By a number, by chunks, or none."""
    assert check_framing("POST", "HTTP/1.1", [HOST, ("content-length", "12")]) == Framing(12)
    assert check_framing("POST", "HTTP/1.1", [HOST, ("transfer-encoding", "Chunked")]) == Framing(None)
    assert check_framing("GET", "HTTP/1.1", [HOST]) == Framing(0)
    assert check_framing("GET", "HTTP/1.0", []) == Framing(0)


@pytest.mark.row("SRV-01")
@pytest.mark.parametrize(
    ("method", "version", "fields", "status"),
    [
        ("POST", "HTTP/1.1", [HOST, ("content-length", "1"), ("content-length", "1")], "400"),
        ("POST", "HTTP/1.1", [HOST, ("content-length", "1"), ("transfer-encoding", "chunked")], "400"),
        ("POST", "HTTP/1.1", [HOST, ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], "400"),
        ("POST", "HTTP/1.1", [HOST, ("transfer-encoding", "gzip, chunked")], "501"),
        ("POST", "HTTP/1.1", [HOST, ("transfer-encoding", "xchunked")], "501"),
        ("POST", "HTTP/1.0", [HOST, ("transfer-encoding", "chunked")], "501"),
        ("POST", "HTTP/1.1", [HOST, ("content-length", "+1")], "400"),
        ("POST", "HTTP/1.1", [HOST, ("content-length", "1, 1")], "400"),
        ("POST", "HTTP/1.1", [HOST, ("content-length", "-1")], "400"),
        ("POST", "HTTP/1.1", [HOST, ("content-length", "1_0")], "400"),
        ("POST", "HTTP/1.1", [HOST, ("content-length", str(BODY_LIMIT_BYTES + 1))], "413"),
        ("GET", "HTTP/1.1", [HOST, ("content-length", "1")], "400"),
        ("GET", "HTTP/1.1", [], "400"),
        ("GET", "HTTP/1.1", [HOST, ("host", "other.example")], "400"),
    ],
)
def test_unclear_lengths_are_refused(method, version, fields, status):
    """Two lengths, a length beside chunks, a body where none is expected, two hosts."""
    with pytest.raises(RefusedRequestError) as caught:
        check_framing(method, version, fields)

    assert caught.value.status.startswith(status)


def test_bodies_are_read_to_their_end():
    """What follows is the next request."""
    for data, framing in ((b"abcdefNEXT", Framing(6)), (b"3\r\nabc\r\n3;x=y\r\ndef\r\n0\r\nTrailer: x\r\n\r\nNEXT", Framing(None))):
        file, sizes = io.BytesIO(data), []
        assert read_body(file, framing, sizes.append) == b"abcdef"
        assert file.read() == b"NEXT"
        assert sum(sizes) == 6


@pytest.mark.row("SRV-01", "SRV-02")
@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"3\nabc\r\n0\r\n\r\n", "400"),
        (b"0x3\r\nabc\r\n0\r\n\r\n", "400"),
        (b"3\r\nabcd\r\n0\r\n\r\n", "400"),
        (b"-3\r\nabc\r\n0\r\n\r\n", "400"),
        (b"fffffffff\r\n", "400"),
        (b"3\r\nab", "400"),
        (b"3;" + b"x" * 300 + b"\r\nabc\r\n", "400"),
        (b"200000\r\n", "413"),
        (b"1\r\na\r\n" * 5_000 + b"0\r\n\r\n", "413"),
        (b"3\r\nabc\r\n0\r\nbad trailer\r\n\r\n", "400"),
    ],
)
def test_damaged_chunks_are_refused(data, status):
    """Other line ends, wrong sizes, too many of them."""
    with pytest.raises(RefusedRequestError) as caught:
        read_body(io.BytesIO(data), Framing(None), lambda _: None)

    assert caught.value.status.startswith(status)


_PIECES = st.lists(
    st.sampled_from([b"\r\n", b"\n", b":", b" ", b"Host", b"a", b"Transfer-Encoding", b"chunked", b"0", b"3", b"\x00", b"\xff", b"5;x"]) | st.binary(max_size=8)
)


@pytest.mark.row("SRV-01")
@given(_PIECES.map(b"".join))
def test_any_bytes_are_read_or_refused(data):
    """No other error, whatever is sent as a head or as chunks."""
    for read in (read_head, lambda file: read_body(file, Framing(None), lambda _: None)):
        with contextlib.suppress(RefusedRequestError):
            read(io.BytesIO(data))


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=20), st.binary(max_size=20))
def test_chunks_give_the_body_that_was_sent(chunks, rest):
    """And leave what follows."""
    sent = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    file = io.BytesIO(sent + rest)

    assert read_body(file, Framing(None), lambda _: None) == b"".join(chunks)
    assert file.read() == rest
