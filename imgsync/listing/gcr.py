"""
List Google's registries by their `tags/list` extension.

Each node lists its child nodes, and its own tags with digests, sizes and dates. A node can be a repository and a folder at once. Spec: `google.Tags` in
google/go-containerregistry.
"""

from __future__ import annotations

from collections import deque

from imgsync.errors import UnexpectedResponseError
from imgsync.listing.distribution import list_tags
from imgsync.listing.model import ListedRepository, RepositoryListing, TagListing
from imgsync.oci.registry import RegistryClient
from imgsync.system.dataclass import dataclass

_NODE_LIMIT = 100_000
# With less, Artifact Registry truncates the list without a `Link`: google/go-containerregistry#1643.
_PAGE_SIZE = 10_000


@dataclass(frozen=True, slots=True)
class Gcr:
    """GCR, Artifact Registry and registry.k8s.io."""

    client: RegistryClient

    def repositories(self, namespace: str) -> RepositoryListing:
        """Return every repository below *namespace* with its tags; one request per node."""
        waiting = deque([namespace])
        seen = {namespace}
        found: list[ListedRepository] = []
        while waiting:
            path = waiting.popleft()
            listing = self.tags(path)
            if listing.tags and path != namespace:
                listing.tags.pack()
                found.append(ListedRepository(path, listing))
            below = [f"{path}/{child}" if path else child for child in sorted(listing.children)]
            waiting += [child for child in below if child not in seen]
            seen.update(below)
            if len(seen) > _NODE_LIMIT:
                operation = self.client.make_operation("list repositories of", f"{self.client.registry}/{namespace}")
                raise operation.make_error(UnexpectedResponseError, f"more than {_NODE_LIMIT} repositories")
        return RepositoryListing("gcr", tuple(found))

    def tags(self, path: str) -> TagListing:
        """Return the tags and the children of one node."""
        return list_tags(self.client, path, page_size=_PAGE_SIZE)
