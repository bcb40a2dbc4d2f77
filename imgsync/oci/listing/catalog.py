"""
Repositories by `_catalog`, which is older than the OCI's specification and not part of it; tags by `tags/list`.

Spec: registry-facts: `GET /v2/_catalog`; at most 1000 may be asked for, and `Link` leads on.
"""

from __future__ import annotations

from dataclasses import dataclass

from imgsync.oci.listing.distribution import list_tags
from imgsync.oci.listing.model import ListedRepository, RepositoryListing, TagListing
from imgsync.oci.listing.page import Names, pages
from imgsync.oci.registry import RegistryClient
from imgsync.oci.spec.reference import is_repository_path

_PAGE_SIZE = 1000


@dataclass(frozen=True, slots=True)
class Catalog:
    """What every registry of the distribution kind answers; the whole registry at once."""

    client: RegistryClient

    def repositories(self, namespace: str) -> RepositoryListing:
        """Return every repository of the registry."""
        operation = self.client.make_operation("list repositories of", f"{self.client.registry}/{namespace}".rstrip("/"))
        names = Names(operation, is_repository_path)
        for _ in pages(self.client, names, f"/v2/_catalog?n={_PAGE_SIZE}", scopes=("registry:catalog:*",), field="repositories"):
            pass
        found = tuple(ListedRepository(path) for path in sorted(names.good))
        return RepositoryListing("catalog", found, names.warnings("no repositories' paths"))

    def tags(self, path: str) -> TagListing:
        """Return the tags by `tags/list`, without digests."""
        return list_tags(self.client, path)
