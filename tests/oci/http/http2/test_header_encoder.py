"""Header blocks of requests, as hpack reads them."""

from __future__ import annotations

import hpack
from hypothesis import given
from hypothesis import strategies as st

from imgsync.oci.http.http2.header_encoder import HeaderEncoder

TEXTS = st.binary(max_size=12) | st.sampled_from([b"accept", b":path", b":method", b"GET", b"POST", b"x" * 127, b"t" * 1500, b"u" * 5000])
HEADERS = st.lists(st.tuples(TEXTS, TEXTS), max_size=8)
REQUEST = [(b":method", b"GET"), (b":path", b"/v2/"), (b":authority", b"registry.example"), (b"authorization", b"Bearer " + b"t" * 1000)]


@given(st.lists(st.tuples(HEADERS, st.lists(st.sampled_from([0, 60, 4096, 1 << 20]), max_size=3)), max_size=6))
def test_hpack_decodes_the_blocks(blocks):
    """Over the life of a connection, whose server changes the size of its table."""
    encoder, decoder = HeaderEncoder(), hpack.Decoder(max_header_list_size=1 << 20)
    for headers, sizes in blocks:
        for size in sizes:
            encoder.resize(size)
        assert [tuple(header) for header in decoder.decode(encoder.encode(headers), raw=True)] == headers


def test_headers_of_the_next_request_are_a_byte_each():
    """But for the path, which is new each time and does not push out the others."""
    encoder = HeaderEncoder()
    encoder.encode(REQUEST)
    for _ in range(100):
        assert len(encoder.encode(REQUEST)) == 3 + len(b"\x14\x04/v2/")


def test_path_is_never_kept_by_the_server():
    """So that proxies do not keep it either, and it leaves the token where it is."""
    [path] = hpack.Decoder().decode(HeaderEncoder().encode([(b":path", b"/v2/")]), raw=True)
    assert isinstance(path, hpack.NeverIndexedHeaderTuple)
