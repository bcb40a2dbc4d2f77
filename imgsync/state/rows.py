"""Read the rows of a stored state, each with its checksum."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from imgsync.state.packed_notes import PackedNotes
from imgsync.state.packed_records import PackedRecords
from imgsync.state.record import Record, decode, decode_note, encode
from imgsync.state.registry_names import is_later, rename_record, rename_subject


class Rows:
    """The records and notes in the rows of a database."""

    def __init__(self, rows: Iterable[tuple[str, str]], kinds: Iterable[str]) -> None:
        """Read *rows*, sorted by key, with notes of *kinds*."""
        self.notes = {kind: PackedNotes() for kind in kinds}
        self.damaged = 0
        # Keys under which earlier versions stored what has another key now.
        self._renamed: dict[str, str] = {}
        self._out_of_order: list[Record] = []
        self.records = PackedRecords(self._read_all(rows))
        for record in self._out_of_order:
            if is_later(record, self.records.get(record.destination)):
                self.records.put([record])

    def iter_renamed(self) -> Iterator[tuple[str, str | None]]:
        """Yield what to store under another key, None for the old key."""
        for old, key in self._renamed.items():
            kind, space, subject = key.partition(" ")
            record = None if space else self.records.get(key)
            yield old, None
            yield key, self.notes[kind][subject] if record is None else encode(record)

    def _read_all(self, rows: Iterable[tuple[str, str]]) -> Iterator[Record]:
        """Yield the valid records in order; keep the notes."""
        last = ""
        for key, value in rows:
            if " " in key:
                self.damaged += not self._read_note(key, value)
                continue
            found = decode(key, value)
            if found is None:
                self.damaged += 1
                continue
            record = rename_record(found)
            self._note_key(key, record.destination)
            if record.destination > last:
                last = record.destination
                yield record
            else:
                self._out_of_order.append(record)

    def _read_note(self, key: str, value: str) -> bool:
        """Read a note and return whether it is valid."""
        kind, _, subject = key.partition(" ")
        if kind not in self.notes:
            # A later version wrote this kind: leave it alone.
            return True
        text = decode_note(key, value)
        if text is not None:
            name = rename_subject(kind, subject)
            self._note_key(key, f"{kind} {name}")
            self.notes[kind][name] = text
        return text is not None

    def _note_key(self, old: str, key: str) -> None:
        if old != key:
            self._renamed[old] = key
