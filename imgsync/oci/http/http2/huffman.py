"""
Decode the Huffman code of header fields.

Spec: RFC 7541, section 5.2 and appendix B.
"""

from __future__ import annotations

import functools

from imgsync.oci.http.http2.errors import ConnectionBrokenError, ErrorCode

# The length in bits of each byte's code, and of the end's. Codes of one length are consecutive numbers, after those of shorter ones.
_CODE_BITS = """
13 23 28 28 28 28 28 28 28 24 30 28 28 30 28 28 28 28 28 28 28 28 30 28 28 28 28 28 28 28 28 28
6 10 10 12 13 6 8 11 10 10 8 11 8 6 6 6 5 5 5 6 6 6 6 6 6 6 7 8 15 6 12 10
13 6 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 8 7 8 13 19 13 14 6
15 5 6 5 6 5 6 6 6 5 7 7 6 6 6 5 6 7 6 5 5 6 7 7 7 7 7 15 11 14 13 28
20 22 20 20 22 22 22 23 22 23 23 23 23 23 24 23 24 24 22 23 24 23 23 23 23 21 22 23 22 23 23 24
22 21 20 22 22 23 23 21 23 22 22 24 21 22 23 23 21 21 22 21 23 22 23 23 20 22 22 22 23 22 22 23
26 26 20 19 22 23 22 25 26 26 26 27 27 26 24 25 19 21 26 27 27 26 27 24 21 21 26 26 28 27 27 27
20 24 20 21 22 21 21 23 22 22 25 25 24 24 26 23 26 27 26 26 27 27 27 27 27 28 27 27 27 27 27 26
30
"""
_END = 256
_PADDING_BITS = 7


def _make_codes() -> dict[tuple[int, int], int]:
    """Return the symbol of each code, which is (bits, number)."""
    codes: dict[tuple[int, int], int] = {}
    number = before = 0
    for bits, symbol in sorted((int(bits), symbol) for symbol, bits in enumerate(_CODE_BITS.split())):
        number <<= bits - before
        codes[bits, number] = symbol
        number, before = number + 1, bits
    return codes


_CODES = _make_codes()


class _State(dict[int, tuple[bytes, "_State"]]):
    """
    What each byte completes, and the state after it.

    Entries are made when first needed: there are 256 states of up to 256.
    """

    __slots__ = ("bits", "may_end", "number")

    def __init__(self, bits: int, number: int) -> None:
        super().__init__()
        self.bits, self.number = bits, number
        # What is left of the last byte is filled with the first bits of the end's code, which are ones.
        self.may_end = bits <= _PADDING_BITS and number == (1 << bits) - 1

    def __missing__(self, byte: int) -> tuple[bytes, _State]:
        first, state = _read_half(self.bits, self.number, byte >> 4)
        second, state = _read_half(state.bits, state.number, byte & 0xF)
        self[byte] = first + second, state
        return self[byte]


@functools.cache
def _find_state(bits: int, number: int) -> _State:
    return _State(bits, number)


# A hundred words have thousands of bytes in a state, but few halves of a byte.
@functools.cache
def _read_half(bits: int, number: int, half: int) -> tuple[bytes, _State]:
    """Return what four more bits complete, and the state after them."""
    completed = b""
    for shift in (3, 2, 1, 0):
        bits, number = bits + 1, number << 1 | half >> shift & 1
        symbol = _CODES.get((bits, number))
        if symbol == _END:
            raise ConnectionBrokenError(ErrorCode.COMPRESSION_ERROR, "a header with an end inside")
        if symbol is not None:
            completed += bytes([symbol])
            bits = number = 0
    return completed, _find_state(bits, number)


def decode_huffman(data: bytes) -> bytes:
    """
    Return what *data* encodes.

    Raises:
        ConnectionBrokenError: It ends within a code, or has the code of the end.
    """
    state = _find_state(0, 0)
    pieces = []
    for byte in data:
        completed, state = state[byte]
        pieces.append(completed)
    if not state.may_end:
        raise ConnectionBrokenError(ErrorCode.COMPRESSION_ERROR, "a header that ends within a character")
    return b"".join(pieces)
