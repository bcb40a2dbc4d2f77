"""Read the rows of a stored state, each with its checksum."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from imgsync.state.record import Record, decode, decode_note, encode
from imgsync.state.registry_names import is_later, rename_record, rename_subject


class Rows:
    """The records and notes in the rows of a database."""

    def __init__(self, rows: Iterable[tuple[str, str]], kinds: Iterable[str]) -> None:
        """Read *rows*; notes of other kinds than *kinds* are left alone."""
        self.records: dict[str, Record] = {}
        self.notes: dict[str, dict[str, str]] = {kind: {} for kind in kinds}
        # Keys under which earlier versions stored what has another key now.
        self._renamed: dict[str, str] = {}
        self.damaged = sum(not self._read(key, value) for key, value in rows)

    def iter_renamed(self) -> Iterator[tuple[str, str | None]]:
        """Yield what to store under another key, None for the old key."""
        for old, key in self._renamed.items():
            kind, space, subject = key.partition(" ")
            yield old, None
            yield key, self.notes[kind][subject] if space else encode(self.records[key])

    def _read(self, key: str, value: str) -> bool:
        """Read one row and return whether it is valid."""
        kind, space, subject = key.partition(" ")
        if not space:
            return self._read_record(key, value)
        if kind not in self.notes:
            # A later version wrote this kind: leave it alone.
            return True
        text = decode_note(key, value)
        if text is not None:
            name = rename_subject(kind, subject)
            self._note_key(key, f"{kind} {name}")
            self.notes[kind][name] = text
        return text is not None

    def _read_record(self, key: str, value: str) -> bool:
        found = decode(key, value)
        if found is None:
            return False
        record = rename_record(found)
        self._note_key(key, record.destination)
        if is_later(record, self.records.get(record.destination)):
            self.records[record.destination] = record
        return True

    def _note_key(self, old: str, key: str) -> None:
        if old != key:
            self._renamed[old] = key
