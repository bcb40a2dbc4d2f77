"""
Parse and write `index.json`, with what other tools wrote into it.

Each entry is parsed alone and kept as the bytes that it has, so that memory stays small, and writing changes only what it must.
Spec: image-spec 1.1, "OCI Image Layout Specification", "index.json file".
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from imgsync.errors import LayoutError
from imgsync.oci.layout.pauses import AT_ONCE, with_pauses
from imgsync.oci.spec.bounded_json import count_values
from imgsync.oci.spec.media_types import OCI_INDEX, normalize_media_type
from imgsync.oci.spec.reference import is_repository_path
from imgsync.oci.spec.strict_json import dump_json
from imgsync.system.dataclass import dataclass
from imgsync.text.json_objects import RepeatedKeyError, build_object

INDEX = "index.json"
# About 150,000 images with two names each.
INDEX_LIMIT_BYTES = 64 << 20
ENTRY_LIMIT = 200_000
_VALUE_LIMIT = 2_500_000
_VERSION = b'"schemaVersion"'
REF_NAME = "org.opencontainers.image.ref.name"
CONTAINERD_NAME = "io.containerd.image.name"
# In an entry without a name: the paths of the repositories that it belongs to, with a space between them.
_REPOSITORIES = "vnd.imgsync.repositories"
_SPACE = re.compile(r"[ \t\n\r]*")
_TOO_LARGE = "split the layout into several"
_DAMAGED = "write the layout again; what wrote it was interrupted, or does not write OCI layouts"


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """
    One entry: where it points, and its names as written.

    `raw` are its bytes. Digest and names are unchecked. An entry without a name belongs to its `repositories`, or to all if there are none.
    """

    raw: bytes
    digest: str
    media_type: str
    size_bytes: int
    ref_name: str = ""
    containerd_name: str = ""
    repositories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LayoutIndex:
    """The entries of `index.json`, and its other keys as they are written."""

    entries: tuple[IndexEntry, ...] = ()
    others: tuple[tuple[bytes, bytes], ...] = ((_VERSION, b"2"), (b'"mediaType"', dump_json(OCI_INDEX)))


def make_entry(media_type: str, digest: str, size_bytes: int, *, name: str = "", artifact_type: str = "", repository: str = "") -> IndexEntry:
    """
    Return a new entry.

    *name*, PATH:TAG, becomes both annotations. Without it, the entry belongs to *repository*.
    """
    document: dict[str, Any] = {"mediaType": media_type, "digest": digest, "size": size_bytes}
    if artifact_type:
        document["artifactType"] = artifact_type
    if name:
        document["annotations"] = {CONTAINERD_NAME: name, REF_NAME: name}
    elif repository:
        document["annotations"] = {_REPOSITORIES: repository}
    return _read_entry(document, dump_json(document))


def add_repositories(entry: IndexEntry, repositories: tuple[str, ...]) -> IndexEntry:
    """Return *entry*, which has no name, in more repositories."""
    document = json.loads(entry.raw)
    document["annotations"] = {**document["annotations"], _REPOSITORIES: " ".join(sorted({*entry.repositories, *repositories}))}
    return _read_entry(document, dump_json(document))


def write_index(index: LayoutIndex) -> bytes:
    """
    Return the bytes of `index.json`, one entry a line.

    It pauses now and then.

    Raises:
        LayoutError: It has more entries or bytes than imgsync reads.
    """
    entries = index.entries
    lines = (b"\n" + b",\n".join(entry.raw for entry in entries[start : start + AT_ONCE]) for start in range(0, len(entries), AT_ONCE))
    others = b"".join(b"%b:%b," % one for one in index.others)
    raw = b"{%b" % others + b'"manifests":[' + b",".join(with_pauses(lines, every=1)) + b"\n]}\n"
    if len(entries) > ENTRY_LIMIT or len(raw) > INDEX_LIMIT_BYTES:
        raise LayoutError(f"{INDEX} would have more than {ENTRY_LIMIT:,} entries or {INDEX_LIMIT_BYTES >> 20} MiB", hint="use several layouts")
    return raw


def parse_index(raw: bytes, *, where: str, known: Mapping[bytes, IndexEntry] | None = None) -> LayoutIndex:
    """
    Parse `index.json`, which is in *where*.

    It pauses now and then. Entries whose line is one of *known* are not parsed again.

    Raises:
        LayoutError: It is not valid, or too large.
    """
    if count_values(raw) > _VALUE_LIMIT:
        raise LayoutError(f"{where}/{INDEX} has more than {_VALUE_LIMIT:,} values", hint=_TOO_LARGE)
    # Not UTF-8: one character that is not ASCII would make the whole text two or four times as large. Entries keep their bytes.
    text = raw.decode("latin-1")
    entries: list[IndexEntry] = []
    others: list[tuple[bytes, bytes]] = []
    try:
        reader = _Reader(text)
        known = known or {}
        longest = max(map(len, known), default=0)
        for key, written in reader.iter_keys():
            if key == "manifests":
                entries += with_pauses(reader.iter_entries(known, longest))
            else:
                others.append((written.encode("latin-1"), reader.take()[1].encode("latin-1")))
    except (ValueError, RecursionError) as error:
        detail = str(error) if isinstance(error, _IndexFaultError | RepeatedKeyError) else "it is not valid JSON"
        raise LayoutError(f"{where}/{INDEX}: {detail}", hint=_TOO_LARGE if isinstance(error, _TooLargeError) else _DAMAGED) from error
    _check_others(dict(others), where)
    return LayoutIndex(tuple(entries), tuple(others))


class _IndexFaultError(ValueError):
    """What is wrong with the document."""


class _TooLargeError(_IndexFaultError):
    """The document has too many entries."""


def _check_others(others: dict[bytes, bytes], where: str) -> None:
    if others.get(_VERSION) != b"2":
        raise LayoutError(f"{where}/{INDEX} has not schemaVersion 2", hint=_DAMAGED)


_DECODER = json.JSONDecoder(object_pairs_hook=build_object)


class _Reader:
    """Reads one document from its beginning to its end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def iter_keys(self) -> Iterator[tuple[str, str]]:
        """Yield each key and its text; the caller reads its value."""
        seen: set[str] = set()
        for _ in self._iter_parts("{", "}"):
            key, written = self.take()
            # Go's parser ignores the case of keys.
            if not isinstance(key, str) or key.casefold() in seen:
                raise _IndexFaultError("a key occurs twice")
            seen.add(key.casefold())
            self._expect(":")
            yield key, written
        self._skip()
        if self._at != len(self._text):
            raise _IndexFaultError("it has content behind its end")

    def iter_entries(self, known: Mapping[bytes, IndexEntry], longest: int) -> Iterator[IndexEntry]:
        """Yield each entry; *known* ones have at most *longest* bytes."""
        for count in self._iter_parts("[", "]"):
            if count == ENTRY_LIMIT:
                raise _TooLargeError(f"it has more than {ENTRY_LIMIT:,} entries")
            entry = self._take_known(known, longest) if known else None
            if entry is None:
                value, piece = self.take()
                entry = _read_entry(value, piece.encode("latin-1"))
            yield entry

    def _take_known(self, known: Mapping[bytes, IndexEntry], longest: int) -> IndexEntry | None:
        """Return the entry of this line, if it is known."""
        # The line has a comma too. Other tools write the whole document in one line.
        end = self._text.find("\n", self._at, self._at + longest + 2)
        if end < 0:
            return None
        line = self._text[self._at : end].removesuffix(",")
        found = known.get(line.encode("latin-1"))
        if found is not None:
            self._at += len(line)
        return found

    def take(self) -> tuple[Any, str]:
        """Return the next value, and its text."""
        self._skip()
        begin = self._at
        value, self._at = _DECODER.raw_decode(self._text, begin)
        return value, self._text[begin : self._at]

    def _iter_parts(self, opening: str, closing: str) -> Iterator[int]:
        self._expect(opening)
        for count in itertools.count():
            self._skip()
            if self._text[self._at : self._at + 1] == closing:
                self._at += 1
                return
            if count:
                self._expect(",")
            yield count

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._at)
        self._at = self._at if found is None else found.end()

    def _expect(self, character: str) -> None:
        self._skip()
        if self._text[self._at : self._at + 1] != character:
            raise _IndexFaultError("it is not valid JSON")
        self._at += 1


def _read_entry(value: Any, raw: bytes) -> IndexEntry:
    if not isinstance(value, dict):
        raise _IndexFaultError("an entry is not an object")
    digest, size, media_type, annotations = (value.get(key) for key in ("digest", "size", "mediaType", "annotations"))
    # In Python, True is an int.
    if not isinstance(digest, str) or type(size) is not int or not 0 <= size < 1 << 63:
        raise _IndexFaultError("an entry has no valid digest and size")
    names = annotations if isinstance(annotations, dict) else {}
    ref_name, containerd_name = (name if isinstance(name := names.get(key), str) else "" for key in (REF_NAME, CONTAINERD_NAME))
    shared = ref_name if ref_name == containerd_name else containerd_name
    listed = "" if ref_name or containerd_name else names.get(_REPOSITORIES)
    repositories = tuple(path for path in listed.split() if is_repository_path(path)) if isinstance(listed, str) else ()
    return IndexEntry(raw, digest, normalize_media_type(media_type) if isinstance(media_type, str) else "", size, ref_name, shared, repositories)
