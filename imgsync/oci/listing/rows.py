"""Rows of APIs gathered into listings: names checked, repetitions dropped, what is no name kept for a warning."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from imgsync.oci.errors import Operation, parse_http_date
from imgsync.oci.listing.model import ListedRepository, ListedTag, RepositoryListing, TagListing
from imgsync.oci.listing.page import Names
from imgsync.oci.spec.digest import is_digest
from imgsync.oci.spec.reference import is_repository_path, is_tag

_OLDEST_BELIEVED = datetime(1980, 1, 2, tzinfo=UTC)


class RepositoryRows:
    """Repository paths from pages, in the end sorted, each once."""

    def __init__(self, operation: Operation) -> None:
        """Begin with none; *operation* is what they are listed for."""
        self._names = Names(operation, is_repository_path)

    def add(self, paths: Iterable[str]) -> None:
        """Add what a page holds; more than a million are an error, as of `Names`."""
        self._names.add(paths)

    def listing(self, dialect: str, *, warnings: Iterable[str] = ()) -> RepositoryListing:
        """Return all that was added."""
        found = tuple(ListedRepository(path) for path in sorted(self._names.good))
        return RepositoryListing(dialect, found, (*self._names.warnings("no repositories' paths"), *warnings))


class TagRows:
    """Tags from pages, in the end sorted; of two of one name the first counts."""

    def __init__(self, operation: Operation) -> None:
        """Begin with none; *operation* is what they are listed for."""
        self._names = Names(operation, is_tag)
        self._facts: dict[str, ListedTag] = {}

    def __len__(self) -> int:
        """Return how many names came, good or not."""
        return len(self._facts)

    def add(self, tag: ListedTag) -> None:
        """Add what a row says; a digest that is none counts as unknown. More than a million are an error, as of `Names`."""
        self._names.add([tag.name])
        if tag.digest is not None and not is_digest(tag.digest):
            tag = ListedTag(tag.name, None, tag.size_bytes, tag.created_at, tag.media_type)
        self._facts.setdefault(tag.name, tag)

    def listing(self, *, warnings: Iterable[str] = ()) -> TagListing:
        """Return all that was added."""
        tags = tuple(self._facts[name] for name in sorted(self._names.good))
        return TagListing(tags, (), all(tag.digest for tag in tags), (*self._names.warnings("no tags"), *warnings))


def moment_of(text: object) -> datetime | None:
    """Return a date as APIs write it (RFC 3339 or RFC 2822), None when it is none, or one that cannot be believed (1970)."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        found = parse_http_date(text)
        if found is None:
            return None
        moment = found
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware if aware > _OLDEST_BELIEVED else None
