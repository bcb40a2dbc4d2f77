"""Read what the other side has from inventories and exported states."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import BufferedReader
from pathlib import Path

from imgsync.bundle.holdings import Holdings
from imgsync.bundle.inventory import HeldRepository, decode_inventory
from imgsync.errors import StateError, UsageError
from imgsync.images.referrer_tags import parse_note
from imgsync.oci.spec.digest import compute_digest, is_digest
from imgsync.oci.spec.reference import Repository, is_tag, parse_reference, parse_repository
from imgsync.state import Snapshot
from imgsync.state.blob_note import parse_blob_note
from imgsync.state.jsonl import decode_lines
from imgsync.state.snapshot import BLOB, REFERRERS
from imgsync.system.dataclass import dataclass

_CHUNK_BYTES = 1 << 20
_HEADER_BYTES = 4096
_STATE_MARK = b'"imgsync.state/'


@dataclass(frozen=True, slots=True)
class HaveFiles:
    """
    What the files of `--have` say.

    `id` is a digest of the files, `states` are those of exported states, `incomplete` the names of inventories with errors. `dates` say when inventories
    were made, by name, as far as they do.
    """

    holdings: Holdings
    id: str
    states: tuple[Snapshot, ...]
    incomplete: tuple[str, ...]
    dates: Mapping[str, str]


def read_have_files(paths: Sequence[str], *, find_name: Callable[[str], str]) -> HaveFiles:
    """
    Return what the files at *paths* say.

    *find_name* returns the one name of a registry.

    Raises:
        UsageError: A file cannot be read, or is neither an inventory nor an exported state.
    """
    holdings = Holdings()
    states: list[Snapshot] = []
    incomplete: list[str] = []
    ids: list[str] = []
    dates: dict[str, str] = {}
    for path in paths:
        try:
            with Path(path).open("rb") as stream:
                ids.append(_compute_id(stream))
                stream.seek(0)
                if _STATE_MARK in stream.peek(_HEADER_BYTES)[:_HEADER_BYTES].partition(b"\n")[0]:
                    states.append(_read_state(stream, path))
                    _add_state(holdings, states[-1], held_by=ids[-1])
                else:
                    add = _Adder(holdings, find_name, ids[-1])
                    head = decode_inventory(stream, name=path, add=add)
                    incomplete += [] if head.is_complete else [path]
                    dates |= {path: head.created_at} if head.created_at else {}
        except OSError as error:
            hint = "of a bundle, name the folder with --since" if Path(path).is_dir() else "make it inside: imgsync inventory REGISTRY --out FILE"
            raise UsageError(f"{path} cannot be read: {error.strerror}", hint=hint) from error
    return HaveFiles(holdings, _join_ids(ids), tuple(states), tuple(incomplete), dates)


class _Adder:
    """Adds repositories of one inventory to the holdings."""

    def __init__(self, holdings: Holdings, find_name: Callable[[str], str], held_by: str) -> None:
        self._holdings = holdings
        self._find_name = find_name
        self._held_by = held_by

    def __call__(self, held: HeldRepository) -> None:
        repository = Repository(self._find_name(held.repository.registry), held.repository.path)
        for tag, digest in held.tags.items():
            self._holdings.set_tag(repository, tag, digest)
        self._holdings.add_content(repository, held.manifests, held_by=self._held_by)
        self._holdings.add_content(repository, held.blobs, held_by=self._held_by)
        for subject, digests in held.referrers.items():
            for digest in digests:
                self._holdings.add_referrer(repository, subject, digest)


def _read_state(stream: BufferedReader, path: str) -> Snapshot:
    try:
        return decode_lines(_iter_chunks(stream)).snapshot
    except StateError as error:
        raise UsageError(f"{path} cannot be used: {error.message}", hint=error.hint or "export it again: imgsync state export FILE") from error


def _add_state(holdings: Holdings, snapshot: Snapshot, *, held_by: str) -> None:
    for about, text in snapshot.notes[BLOB].items():
        registry, _, digest = about.partition(" ")
        note = parse_blob_note(text)
        for path in note.repositories:
            holdings.add_content(Repository(registry, path), ((digest, note.size_bytes),), held_by=held_by)
    for record in snapshot.records.values():
        if record.is_confirmed:
            reference = parse_reference(record.destination)
            if reference.tag:
                holdings.set_tag(reference.repository, reference.tag, record.digest)
            holdings.add_content(reference.repository, ((record.digest, None),), held_by=held_by)
    for about, text in snapshot.notes[REFERRERS].items():
        repository = parse_repository(about.partition(" ")[0])
        for tag, digest in parse_note(text).items():
            if is_tag(tag) and is_digest(digest):
                holdings.set_tag(repository, tag, digest)


def _compute_id(stream: BufferedReader) -> str:
    found = hashlib.sha256()
    for chunk in _iter_chunks(stream):
        found.update(chunk)
    return f"sha256:{found.hexdigest()}"


def _join_ids(ids: Sequence[str]) -> str:
    return ids[0] if len(ids) == 1 else compute_digest("\n".join(sorted(ids)).encode()) if ids else ""


def _iter_chunks(stream: BufferedReader) -> Iterator[bytes]:
    while chunk := stream.read(_CHUNK_BYTES):
        yield chunk
