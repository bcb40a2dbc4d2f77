"""
Find which repository and tag the entries of a layout name.

Each tool names images in its own way: imgsync and `docker save` by full names in both annotations, containerd and BuildKit by the full name in
one and the tag in the other, skopeo, regctl and oras by whatever the user typed.
"""

from __future__ import annotations

from imgsync.oci.layout.index_json import IndexEntry
from imgsync.oci.spec.digest import is_digest
from imgsync.oci.spec.reference import is_repository_path, is_tag
from imgsync.system.dataclass import dataclass
from imgsync.text.sanitize import sanitize_message

_LATEST = "latest"
_SHOWN = 100


@dataclass(frozen=True, slots=True)
class EntryName:
    """Repository and tag of an entry; "" without a tag."""

    path: str
    tag: str = ""


def find_name(entry: IndexEntry, own_repository: str, *, is_own_declared: bool) -> EntryName | str:
    """
    Return the name of *entry*, or in words why it has none.

    Args:
        entry: The entry.
        own_repository: The repository of entries that name only a tag, or nothing.
        is_own_declared: Whether that repository takes entries whose full name is not a path, too.
    """
    if not is_digest(entry.digest):
        return f"{sanitize_message(entry.digest, limit=_SHOWN)!r} is not a sha256 or sha512 digest"
    written = entry.containerd_name or entry.ref_name
    if entry.repositories:
        return EntryName(entry.repositories[0])
    if not written or (not entry.containerd_name and is_tag(written)):
        return EntryName(own_repository, written)
    path, tag, has_digest = _split(written)
    tag = tag or ("" if has_digest else _LATEST)
    if is_repository_path(path) and (not tag or is_tag(tag)):
        return EntryName(path, tag)
    if is_own_declared and is_tag(tag):
        return EntryName(own_repository, tag)
    return f"{sanitize_message(written, limit=_SHOWN)!r} is not a repository path and tag; `repository` of the layout in registries.yaml gives it a path"


def _split(written: str) -> tuple[str, str, bool]:
    """Return path and tag of a full name, and whether digest."""
    name, at, _ = written.partition("@")
    head, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    return f"{head}{slash}{last}", tag, bool(at)
