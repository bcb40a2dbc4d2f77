"""
The note about one blob at one destination registry.

Stored as one text: repository paths, then source registries, each of these with an `@` before it. Older versions store paths only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_LIMIT = 4
_SOURCE = "@"


@dataclass(frozen=True, slots=True)
class BlobNote:
    """
    Where a blob is and who gave it, the latest four.

    `repositories` are paths at the destination registry. `sources` are registries that served the blob; none if unknown.
    """

    repositories: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the text to store."""
        return " ".join((*self.repositories, *(f"{_SOURCE}{source}" for source in self.sources)))

    def join(self, other: BlobNote) -> BlobNote:
        """Return this note with what only *other* knows, as the older part."""
        return BlobNote(_keep_latest((*self.repositories, *other.repositories)), _keep_latest((*self.sources, *other.sources)))

    def without(self, repository: str) -> BlobNote:
        """Return this note without *repository*."""
        return BlobNote(tuple(path for path in self.repositories if path != repository), self.sources)


def parse_blob_note(text: str) -> BlobNote:
    """Return the note stored as *text*."""
    if _SOURCE not in text:
        return BlobNote(tuple(text.split()))
    parts = text.split()
    return BlobNote(
        tuple(part for part in parts if not part.startswith(_SOURCE)), tuple(part.removeprefix(_SOURCE) for part in parts if part.startswith(_SOURCE))
    )


def join_texts(ours: str, theirs: str) -> str:
    """Return the text of both notes together, ours first."""
    return str(parse_blob_note(ours).join(parse_blob_note(theirs)))


def _keep_latest(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))[:_LIMIT]
