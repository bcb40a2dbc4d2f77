"""
Encode and decode a state as JSON lines.

A header comes first, then a line per record and note. The same content gives the same lines. The decoder treats its input as
untrusted: it limits every length, checks every value and rejects damaged input as a whole. It skips unknown fields and unknown
kinds of lines, and rejects another major version.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache

from imgsync.errors import InvalidReferenceError, StateError
from imgsync.oci.spec.digest import is_digest
from imgsync.oci.spec.reference import is_repository_path, is_tag, parse_registry, parse_repository
from imgsync.state.blob_note import BlobNote, parse_blob_note
from imgsync.state.record import Record, from_line, to_line
from imgsync.state.registry_names import rename_all
from imgsync.state.snapshot import BLOB, GONE, REFERRERS, REMAINING, RUN, SEEN, SUCCESS, Snapshot
from imgsync.system.dataclass import dataclass
from imgsync.text.units import parse_integer

FORMAT = "imgsync.state/v1"
LINE_LIMIT = 4 << 20
LINES_LIMIT = 1_000_000
BYTES_LIMIT = 512 << 20
_FAMILY = "imgsync.state/"
_RECORD = "record"
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z")
_CRC32 = re.compile(r"[0-9a-f]{8}|")
# Printable ASCII only: these texts may end up on a terminal.
_PRINTABLE = re.compile(r"[ -~]*")
_NAME = re.compile(r"[ -~]{1,255}")
_SIZE_LIMIT = 2**63


@dataclass(frozen=True, slots=True)
class DecodedState:
    """A decoded state, and how many lines of unknown kinds were skipped."""

    snapshot: Snapshot
    skipped_lines: int


@dataclass(frozen=True, slots=True)
class _NoteFields:
    """The JSON fields of one kind of note: subject and text."""

    subject: tuple[str, ...]
    text: str
    optional: frozenset[str] = frozenset()


_NOTES = {
    BLOB: _NoteFields(("registry", "digest"), "repositories", frozenset({"sources", "size"})),
    REFERRERS: _NoteFields(("repository", "digest"), "tags"),
    SEEN: _NoteFields(("repository", "digest"), "moment"),
    REMAINING: _NoteFields(("destination",), "order"),
    SUCCESS: _NoteFields(("mirror",), "moment"),
    RUN: _NoteFields(("name",), "value"),
    GONE: _NoteFields(("destination",), "moment"),
}


def encode_lines(snapshot: Snapshot, *, created_at: str) -> Iterator[bytes]:
    """Yield the lines of *snapshot*, without invalid entries."""
    records = [record for _, record in sorted(snapshot.records.items()) if _is_valid(record)]
    notes = list(_iter_note_lines(snapshot))
    yield _encode_line({"format": FORMAT, "created_at": created_at, "records": len(records), "lines": len(records) + len(notes)})
    for record in records:
        yield _encode_line({"kind": _RECORD, **to_line(record)})
    for line in notes:
        yield _encode_line(line)


def decode_lines(chunks: Iterable[bytes]) -> DecodedState:
    """
    Decode the state in *chunks* of any size.

    Raises:
        StateError: It is damaged, truncated, too large or of a later version. The message names the line.
    """
    lines = enumerate(_split_lines(chunks), start=1)
    header = _decode_header(next(lines, (1, b""))[1])
    decoder, skipped_lines, count = _Decoder(), 0, 0
    for number, raw in lines:
        count += 1
        skipped_lines += not decoder.decode_line(_parse_object(raw, number), number)
    if (count, len(decoder.records)) != (header["lines"], header["records"]):
        expected, found = f"{header['lines']} lines with {header['records']} records", f"{count} with {len(decoder.records)}"
        raise StateError(f"the header announces {expected}, but {found} follow, the last at line {count + 1}; the file was truncated or changed")
    return DecodedState(rename_all(Snapshot(decoder.records, decoder.notes)), skipped_lines)


class _Decoder:
    """Decodes line after line."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.notes: dict[str, dict[str, str]] = {kind: {} for kind in _NOTES}

    def decode_line(self, line: Mapping[str, object], number: int) -> bool:
        """Decode *line*; return False if its kind is unknown."""
        kind = line.get("kind")
        if kind == _RECORD:
            self._decode_record(line, number)
        elif isinstance(kind, str) and kind in _NOTES:
            self._decode_note(kind, line, number)
        elif isinstance(kind, str):
            return False
        else:
            raise StateError(f"line {number} has no kind")
        return True

    def _decode_record(self, line: Mapping[str, object], number: int) -> None:
        destination = line.get("destination")
        record = from_line(destination, line) if isinstance(destination, str) else None
        if record is None or not _is_valid(record):
            raise StateError(f"line {number} is not a valid record: it is damaged, or of a later version")
        if record.destination in self.records:
            raise StateError(f"line {number} repeats {record.destination}")
        self.records[record.destination] = record

    def _decode_note(self, kind: str, line: Mapping[str, object], number: int) -> None:
        fields = _NOTES[kind]
        if not _is_valid_note(fields, line):
            raise StateError(f"line {number} is not a valid note of kind {kind}")
        self.notes[kind][_subject(fields, line)] = _join_blob_note(line) if kind == BLOB else str(line[fields.text])


def _iter_note_lines(snapshot: Snapshot) -> Iterator[Mapping[str, object]]:
    for kind, fields in _NOTES.items():
        for subject, text in sorted(snapshot.notes[kind].items()):
            parts = subject.split(" ")
            content = _split_blob_note(text) if kind == BLOB else {fields.text: text}
            line = {"kind": kind, **dict(zip(fields.subject, parts, strict=False)), **content}
            if len(parts) == len(fields.subject) and _is_valid_note(fields, line):
                yield line


def _split_blob_note(text: str) -> Mapping[str, str]:
    # Fields of their own: older versions read the repositories and skip the rest.
    note = parse_blob_note(text)
    fields = {"repositories": " ".join(note.repositories), "sources": " ".join(note.sources), "size": "" if note.size_bytes is None else str(note.size_bytes)}
    return {name: value for name, value in fields.items() if value or name == "repositories"}


def _join_blob_note(line: Mapping[str, object]) -> str:
    repositories, sources, size = (str(line.get(name, "")) for name in ("repositories", "sources", "size"))
    return str(BlobNote(tuple(repositories.split()), tuple(sources.split()), int(size) if size else None))


def _decode_header(raw: bytes) -> dict[str, int]:
    header = _parse_object(raw, 1) if raw else {}
    version = header.get("format")
    if isinstance(version, str) and version.startswith(_FAMILY) and version != FORMAT:
        raise StateError(f"unsupported format {version[:40]!r}; this version reads {FORMAT}", hint="use the imgsync version that wrote it, or a later one")
    counts = {name: count for name in ("records", "lines") if type(count := header.get(name)) is int}
    if version != FORMAT or len(counts) != 2:
        raise StateError(f"line 1 is not a header of {FORMAT}")
    return counts


def _split_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield line after line, with one chunk in memory."""
    rest, number, total = b"", 0, 0
    for chunk in chunks:
        total += len(chunk)
        if total > BYTES_LIMIT:
            raise StateError(f"larger than {BYTES_LIMIT >> 20} MiB")
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            number += 1
            if number > LINES_LIMIT:
                raise StateError(f"more than {LINES_LIMIT:,} lines")
            yield line
        if len(rest) > LINE_LIMIT:
            raise StateError(f"line {number + 1} is longer than {LINE_LIMIT >> 20} MiB")
    if rest:
        raise StateError(f"line {number + 1} is truncated")


def _parse_object(raw: bytes, number: int) -> dict[str, object]:
    try:
        value = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise StateError(f"line {number} is not JSON") from error
    if not isinstance(value, dict):
        raise StateError(f"line {number} is not a JSON object")
    return value


def _encode_line(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def _subject(fields: _NoteFields, line: Mapping[str, object]) -> str:
    return " ".join(str(line[name]) for name in fields.subject)


def _is_valid_note(fields: _NoteFields, line: Mapping[str, object]) -> bool:
    names = (*fields.subject, fields.text, *fields.optional.intersection(line))
    return all(isinstance(value := line.get(name), str) and _VALIDATORS[name](value) for name in names)


def _is_valid(record: Record) -> bool:
    references = _is_reference(record.destination) and _is_reference(record.source)
    texts = _CRC32.fullmatch(record.crc32) and _PRINTABLE.fullmatch(record.media_type) and _PRINTABLE.fullmatch(record.selection)
    return (
        bool(references and texts and (not record.mirror or _NAME.fullmatch(record.mirror)))
        and 0 <= record.size_bytes < _SIZE_LIMIT
        and (not record.applied_at or _is_moment(record.applied_at))
    )


def _parses_with(parse: Callable[[str], object]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            parse(text)
        except InvalidReferenceError:
            return False
        return True

    return check


def _is_reference(text: str) -> bool:
    """Return whether *text* has a registry and a tag or digest."""
    name, at, digest = text.partition("@")
    head, slash, last = name.rpartition("/")
    path, colon, tag = last.partition(":")
    return (is_digest(digest) if at else bool(colon)) and (is_tag(tag) if colon else True) and _is_repository(f"{head}{slash}{path}")


def _is_moment(text: str) -> bool:
    return _MOMENT.fullmatch(text) is not None


# Many tags share a few repositories.
_is_registry = lru_cache(maxsize=1024)(_parses_with(parse_registry))
_is_repository = lru_cache(maxsize=4096)(_parses_with(parse_repository))
_VALIDATORS: Mapping[str, Callable[[str], bool]] = {
    "registry": _is_registry,
    "repository": _is_repository,
    "repositories": lambda text: all(is_repository_path(path) for path in text.split(" ")),
    "destination": _is_reference,
    "digest": is_digest,
    "moment": _is_moment,
    "mirror": lambda text: _NAME.fullmatch(text) is not None,
    "name": lambda text: _NAME.fullmatch(text) is not None,
    "size": lambda text: parse_integer(text, digits=19) is not None,
    "sources": lambda text: all(map(_is_registry, text.split(" "))),
    "order": lambda text: text.isascii() and text.isdecimal() and len(text) < 20,
    "tags": lambda text: _PRINTABLE.fullmatch(text) is not None,
    "value": lambda text: _NAME.fullmatch(text) is not None,
}
