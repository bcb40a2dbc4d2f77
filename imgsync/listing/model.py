"""What a listing returns, and the interface of every listing API."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class ListedTag:
    """A tag, and what its listing knows about it."""

    name: str
    digest: str | None = None
    size_bytes: int | None = None
    created_at: datetime | None = None
    media_type: str | None = None


@dataclass(frozen=True, slots=True)
class TagListing:
    """
    All tags of a repository.

    Args:
        tags: The tags.
        children: The names of repositories below this one.
        warnings: What was skipped.
    """

    tags: tuple[ListedTag, ...]
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
