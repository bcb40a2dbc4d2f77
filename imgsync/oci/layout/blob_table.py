"""Hold where each blob of an archive is, in 48 bytes each."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from itertools import pairwise

from imgsync.system.dataclass import dataclass

_PLACE = struct.Struct(">QQ")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the content of a member is in its archive."""

    offset: int
    size_bytes: int


class BlobTable:
    """Places by digest. All digests are of one algorithm."""

    def __init__(self, digest_bytes: int) -> None:
        """Hold digests of *digest_bytes* bytes."""
        self._key_bytes = digest_bytes
        self._row_bytes = digest_bytes + _PLACE.size
        self._added: list[bytes] = []
        self._rows = b""

    def __len__(self) -> int:
        """Return the number of blobs."""
        return len(self._rows) // self._row_bytes

    def add(self, digest_hex: str, place: Place) -> None:
        """Add a blob; `pack` makes it known."""
        self._added.append(bytes.fromhex(digest_hex) + _PLACE.pack(place.offset, place.size_bytes))

    def pack(self) -> str:
        """
        Sort what was added; return a digest that is there twice.

        Its hex digits, or "".
        """
        if not self._added:
            return ""
        rows, self._added = sorted([*self._split(), *self._added]), []
        self._rows = b"".join(rows)
        twice = (one for one, other in pairwise(rows) if one[: self._key_bytes] == other[: self._key_bytes])
        return next(twice, b"")[: self._key_bytes].hex()

    def find(self, digest_hex: str) -> Place | None:
        """Return the place of a blob, None if it is not there."""
        key = bytes.fromhex(digest_hex)
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self._rows[middle * self._row_bytes : middle * self._row_bytes + self._key_bytes] < key:
                low = middle + 1
            else:
                high = middle
        row = self._rows[low * self._row_bytes : (low + 1) * self._row_bytes]
        return Place(*_PLACE.unpack(row[self._key_bytes :])) if row.startswith(key) and row else None

    def _split(self) -> Iterable[bytes]:
        return (self._rows[start : start + self._row_bytes] for start in range(0, len(self._rows), self._row_bytes))
