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
# As many values need no packing; a multiple of the above.
_FEW = 1024
# Blocks that stay unpacked for those who read by place.
_UNPACKED = 16
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
    """Values in their order; the last ones are not packed yet."""

    def __init__(self, values: Iterable[Value], list_row: Callable[[Value], Sequence[object]], make: Callable[..., Value]) -> None:
        """
        Pack *values*.

        *list_row* makes a row of a value, and *make* takes the values of the row to make it again.
        """
        self._list_row = list_row
        self._make = make
        self._blocks: list[bytes] = []
        self._packed = 0
        self._last: list[Value] = []
        self._unpacked: dict[int, list[Value]] = {}
        for value in values:
            self.append(value)
        self._pack_last()

    def __len__(self) -> int:
        """Return the number of values."""
        return self._packed + len(self._last)

    def __iter__(self) -> Iterator[Value]:
        """Yield each value, made again."""
        for block in self._blocks:
            for row in unpack_rows(block):
                yield self._make(*row)
        yield from self._last

    def __getitem__(self, place: int) -> Value:
        """Return the value at *place*; quick if those nearby were read before."""
        if place >= self._packed:
            return self._last[place - self._packed]
        number, rest = divmod(place, BLOCK)
        found = self._unpacked.get(number)
        if found is None:
            if len(self._unpacked) >= _UNPACKED:
                del self._unpacked[next(iter(self._unpacked))]
            found = self._unpacked[number] = [self._make(*row) for row in unpack_rows(self._blocks[number])]
        return found[rest]

    def append(self, value: Value) -> None:
        """Add *value* as the last one."""
        if self._packed % BLOCK:
            # The last block is not full.
            self._last = [self._make(*row) for row in unpack_rows(self._blocks.pop())]
            self._packed -= len(self._last)
            self._unpacked.clear()
        self._last.append(value)
        if len(self._last) >= _FEW:
            self._pack_last()

    def _pack_last(self) -> None:
        self._blocks += (pack_rows(block) for block in split_blocks(map(self._list_row, self._last), BLOCK))
        self._packed, self._last = self._packed + len(self._last), []

    def __contains__(self, value: object) -> bool:
        """Return whether *value* is among them; reads all."""
        return any(value == one for one in self)


def pack_texts(texts: Iterable[str]) -> Collection[str]:
    """Return *texts* in their order, packed if they are many."""
    rest = iter(texts)
    first = tuple(islice(rest, _FEW + 1))
    return first if len(first) <= _FEW else PackedSequence(chain(first, rest), lambda text: (text,), str)
