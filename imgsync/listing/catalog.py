"""
List repositories by `_catalog`, and tags by `tags/list`.

`_catalog` is older than the OCI specification and not part of it. Spec: distribution's "Catalog"; a page has at most 1000 names.
"""

from __future__ import annotations

from imgsync.listing.collectors import NameCollector
from imgsync.listing.distribution import list_tags
from imgsync.listing.model import ListedRepository, RepositoryListing, TagListing
from imgsync.listing.page import PagedListing
from imgsync.oci.registry import RegistryClient
from imgsync.oci.spec.reference import is_repository_path
from imgsync.system.dataclass import dataclass

_PAGE_SIZE = 1000


@dataclass(frozen=True, slots=True)
class Catalog:
    """The catalog of a whole registry."""

    client: RegistryClient

    def repositories(self, namespace: str) -> RepositoryListing:
        """Return every repository of the registry."""
        operation = self.client.make_operation("list repositories of", f"{self.client.registry}/{namespace}".rstrip("/"))
        names = NameCollector(operation, is_repository_path)
        for _ in PagedListing(self.client, names, "/v2/_catalog", _PAGE_SIZE, ("registry:catalog:*",), "repositories").read():
            pass
        found = tuple(ListedRepository(path) for path in sorted(names.valid))
        return RepositoryListing("catalog", found, names.make_warnings("repository paths"))

    def tags(self, path: str) -> TagListing:
        """Return the tags, without digests."""
        return list_tags(self.client, path)
