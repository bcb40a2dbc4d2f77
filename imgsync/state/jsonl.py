"""
A state as JSON lines and back: a header, then one line for each record and note, in an order that the content alone decides.

Whoever reads takes them from a stranger: every length is limited, every value's shape is checked, and what is damaged is not believed in part.
Fields we do not know are passed over, as are kinds of lines; another major version is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from imgsync.errors import InvalidReferenceError, StateError
from imgsync.oci.spec.digest import is_digest
from imgsync.oci.spec.reference import is_repository_path, is_tag, parse_registry, parse_repository
from imgsync.state.record import FIELDS, Record, from_document, to_document
from imgsync.state.snapshot import BLOB, LEFT, REFERRERS, RUN, SEEN, SUCCESS, Snapshot

FORMAT = "imgsync.state/v1"
LINE_LIMIT = 4 << 20
LINES_LIMIT = 1_000_000
BYTES_LIMIT = 512 << 20
_FAMILY = "imgsync.state/"
_RECORD = "record"
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z")
_CRC32 = re.compile(r"[0-9a-f]{8}|")
# Printable ASCII: whatever is put on a terminal or into a log later holds no control character.
_WORDS = re.compile(r"[ -~]*")
_NAME = re.compile(r"[ -~]{1,255}")
_SIZE_LIMIT = 2**63


@dataclass(frozen=True, slots=True)
class Read:
    """What was read, and how many lines of kinds that this version does not know were passed over."""

    snapshot: Snapshot
    passed_over: int


@dataclass(frozen=True, slots=True)
class _Note:
    """How a kind of note looks as a line: what it is about, in parts, and what it says."""

    about: tuple[str, ...]
    text: str


_NOTES = {
    BLOB: _Note(("registry", "digest"), "repositories"),
    REFERRERS: _Note(("repository", "digest"), "tags"),
    SEEN: _Note(("repository", "digest"), "moment"),
    LEFT: _Note(("destination",), "order"),
    SUCCESS: _Note(("mirror",), "moment"),
    RUN: _Note(("name",), "value"),
}


def write_lines(snapshot: Snapshot, *, created_at: str) -> Iterator[bytes]:
    """Yield *snapshot* as lines, each with its newline; what could not be read again, as a damaged state may hold it, is left out."""
    records = [record for _, record in sorted(snapshot.records.items()) if _is_sound(record)]
    notes = list(_note_lines(snapshot))
    yield _line({"format": FORMAT, "created_at": created_at, "records": len(records), "lines": len(records) + len(notes)})
    for record in records:
        yield _line({"kind": _RECORD, "destination": record.destination, **to_document(record)})
    for line in notes:
        yield _line(line)


def read_lines(chunks: Iterable[bytes]) -> Read:
    """
    Return the state that *chunks*, however cut, hold as lines.

    Raises:
        StateError: It is damaged, cut short, too large, or made by a later version; the message names the line, and nothing of it counts.
    """
    lines = enumerate(_split(chunks), start=1)
    header = _header(next(lines, (1, b""))[1])
    snapshot, passed_over, count = _Reader(), 0, 0
    for number, raw in lines:
        count += 1
        passed_over += not snapshot.take(_object(raw, number), number)
    if (count, len(snapshot.records)) != (header["lines"], header["records"]):
        told, found = f"{header['lines']} lines with {header['records']} records", f"{count} with {len(snapshot.records)}"
        raise StateError(f"its header tells of {told}, but {found} follow, the last at line {count + 1}; it was cut or altered")
    return Read(Snapshot(snapshot.records, snapshot.notes), passed_over)


class _Reader:
    """Takes line after line in."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.notes: dict[str, dict[str, str]] = {kind: {} for kind in _NOTES}

    def take(self, line: Mapping[str, object], number: int) -> bool:
        """Take *line* in and return True; False when its kind is not known."""
        kind = line.get("kind")
        if kind == _RECORD:
            self._take_record(line, number)
        elif isinstance(kind, str) and kind in _NOTES:
            self._take_note(kind, line, number)
        elif isinstance(kind, str):
            return False
        else:
            raise StateError(f"line {number} has no kind")
        return True

    def _take_record(self, line: Mapping[str, object], number: int) -> None:
        destination = line.get("destination")
        # The check is over the fields of version 1, whatever a later version adds to them.
        record = from_document(destination, {name: line[name] for name in FIELDS if name in line}) if isinstance(destination, str) else None
        if record is None or not _is_sound(record):
            raise StateError(f"line {number} is no sound record: it is damaged, or of a later version")
        if record.destination in self.records:
            raise StateError(f"line {number} tells of {record.destination} again")
        self.records[record.destination] = record

    def _take_note(self, kind: str, line: Mapping[str, object], number: int) -> None:
        shape = _NOTES[kind]
        if not _is_note(shape, line):
            raise StateError(f"line {number} is no sound note of kind {kind}")
        self.notes[kind][_about(shape, line)] = str(line[shape.text])


def _note_lines(snapshot: Snapshot) -> Iterator[Mapping[str, object]]:
    for kind, shape in _NOTES.items():
        for about, text in sorted(snapshot.notes[kind].items()):
            parts = about.split(" ")
            line = {"kind": kind, **dict(zip(shape.about, parts, strict=False)), shape.text: text}
            if len(parts) == len(shape.about) and _is_note(shape, line):
                yield line


def _header(raw: bytes) -> dict[str, int]:
    header = _object(raw, 1) if raw else {}
    said = header.get("format")
    if isinstance(said, str) and said.startswith(_FAMILY) and said != FORMAT:
        raise StateError(f"its format is {said[:40]!r}, and this imgsync reads {FORMAT}", hint="use the version of imgsync that wrote it, or a later one")
    counts = {name: count for name in ("records", "lines") if type(count := header.get(name)) is int}
    if said != FORMAT or len(counts) != 2:
        raise StateError(f"line 1 is no header of {FORMAT}")
    return counts


def _split(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield line after line, no more of it in memory than one line and one chunk."""
    rest, number, total = b"", 0, 0
    for chunk in chunks:
        total += len(chunk)
        if total > BYTES_LIMIT:
            raise StateError(f"it is larger than {BYTES_LIMIT >> 20} MiB")
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            number += 1
            if number > LINES_LIMIT:
                raise StateError(f"it has more than {LINES_LIMIT:,} lines")
            yield line
        if len(rest) > LINE_LIMIT:
            raise StateError(f"line {number + 1} is longer than {LINE_LIMIT >> 20} MiB")
    if rest:
        raise StateError(f"line {number + 1} is cut short")


def _object(raw: bytes, number: int) -> dict[str, object]:
    try:
        value = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise StateError(f"line {number} is no JSON") from error
    if not isinstance(value, dict):
        raise StateError(f"line {number} is no JSON object")
    return value


def _line(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def _about(shape: _Note, line: Mapping[str, object]) -> str:
    return " ".join(str(line[name]) for name in shape.about)


def _is_note(shape: _Note, line: Mapping[str, object]) -> bool:
    return all(isinstance(value := line.get(name), str) and _IS[name](value) for name in (*shape.about, shape.text))


def _is_sound(record: Record) -> bool:
    references = _is_reference(record.destination) and _is_reference(record.source)
    texts = _CRC32.fullmatch(record.crc32) and _WORDS.fullmatch(record.media_type) and _WORDS.fullmatch(record.selection)
    return bool(references and texts) and 0 <= record.size_bytes < _SIZE_LIMIT and (not record.applied_at or _is_moment(record.applied_at))


def _parses(parse: Callable[[str], object]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            parse(text)
        except InvalidReferenceError:
            return False
        return True

    return check


def _is_reference(text: str) -> bool:
    """Return whether *text* is a whole reference with a tag or a digest."""
    name, at, digest = text.partition("@")
    head, slash, last = name.rpartition("/")
    path, colon, tag = last.partition(":")
    return (is_digest(digest) if at else bool(colon)) and (is_tag(tag) if colon else True) and _is_repository(f"{head}{slash}{path}")


def _is_moment(text: str) -> bool:
    return _MOMENT.fullmatch(text) is not None


# The same few repositories hold all the tags.
_is_repository = lru_cache(maxsize=4096)(_parses(parse_repository))
_IS: Mapping[str, Callable[[str], bool]] = {
    "registry": _parses(parse_registry),
    "repository": _is_repository,
    "repositories": lambda text: all(is_repository_path(path) for path in text.split(" ")),
    "destination": _is_reference,
    "digest": is_digest,
    "moment": _is_moment,
    "mirror": lambda text: _NAME.fullmatch(text) is not None,
    "name": lambda text: _NAME.fullmatch(text) is not None,
    "order": lambda text: text.isascii() and text.isdecimal() and len(text) < 20,
    "tags": lambda text: _WORDS.fullmatch(text) is not None,
    "value": lambda text: _NAME.fullmatch(text) is not None,
}
