"""
What the other side holds: tags, content and referrers.

It is what inventories, exported states and earlier bundles say. What none of them says counts as absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from imgsync.oci.spec.reference import Repository
from imgsync.system.dataclass import dataclass

_NO_TAGS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Held:
    """
    One manifest or blob at a destination registry.

    `size_bytes` is None if unknown. `repositories` are the paths that hold it, the first ones first. `held_by` is the id of what said so.
    """

    size_bytes: int | None
    repositories: tuple[str, ...]
    held_by: str


class Holdings:
    """What the destination registries hold, as far as it is known."""

    def __init__(self) -> None:
        """Begin with nothing held."""
        self._tags: dict[Repository, dict[str, str]] = {}
        self._content: dict[str, dict[str, Held]] = {}
        self._referrers: dict[tuple[Repository, str], dict[str, None]] = {}

    @property
    def registries(self) -> frozenset[str]:
        """Return the registries of which anything is known."""
        return frozenset((*self._content, *(repository.registry for repository in self._tags)))

    def set_tag(self, repository: Repository, tag: str, digest: str) -> None:
        """Note what *tag* names; the last one counts."""
        self._tags.setdefault(repository, {})[tag] = digest

    def add_content(self, repository: Repository, sizes: Mapping[str, int | None] | Iterable[tuple[str, int | None]], *, held_by: str) -> None:
        """Note manifests and blobs that *repository* holds."""
        content = self._content.setdefault(repository.registry, {})
        own = (repository.path,)
        for digest, size_bytes in sizes.items() if isinstance(sizes, Mapping) else sizes:
            known = content.get(digest)
            if known is None:
                content[digest] = Held(size_bytes, own, held_by)
            elif repository.path not in known.repositories:
                content[digest] = Held(size_bytes if known.size_bytes is None else known.size_bytes, known.repositories + own, known.held_by)

    def add_referrer(self, repository: Repository, subject: str, digest: str) -> None:
        """Note that *digest* refers to *subject* in *repository*."""
        self._referrers.setdefault((repository, subject), {})[digest] = None

    def find_tag(self, repository: Repository, tag: str) -> str:
        """Return the digest of *tag*, "" without it."""
        return self._tags.get(repository, _NO_TAGS).get(tag, "")

    def list_tags(self, repository: Repository) -> frozenset[str] | None:
        """Return the tags of *repository*, None if nothing is known of it."""
        tags = self._tags.get(repository)
        return None if tags is None else frozenset(tags)

    def find(self, registry: str, digest: str) -> Held | None:
        """Return who holds *digest* at *registry*."""
        return self._content.get(registry, {}).get(digest)

    def has(self, repository: Repository, digest: str) -> bool:
        """Return whether *repository* holds *digest*."""
        held = self.find(repository.registry, digest)
        return held is not None and repository.path in held.repositories

    def list_referrers(self, repository: Repository, subject: str) -> tuple[str, ...]:
        """Return the digests that refer to *subject*."""
        return tuple(self._referrers.get((repository, subject), ()))

    def iter_content(self) -> Iterator[tuple[str, str, Held]]:
        """Yield registry, digest and holders of all content."""
        for registry, content in self._content.items():
            for digest, held in content.items():
                yield registry, digest, held
