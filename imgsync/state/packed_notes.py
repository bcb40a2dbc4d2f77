"""
The notes of one kind, packed in memory.

A large mirror has two notes about blobs for each record.
"""

from __future__ import annotations

from collections.abc import Iterable

from imgsync.system.packed_map import PackedMap

# Few, since blobs are looked up in no order: with four times as many, a look-up takes twice as long.
_BLOCK = 32


class PackedNotes(PackedMap[str]):
    """Texts by what they are about."""

    def __init__(self, notes: Iterable[tuple[str, str]] = ()) -> None:
        """Pack *notes*, sorted by what they are about, each once."""
        super().__init__(notes, lambda _, text: text, lambda about, text: (about, text), block=_BLOCK)
