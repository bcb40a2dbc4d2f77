"""
The note about one blob at one destination registry.

Stored as one text: repository paths, then source registries with an `@` before each, then the size with a `#`. Older versions store paths only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from imgsync.system.dataclass import dataclass
from imgsync.text.units import parse_integer

_LIMIT = 4
_SOURCE = "@"
_SIZE = "#"
# The longest size that a descriptor can give has 19 digits.
_SIZE_DIGITS = 19


@dataclass(frozen=True, slots=True)
class BlobNote:
    """
    Where a blob is, who gave it, and its size.

    `repositories` are paths at the destination registry. `sources` are registries that served the blob; none if unknown. Of both, the latest four
    are kept. `size_bytes` is None if no run compared it with the content.
    """

    repositories: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    size_bytes: int | None = None

    def __str__(self) -> str:
        """Return the text to store."""
        size = () if self.size_bytes is None else (f"{_SIZE}{self.size_bytes}",)
        return " ".join((*self.repositories, *(f"{_SOURCE}{source}" for source in self.sources), *size))

    def join(self, other: BlobNote) -> BlobNote:
        """Return this note with what only *other* knows, as the older part."""
        size = other.size_bytes if self.size_bytes is None else self.size_bytes
        return BlobNote(_keep_latest((*self.repositories, *other.repositories)), _keep_latest((*self.sources, *other.sources)), size)

    def without(self, repository: str) -> BlobNote:
        """Return this note without *repository*."""
        return replace(self, repositories=tuple(path for path in self.repositories if path != repository))


_NOTHING = BlobNote()


@dataclass(frozen=True, slots=True)
class SeenBlobs:
    """
    Blobs and manifests seen in one destination repository.

    `source` is the registry that gave them, "" if unknown. `sizes` has the size of each digest, None if no content was compared with it.
    """

    registry: str
    repository: str
    source: str
    sizes: Mapping[str, int | None]


def parse_blob_note(text: str) -> BlobNote:
    """Return the note stored as *text*."""
    if not text:
        return _NOTHING
    parts = text.split()
    sizes = [part.removeprefix(_SIZE) for part in parts if part.startswith(_SIZE)]
    return BlobNote(
        tuple(part for part in parts if not part.startswith((_SOURCE, _SIZE))),
        tuple(part.removeprefix(_SOURCE) for part in parts if part.startswith(_SOURCE)),
        parse_integer(sizes[0], digits=_SIZE_DIGITS) if sizes else None,
    )


def join_texts(ours: str, theirs: str) -> str:
    """Return the text of both notes together, ours first."""
    return str(parse_blob_note(ours).join(parse_blob_note(theirs)))


def _keep_latest(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))[:_LIMIT]
