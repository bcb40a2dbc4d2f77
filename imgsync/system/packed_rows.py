"""
Pack rows of texts and numbers.

As objects, a million of them need a GiB; packed in blocks of a hundred or so, a tenth.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, TypeVar

Value = TypeVar("Value")

# Rows that are packed and unpacked at once.
BLOCK = 128
# As many texts need no packing.
_FEW = 1024
# The fastest: digests do not become smaller, and the rest nearly vanishes.
_LEVEL = 1
# A check for cycles would take a tenth of the time.
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def pack_rows(rows: Sequence[Sequence[object]]) -> bytes:
    """Return *rows* as one compressed block."""
    return zlib.compress(_encode(rows).encode(), _LEVEL)


def unpack_rows(block: bytes) -> list[list[Any]]:
    """Return the rows in *block*; a tuple has become a list."""
    rows: list[list[Any]] = json.loads(zlib.decompress(block))
    return rows


def split_blocks(values: Iterable[Value], size: int) -> Iterator[list[Value]]:
    """Yield *values* in lists of *size*, the last one shorter."""
    rest = iter(values)
    while block := list(islice(rest, size)):
        yield block


class PackedSequence(Collection[Value]):
    """Values in the order in which they were given."""

    def __init__(self, values: Iterable[Value], list_row: Callable[[Value], Sequence[object]], make: Callable[..., Value]) -> None:
        """
        Pack *values*.

        *list_row* makes a row of a value, and *make* takes the values of the row to make it again.
        """
        self._make = make
        self._blocks: list[bytes] = []
        self._length = 0
        for block in split_blocks(map(list_row, values), BLOCK):
            self._blocks.append(pack_rows(block))
            self._length += len(block)

    def __len__(self) -> int:
        """Return the number of values."""
        return self._length

    def __iter__(self) -> Iterator[Value]:
        """Yield each value, made again."""
        for block in self._blocks:
            for row in unpack_rows(block):
                yield self._make(*row)

    def __contains__(self, value: object) -> bool:
        """Return whether *value* is among them; reads all."""
        return any(value == one for one in self)


def pack_texts(texts: Iterable[str]) -> Collection[str]:
    """Return *texts* in their order, packed if they are many."""
    rest = iter(texts)
    first = tuple(islice(rest, _FEW + 1))
    return first if len(first) <= _FEW else PackedSequence(chain(first, rest), lambda text: (text,), str)
