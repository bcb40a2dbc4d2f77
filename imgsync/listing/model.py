"""What a listing returns, and the interface of every listing API."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field
from datetime import datetime
from sys import intern
from typing import Protocol

from imgsync.filters.natural_order import make_natural_key
from imgsync.system.dataclass import dataclass
from imgsync.system.packed_rows import PackedSequence
from imgsync.system.sorted_runs import SortedRuns


@dataclass(frozen=True, slots=True)
class ListedTag:
    """A tag, and what its listing knows about it."""

    name: str
    digest: str | None = None
    size_bytes: int | None = None
    created_at: datetime | None = None
    media_type: str | None = None


class ListedTags(SortedRuns[ListedTag]):
    """Tags in natural order, packed if they are many."""

    def __init__(self, tags: Iterable[ListedTag] = ()) -> None:
        """Start with *tags*."""
        super().__init__(_make_key, _list_row, _make_tag)
        self.update(tags)


@dataclass(frozen=True, slots=True)
class TagListing:
    """
    All tags of a repository.

    Args:
        tags: The tags.
        children: The names of repositories below this one.
        warnings: What was skipped.
    """

    tags: ListedTags = field(default_factory=ListedTags)
    children: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ListedRepository:
    """A repository's path, and its tags if the same response had them."""

    path: str
    tags: TagListing | None = None


@dataclass(frozen=True, slots=True)
class RepositoryListing:
    """All repositories found, how, and warnings about skipped names."""

    kind: str
    repositories: tuple[ListedRepository, ...]
    warnings: tuple[str, ...] = ()


class ListingApi(Protocol):
    """One way to list a registry; "" is the whole registry."""

    def repositories(self, namespace: str) -> RepositoryListing:
        """
        Return the repositories below *namespace*, and possibly others.

        Raises:
            RegistryError: The registry refuses, or a page fails.
        """

    def tags(self, path: str) -> TagListing:
        """
        Return every tag of the repository at *path*.

        Raises:
            RegistryError: The registry refuses, or a page fails.
        """


class StoreLister(Protocol):
    """
    Lists one store for one caller; "" is all of it.

    `kind` is the declared way to list, "auto" if it is found out.
    """

    kind: str

    @property
    def has_digests_in_one_request(self) -> bool:
        """Return whether one request lists all tags with digests."""

    def repositories(self, namespace: str) -> RepositoryListing:
        """
        Return every repository below *namespace*.

        Raises:
            RegistryError: The store does not list; the hint names the remedy.
        """

    def tags(self, path: str) -> TagListing:
        """
        Return every tag of a repository.

        Raises:
            NotFoundError: There is no such repository.
            RegistryError: The store does not list them.
        """


def pack_in_order(tags: Iterable[ListedTag]) -> PackedSequence[ListedTag]:
    """Return *tags* packed, in the order in which they come."""
    return PackedSequence(tags, _list_row, _make_tag)


def _make_key(tag: ListedTag) -> str:
    return make_natural_key(tag.name)


def _list_row(tag: ListedTag) -> tuple[object, ...]:
    return tag.name, tag.digest, tag.size_bytes, None if tag.created_at is None else tag.created_at.isoformat(), tag.media_type


def _make_tag(name: str, digest: str | None, size_bytes: int | None, created_at: str | None, media_type: str | None) -> ListedTag:
    created = None if created_at is None else datetime.fromisoformat(created_at)
    # Thousands of tags have the same type.
    return ListedTag(name, digest, size_bytes, created, None if media_type is None else intern(media_type))
