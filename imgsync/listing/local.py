"""List a store of files, which knows all that it has."""

from __future__ import annotations

from imgsync.filters.natural_order import make_natural_key
from imgsync.listing.model import ListedRepository, ListedTag, ListedTags, RepositoryListing, TagListing
from imgsync.oci.image_store import LocalStore


class LocalLister:
    """Lists one store of files, such as a layout."""

    kind = "files"
    has_digests_in_one_request = True

    def __init__(self, store: LocalStore) -> None:
        """List *store*."""
        self._store = store

    def repositories(self, namespace: str) -> RepositoryListing:
        """Return every repository below *namespace* ("" for all)."""
        below = f"{namespace}/" if namespace else ""
        paths = (path for path in self._store.iter_repositories() if path.startswith(below))
        return RepositoryListing("files", tuple(ListedRepository(path) for path in sorted(paths, key=make_natural_key)))

    def tags(self, path: str) -> TagListing:
        """
        Return every tag of a repository.

        Raises:
            NotFoundError: There is no such repository.
        """
        return TagListing(ListedTags(ListedTag(tag, digest=digest, media_type=media_type) for tag, digest, media_type in self._store.iter_tags(path)))
