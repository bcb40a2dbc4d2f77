"""The Huffman code of header fields, compared with hpack's."""

from __future__ import annotations

import pytest
from hpack.exceptions import HPACKError
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman as decode_with_hpack
from hypothesis import example, given
from hypothesis import strategies as st

from imgsync.oci.http.http2.errors import ConnectionBrokenError
from imgsync.oci.http.http2.huffman import decode_huffman

HPACK = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


@given(st.binary(max_size=60))
@example(bytes(range(256)))
def test_text_that_hpack_encodes_is_decoded(text: bytes):
    """All bytes, although headers have few of them."""
    assert decode_huffman(HPACK.encode(text)) == text


@given(st.binary(max_size=20))
@example(b"\xff")
@example(b"\xff\xff\xff\xff")
@example(b"\xfe")
def test_any_bytes_are_decoded_as_hpack_does(data: bytes):
    """Padding that is too long or not of ones, and the code of the end, are errors."""
    try:
        expected = bytes(decode_with_hpack(data))
    except HPACKError:
        with pytest.raises(ConnectionBrokenError):
            decode_huffman(data)
    else:
        assert decode_huffman(data) == expected
