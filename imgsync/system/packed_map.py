"""
A mapping from texts, packed in memory.

Its entries are in sorted blocks. What changes is held beside them, until it is packed too.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from itertools import groupby
from math import ceil
from operator import itemgetter
from typing import TypeVar

from imgsync.system.packed_rows import BLOCK, pack_rows, split_blocks, unpack_rows

Value = TypeVar("Value")

# Blocks that stay unpacked: nearly all reading is in order.
_UNPACKED = 16
# Changes that are held beside the blocks, at least; more in a larger map, since they are spread over its blocks and each block is packed again.
_CHANGED = 4096
_CHANGED_PART = 32
_get_key = itemgetter(0)


class PackedMap(MutableMapping[str, Value]):
    """Values by key, read in the order of the keys."""

    def __init__(
        self, rows: Iterable[Sequence[object]], make: Callable[..., Value], list_row: Callable[[str, Value], Sequence[object]], *, block: int | None = None
    ) -> None:
        """
        Pack *rows*, sorted by their first value, the key.

        Each key comes once. *make* takes the values of a row, and *list_row* makes a row of a key and its value. *block* is how many rows are unpacked
        to find one.
        """
        self._block = block or BLOCK
        self._make = make
        self._list_row = list_row
        self._firsts: list[str] = []
        self._blocks: list[bytes] = []
        self._length = self._pack(rows, self._firsts, self._blocks, size=self._block)
        # None for a key that was removed.
        self._changed: dict[str, Value | None] = {}
        self._unpacked: dict[int, dict[str, Value]] = {}

    def __len__(self) -> int:
        """Return the number of keys."""
        return self._length

    def __contains__(self, key: object) -> bool:
        """Return whether *key* has a value."""
        return isinstance(key, str) and self.find(key) is not None

    def __getitem__(self, key: str) -> Value:
        """Return the value of *key*."""
        value = self.find(key)
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: str, value: Value) -> None:
        """Set the value of *key*."""
        self._length += key not in self
        self._change(key, value)

    def __delitem__(self, key: str) -> None:
        """Remove *key*."""
        if key not in self:
            raise KeyError(key)
        self._length -= 1
        self._change(key, None)

    def __iter__(self) -> Iterator[str]:
        """Yield each key, sorted."""
        return map(_get_key, self.iter_items())

    def find(self, key: str) -> Value | None:
        """Return the value of *key*, None if it has none."""
        if key in self._changed:
            return self._changed[key]
        return self._unpack(self._find_block(key)).get(key) if self._blocks else None

    def clear(self) -> None:
        """Remove every key."""
        self._firsts, self._blocks, self._length = [], [], 0
        self._changed, self._unpacked = {}, {}

    def iter_items(self, prefix: str = "") -> Iterator[tuple[str, Value]]:
        """Yield the keys that start with *prefix*, sorted, with their values."""
        changed = dict(self._changed)
        ours = [(key, value) for key, value in changed.items() if value is not None and key.startswith(prefix)]
        theirs = (item for item in self._iter_blocks(prefix) if item[0] not in changed)
        return heapq.merge(theirs, sorted(ours, key=_get_key), key=_get_key) if ours else theirs

    def _iter_blocks(self, prefix: str) -> Iterator[tuple[str, Value]]:
        # Both lists stay as they are: packing makes new ones.
        firsts, blocks = self._firsts, self._blocks
        for number in range(max(0, bisect_left(firsts, prefix) - 1), len(blocks)):
            if firsts[number] > prefix and not firsts[number].startswith(prefix):
                return
            # Of a prefix, the next one may be in the same block.
            some = self._unpack(number).items() if prefix and blocks is self._blocks else ((row[0], self._make(*row)) for row in unpack_rows(blocks[number]))
            yield from (item for item in some if item[0].startswith(prefix))

    def _change(self, key: str, value: Value | None) -> None:
        self._changed[key] = value
        if len(self._changed) >= max(_CHANGED, self._length // _CHANGED_PART):
            self._pack_changed()

    def _pack_changed(self) -> None:
        """Pack what changed into its blocks."""
        firsts: list[str] = []
        blocks: list[bytes] = []
        done = 0
        for number, keys in groupby(sorted(self._changed), key=self._find_block):
            firsts += self._firsts[done:number]
            blocks += self._blocks[done:number]
            merged = self._unpack(number) | {key: self._changed[key] for key in keys}
            rows = [self._list_row(key, value) for key, value in sorted(merged.items(), key=_get_key) if value is not None]
            # In equal parts, or a block of the few that are too many would stay for each block.
            self._pack(rows, firsts, blocks, size=ceil(len(rows) / max(1, ceil(len(rows) / self._block))))
            done = number + 1
        self._firsts, self._blocks = [*firsts, *self._firsts[done:]], [*blocks, *self._blocks[done:]]
        self._changed, self._unpacked = {}, {}

    def _find_block(self, key: str) -> int:
        """Return the number of the block that has *key*, if any has."""
        return max(0, bisect_right(self._firsts, key) - 1)

    def _unpack(self, number: int) -> dict[str, Value]:
        found = self._unpacked.pop(number, None)
        if found is None:
            found = {row[0]: self._make(*row) for row in unpack_rows(self._blocks[number])} if self._blocks else {}
            if len(self._unpacked) >= _UNPACKED:
                # The one that was not used for the longest time.
                del self._unpacked[next(iter(self._unpacked))]
        self._unpacked[number] = found
        return found

    def _pack(self, rows: Iterable[Sequence[object]], firsts: list[str], blocks: list[bytes], *, size: int) -> int:
        """Add blocks of *size* rows; return the number of rows."""
        count = 0
        for some in split_blocks(rows, size):
            firsts.append(str(some[0][0]))
            blocks.append(pack_rows(some))
            count += len(some)
        return count
