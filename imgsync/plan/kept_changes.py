"""
The kept tags of one mirror, packed.

Nearly all tags of a large plan are kept. As objects each takes half a KiB or more; packed, some fifty bytes.
"""

from __future__ import annotations

import functools
import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence

from imgsync.filters.natural_order import make_natural_key
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.plan.model import Action, Change
from imgsync.system.dataclass import dataclass
from imgsync.system.packed_rows import pack_rows, unpack_rows

# How many changes are sorted at once, and how many are unpacked at once.
_RUN = 4096
_BLOCK = 128
# All but those of the references, and what is the same for all.
_FIELDS = tuple(name for name in Change.__slots__ if name not in {"action", "mirror", "source", "destination"})


@dataclass(frozen=True, slots=True)
class _Run:
    """Sorted changes, with the keys of the first and the last."""

    first: str
    last: str
    blocks: tuple[bytes, ...]


class KeptChanges:
    """
    Collects the kept changes of one mirror, and yields them sorted.

    They are sorted in runs, which are merged when they are read. Each reading unpacks every change again.
    """

    def __init__(self, mirror: str) -> None:
        """Start empty; every change belongs to *mirror*."""
        self.mirror = mirror
        self._waiting: list[Change] = []
        self._runs: list[_Run] = []
        self._length = 0

    def __len__(self) -> int:
        """Return the number of changes."""
        return self._length

    def __iter__(self) -> Iterator[Change]:
        """Yield every change, sorted by source and destination."""
        if not self._runs:
            # Few changes need no packing.
            yield from sorted(self._waiting, key=make_key)
            return
        self._pack()
        for overlapping in _group_overlapping(self._runs):
            readers = [self._unpack(run) for run in overlapping]
            yield from readers[0] if len(readers) == 1 else heapq.merge(*readers, key=make_key)

    def add(self, change: Change) -> None:
        """Add *change*, whose action is to keep."""
        self._waiting.append(change)
        self._length += 1
        if len(self._waiting) >= _RUN:
            self._pack()

    def select(self, is_selected: Callable[[Change], bool]) -> KeptChanges:
        """Return the selected changes."""
        found = KeptChanges(self.mirror)
        for change in self:
            if is_selected(change):
                found.add(change)
        return found

    def _pack(self) -> None:
        """Turn the changes added last into a run."""
        if not self._waiting:
            return
        ready = sorted(self._waiting, key=make_key)
        self._waiting.clear()
        blocks = tuple(_pack_block(ready[start : start + _BLOCK]) for start in range(0, len(ready), _BLOCK))
        self._runs.append(_Run(make_key(ready[0]), make_key(ready[-1]), blocks))

    def _unpack(self, run: _Run) -> Iterator[Change]:
        for block in run.blocks:
            yield from _unpack_block(self.mirror, block)


def make_key(change: Change) -> str:
    """Return the key by which changes of one action are sorted."""
    return f"{make_natural_key(str(change.source))}\0\0{make_natural_key(str(change.destination))}"


def _group_overlapping(runs: Iterable[_Run]) -> Iterator[Sequence[_Run]]:
    """Yield *runs* in order; those that overlap together."""
    group: list[_Run] = []
    last = ""
    for run in sorted(runs, key=lambda run: run.first):
        if group and run.first > last:
            yield group
            group = []
        group.append(run)
        last = max(last, run.last)
    if group:
        yield group


def _pack_block(changes: Iterable[Change]) -> bytes:
    # References are put together again, since their text would have to be parsed.
    return pack_rows([_list_fields(change) for change in changes])


def _list_fields(change: Change) -> list[object]:
    source, destination = change.source, change.destination
    references = (
        *(source.repository.registry, source.repository.path, source.tag, source.digest),
        *(destination.repository.registry, destination.repository.path, destination.tag, destination.digest),
    )
    return [*references, *(getattr(change, name) for name in _FIELDS)]


def _unpack_block(mirror: str, block: bytes) -> Iterator[Change]:
    for fields in unpack_rows(block):
        values = dict(zip(_FIELDS, fields[8:], strict=True))
        values["left_out"] = tuple(values["left_out"])
        yield Change(action=Action.KEEP, mirror=mirror, source=_join_reference(*fields[:4]), destination=_join_reference(*fields[4:8]), **values)


def _join_reference(registry: str, path: str, tag: str, digest: str) -> Reference:
    return Reference(_find_repository(registry, path), tag, digest)


@functools.lru_cache(maxsize=64)
def _find_repository(registry: str, path: str) -> Repository:
    """Return one value for all tags of a repository."""
    return Repository(registry, path)
