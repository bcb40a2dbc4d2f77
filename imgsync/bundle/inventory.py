"""
Write and read an inventory: what repositories hold.

The document has a line per repository, so that neither side holds all of it. The reader treats its input as untrusted: every length is limited,
and every value is checked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO, Any, NoReturn

from imgsync.errors import InvalidReferenceError, UnsupportedContentError, UsageError
from imgsync.oci.spec.bounded_json import count_values
from imgsync.oci.spec.digest import is_digest
from imgsync.oci.spec.reference import Repository, is_tag, parse_repository
from imgsync.oci.spec.strict_json import parse_object
from imgsync.system.dataclass import dataclass
from imgsync.system.packed_rows import split_blocks
from imgsync.text.units import parse_timestamp

FORMAT = "imgsync.inventory/v1"
_FAMILY = "imgsync.inventory/"
_KEYS = {"name", "complete", "tags", "manifests", "blobs", "referrers"}
_LINE_BYTES = 64 << 20
_FILE_BYTES = 512 << 20
# Of a line, and of all lines. A value takes about a hundred bytes while its line is read.
_LINE_VALUES = 1_000_000
_ALL_VALUES = 4_000_000
_SIZE_LIMIT = 1 << 63
_ENTRIES_AT_ONCE = 1000
_REMEDY = "make it again: imgsync inventory REGISTRY --out FILE"


@dataclass(frozen=True, slots=True)
class HeldRepository:
    """
    What one repository holds.

    `tags` have digests. `manifests` and `blobs` are sizes by digest, None if unknown. `referrers` are digests by the digest of their subject.
    Unless `is_complete`, it may hold more.
    """

    repository: Repository
    tags: Mapping[str, str]
    manifests: Mapping[str, int | None]
    blobs: Mapping[str, int | None]
    referrers: Mapping[str, Sequence[str]]
    is_complete: bool = True


@dataclass(frozen=True, slots=True)
class InventoryError:
    """What could not be read: a registry, repository or tag, and why."""

    reference: str
    message: str


@dataclass(frozen=True, slots=True)
class InventoryHead:
    """
    The registries and namespaces of an inventory, and whether all was read.

    `created_at` is when (RFC 3339), "" if it does not say so.
    """

    places: tuple[str, ...]
    is_complete: bool
    created_at: str = ""


def encode_inventory(
    places: Sequence[str], repositories: Iterable[HeldRepository], errors: Sequence[InventoryError], *, created_at: str = ""
) -> Iterator[bytes]:
    """
    Yield the document in pieces.

    Without *created_at*, it does not say when it was made.

    *errors* are read when all *repositories* were, and may be added meanwhile.
    """
    moment = f'"created_at":{_dump(created_at)},' if created_at else ""
    yield f'{{"format":"{FORMAT}",{moment}"places":{_dump(list(places))},"repositories":[\n'.encode()
    is_complete = True
    separator = b""
    for one in repositories:
        is_complete = is_complete and one.is_complete
        yield separator
        yield from _encode_repository(one)
        separator = b",\n"
    listed = _dump([{"reference": one.reference, "message": one.message} for one in errors])
    yield f'\n],"errors":{listed},"complete":{_dump(is_complete and not errors)}}}\n'.encode()


def decode_inventory(stream: IO[bytes], *, name: str, add: Callable[[HeldRepository], object]) -> InventoryHead:
    """
    Call *add* with each repository in *stream*; errors call it *name*.

    Raises:
        UsageError: It is not an inventory, is damaged, or is larger than 512 MiB or than 4 million values.
    """
    try:
        return _Decoder(add).decode(stream)
    except UsageError as error:
        raise UsageError(f"{name} cannot be used: {error.message}", hint=error.hint or _REMEDY) from error


class _Decoder:
    """Decodes line after line."""

    def __init__(self, add: Callable[[HeldRepository], object]) -> None:
        self._add = add
        self._bytes = 0
        self._values = 0
        self._number = 0

    def decode(self, stream: IO[bytes]) -> InventoryHead:
        first = self._read_line(stream)
        if not first.rstrip().endswith(b'"repositories":['):
            # Another program laid it out.
            return self._decode_whole(first + stream.read(_LINE_BYTES))
        head = self._parse(first.rstrip() + b"]}")
        _check_format(head)
        while (line := self._read_line(stream)) and not line.startswith(b"]"):
            if stripped := line.strip().removesuffix(b","):
                self._add_repository(self._parse(stripped))
        if not line:
            raise UsageError("it is truncated")
        tail = self._parse(b'{"repositories":[' + line)
        if stream.read(1):
            raise UsageError("something follows its end")
        return _make_head({**head, **tail})

    def _decode_whole(self, raw: bytes) -> InventoryHead:
        document = self._parse(raw)
        _check_format(document)
        repositories = document.get("repositories")
        if not isinstance(repositories, list):
            raise UsageError("`repositories` is not a list")
        for one in repositories:
            self._add_repository(one)
        return _make_head(document)

    def _read_line(self, stream: IO[bytes]) -> bytes:
        self._number += 1
        line = stream.readline(_LINE_BYTES)
        self._bytes += len(line)
        if self._bytes > _FILE_BYTES:
            raise UsageError(f"it is larger than {_FILE_BYTES >> 20} MiB")
        return line

    def _parse(self, raw: bytes) -> dict[str, Any]:
        values = count_values(raw)
        self._values += values
        if len(raw) >= _LINE_BYTES or values > _LINE_VALUES or self._values > _ALL_VALUES:
            raise UsageError(f"line {self._number} is too large", hint="make an inventory of each namespace, and name all with --have")
        try:
            return parse_object(raw, what="line", limit=_LINE_VALUES)
        except UnsupportedContentError as error:
            raise UsageError(f"line {self._number} is damaged: {error.message}") from error

    def _add_repository(self, entry: object) -> None:
        try:
            self._add(_decode_repository(entry))
        except (ValueError, InvalidReferenceError) as error:
            text = error.message if isinstance(error, InvalidReferenceError) else str(error)
            raise UsageError(f"line {self._number} is damaged: {text}") from error


def _encode_repository(one: HeldRepository) -> Iterator[bytes]:
    yield f'{{"name":{_dump(str(one.repository))},"complete":{_dump(one.is_complete)}'.encode()
    for name, values in (("tags", one.tags), ("manifests", one.manifests), ("blobs", one.blobs)):
        yield f',"{name}":{{'.encode()
        yield from _encode_entries(values)
        yield b"}"
    referrers = {subject: sorted(digests) for subject, digests in sorted(one.referrers.items())}
    yield f',"referrers":{_dump(referrers)}}}'.encode()


def _encode_entries(values: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield the entries of an object, sorted, some at a time."""
    separator = ""
    for some in split_blocks(sorted(values), _ENTRIES_AT_ONCE):
        yield (separator + _dump({name: values[name] for name in some})[1:-1]).encode()
        separator = ","


def _decode_repository(entry: object) -> HeldRepository:
    if not isinstance(entry, dict) or not entry.keys() >= _KEYS:
        _refuse(f"a repository needs {', '.join(sorted(_KEYS))}")
    name = entry["name"]
    if not isinstance(name, str) or not isinstance(entry["complete"], bool):
        _refuse("the name of a repository is not text, or `complete` is neither true nor false")
    return HeldRepository(
        parse_repository(name),
        _decode_tags(entry["tags"]),
        _decode_sizes(entry["manifests"]),
        _decode_sizes(entry["blobs"]),
        _decode_referrers(entry["referrers"]),
        entry["complete"],
    )


def _decode_tags(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        _refuse("`tags` is not an object")
    for tag, digest in value.items():
        if not is_tag(tag):
            _refuse(f"{tag[:40]!a} is not a tag")
        _check_digest(digest)
    return value


def _decode_sizes(value: object) -> dict[str, int | None]:
    if not isinstance(value, dict):
        _refuse("`manifests` or `blobs` is not an object")
    for digest, size in value.items():
        _check_digest(digest)
        if size is not None and (type(size) is not int or not 0 <= size < _SIZE_LIMIT):
            _refuse(f"{str(size)[:40]!a} is not a size")
    return value


def _decode_referrers(value: object) -> dict[str, list[str]]:
    if not isinstance(value, dict):
        _refuse("`referrers` is not an object")
    for subject, digests in value.items():
        _check_digest(subject)
        if not isinstance(digests, list):
            _refuse("the referrers of a digest are not a list")
        for digest in digests:
            _check_digest(digest)
    return value


def _check_digest(text: object) -> None:
    if not isinstance(text, str) or not is_digest(text):
        _refuse(f"{str(text)[:40]!a} is not a digest")


def _check_format(document: Mapping[str, Any]) -> None:
    found = document.get("format")
    if found == FORMAT:
        return
    if isinstance(found, str) and found.startswith(_FAMILY):
        raise UsageError(f"it has another version, {found[:40]!a}; this imgsync reads {FORMAT}", hint="use the version of imgsync that made it")
    raise UsageError("it is neither an inventory nor an exported state", hint="name the output of `imgsync inventory` or `imgsync state export`")


def _make_head(document: Mapping[str, Any]) -> InventoryHead:
    places, is_complete = document.get("places"), document.get("complete")
    if not isinstance(places, list) or not all(isinstance(place, str) for place in places) or not isinstance(is_complete, bool):
        raise UsageError("`places` or `complete` is missing")
    created_at = document.get("created_at", "")
    if not isinstance(created_at, str) or (created_at and parse_timestamp(created_at) is None):
        raise UsageError("`created_at` is not a time in UTC (RFC 3339)")
    return InventoryHead(tuple(places), is_complete, created_at)


def _refuse(problem: str) -> NoReturn:
    raise ValueError(problem)


def _dump(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
