"""Header blocks of a server, compared with hpack's."""

from __future__ import annotations

import hpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imgsync.oci.http.http2.errors import ConnectionBrokenError, ErrorCode
from imgsync.oci.http.http2.header_decoder import HeaderDecoder

LIMIT = 64 << 10
TEXTS = st.binary(max_size=12) | st.sampled_from([b"location", b"content-length", b":status", b"200", b"x" * 3000, b"y" * 5000])
HEADERS = st.lists(st.tuples(TEXTS, TEXTS), max_size=8)


@given(st.lists(st.tuples(HEADERS, st.booleans(), st.none() | st.sampled_from([0, 60, 4096])), max_size=6))
def test_blocks_of_hpack_are_decoded(blocks):
    """Over the life of a connection, whose table changes with each block."""
    encoder, decoder = hpack.Encoder(), HeaderDecoder(1 << 20)
    for headers, huffman, size in blocks:
        if size is not None:
            encoder.header_table_size = size
        assert decoder.decode(encoder.encode(headers, huffman=huffman)) == headers


@given(st.lists(st.binary(max_size=24), max_size=3))
@example([b"\x40\x01a\x01b\xbe"])
@example([b"\x3f\xe1\x1f\x82"])
@example([b"\x3f\xe2\x1f\x82"])
@example([b"\x82\x20"])
@example([b"\x80"])
@example([b"\xff\x00"])
@example([b"\x0f\x2f\x01a"])
@example([b"\x40\x05abc"])
def test_any_bytes_are_decoded_as_hpack_does(blocks: list[bytes]):
    """The same fields, or an error of both; the connection ends with it."""
    theirs, ours = hpack.Decoder(), HeaderDecoder(LIMIT)
    for block in blocks:
        try:
            expected = [tuple(header) for header in theirs.decode(block, raw=True)]
        except hpack.HPACKError:
            with pytest.raises(ConnectionBrokenError):
                ours.decode(block)
            return
        assert ours.decode(block) == expected


@pytest.mark.row("DOS-18")
def test_small_block_that_decodes_to_a_large_head_is_refused():
    """One byte stands for 4 KB that came before."""
    decoder = HeaderDecoder(LIMIT)
    decoder.decode(hpack.Encoder().encode([(b"a", b"x" * 4000)]))

    with pytest.raises(ConnectionBrokenError, match="larger than 64 KiB") as raised:
        decoder.decode(b"\xbe" * 20)
    assert raised.value.code == ErrorCode.ENHANCE_YOUR_CALM


@pytest.mark.row("DOS-18")
def test_number_without_an_end_is_refused():
    """It would become larger than memory."""
    with pytest.raises(ConnectionBrokenError, match="too large"):
        HeaderDecoder(LIMIT).decode(b"\x7f" + b"\xff" * 1000)
