"""
Sort values without holding them as objects.

They are sorted in runs, and packed; reading merges the runs.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from heapq import heappop, heappush, heapreplace
from typing import TypeVar

from imgsync.system.dataclass import dataclass
from imgsync.system.packed_rows import BLOCK, pack_rows, split_blocks, unpack_rows

Value = TypeVar("Value")

# How many values are sorted at once.
_RUN = 4096


@dataclass(frozen=True, slots=True)
class _Run:
    """Sorted values, with the keys of the first and the last."""

    first: str
    last: str
    blocks: tuple[bytes, ...]


class SortedRuns(Collection[Value]):
    """
    Collects values, and yields them sorted.

    Values with equal keys stay in the order in which they were added. Each reading makes every value again.
    """

    def __init__(self, key: Callable[[Value], str], list_row: Callable[[Value], Sequence[object]], make: Callable[..., Value]) -> None:
        """
        Sort by *key*.

        *list_row* makes a row of a value, and *make* takes the values of the row to make it again.
        """
        self._key = key
        self._list_row = list_row
        self._make = make
        self._waiting: list[Value] = []
        self._is_sorted = True
        self._runs: list[_Run] = []
        self._length = 0

    def __len__(self) -> int:
        """Return the number of values."""
        return self._length

    def __iter__(self) -> Iterator[Value]:
        """Yield every value, sorted."""
        if not self._runs:
            # Few values need no packing.
            return iter(self._sort_waiting())
        self.pack()
        return self._merge()

    def __contains__(self, value: object) -> bool:
        """Return whether *value* is among them; reads all."""
        return any(value == one for one in self)

    def find(self, key: str) -> Value | None:
        """Return a value with *key*; unpacks a few blocks."""
        for value in self._sort_waiting():
            if self._key(value) == key:
                return value
        for run in self._runs:
            if run.first <= key <= run.last:
                number = bisect_right(run.blocks, key, key=lambda block: self._key(self._make(*unpack_rows(block)[0])))
                found = (self._make(*row) for row in unpack_rows(run.blocks[max(0, number - 1)]))
                same = next((one for one in found if self._key(one) == key), None)
                if same is not None:
                    return same
        return None

    def add(self, value: Value) -> None:
        """Add *value*."""
        if self._is_sorted:
            # A new list: the old one may still be read.
            self._waiting, self._is_sorted = [*self._waiting], False
        self._waiting.append(value)
        self._length += 1
        if len(self._waiting) >= _RUN:
            self.pack()

    def update(self, values: Iterable[Value]) -> None:
        """Add each of *values*."""
        for value in values:
            self.add(value)

    def pack(self) -> None:
        """Turn the values added last into a run."""
        if not self._waiting:
            return
        ready, self._waiting = self._sort_waiting(), []
        blocks = tuple(pack_rows(some) for some in split_blocks(map(self._list_row, ready), BLOCK))
        self._runs.append(_Run(self._key(ready[0]), self._key(ready[-1]), blocks))

    def _sort_waiting(self) -> list[Value]:
        """Return the values added last, sorted."""
        if not self._is_sorted:
            self._waiting.sort(key=self._key)
            self._is_sorted = True
        return self._waiting

    def _merge(self) -> Iterator[Value]:
        """Yield the values of all runs; unpack each when it is due."""
        waiting = sorted(((run.first, number) for number, run in enumerate(self._runs)), reverse=True)
        reading: list[tuple[str, int, Value, Iterator[Value]]] = []
        while waiting or reading:
            if waiting and (not reading or waiting[-1] <= reading[0][:2]):
                number = waiting.pop()[1]
                values = self._unpack(self._runs[number])
                if not reading and (not waiting or self._runs[number].last < waiting[-1][0]):
                    yield from values
                else:
                    value = next(values)
                    heappush(reading, (self._key(value), number, value, values))
                continue
            _, number, value, values = reading[0]
            yield value
            following = next(values, None)
            if following is None:
                heappop(reading)
            else:
                heapreplace(reading, (self._key(following), number, following, values))

    def _unpack(self, run: _Run) -> Iterator[Value]:
        for block in run.blocks:
            for row in unpack_rows(block):
                yield self._make(*row)


class SortedTexts(SortedRuns[str]):
    """Collects texts, and yields them sorted."""

    def __init__(self, key: Callable[[str], str] = str) -> None:
        """Sort by *key*."""
        super().__init__(key, lambda text: (text,), str)


def iter_unknown(values: Iterable[Value], known: Iterable[str], key: Callable[[Value], str]) -> Iterator[Value]:
    """
    Yield those of *values* whose *key* is not *known*; both are sorted.

    Raises:
        ValueError: One is not sorted, so that the result would be wrong.
    """
    others = _check_order(known)
    other = next(others, None)
    last = ""
    for value in values:
        own = key(value)
        if own < last:
            raise ValueError(f"not sorted: {own!r} after {last!r}")
        while other is not None and other < own:
            other = next(others, None)
        if other != own:
            yield value
        last = own
    # Also of those that no value was compared with.
    for _ in others:
        pass


def _check_order(texts: Iterable[str]) -> Iterator[str]:
    last = ""
    for text in texts:
        if text < last:
            raise ValueError(f"not sorted: {text!r} after {last!r}")
        yield text
        last = text
