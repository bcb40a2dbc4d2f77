"""What listings say, whatever their dialect, and what every dialect offers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ListedTag:
    """A tag and what its listing knows of it; None where it says nothing."""

    name: str
    digest: str | None = None
    size_bytes: int | None = None
    created_at: datetime | None = None
    media_type: str | None = None


@dataclass(frozen=True, slots=True)
class TagListing:
    """All tags of a repository, the names of repositories below it, whether digests came along, and what was left out."""

    tags: tuple[ListedTag, ...]
    children: tuple[str, ...] = ()
    with_digests: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ListedRepository:
    """A repository's path, and its tags where the same answer held them."""

    path: str
    tags: TagListing | None = None


@dataclass(frozen=True, slots=True)
class RepositoryListing:
    """The dialect that was used, every repository found, and what was left out."""

    dialect: str
    repositories: tuple[ListedRepository, ...]
    warnings: tuple[str, ...] = ()


class Dialect(Protocol):
    """One way to list a registry. Paths and namespaces are repository paths; "" is the whole registry."""

    def repositories(self, namespace: str) -> RepositoryListing:
        """
        Return the repositories below *namespace*; some may lie outside it.

        Raises:
            RegistryError: The registry refuses, or a page fails.
        """

    def tags(self, path: str) -> TagListing:
        """
        Return every tag of the repository at *path*.

        Raises:
            RegistryError: The registry refuses, or a page fails.
        """
