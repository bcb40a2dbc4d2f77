"""
Repositories by Google's `tags/list` extension: each node names its children, and holds its own tags.

Spec: registry-facts: "Google's `tags/list` extension"; a node can be a repository and a folder at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from imgsync.errors import UnexpectedResponseError
from imgsync.oci.listing.tags import TagListing, list_tags
from imgsync.oci.registry import RegistryClient

_NODE_LIMIT = 100_000


def walk(client: RegistryClient, namespace: str) -> Iterator[tuple[str, TagListing]]:
    """
    Yield every repository below *namespace* that has tags, with them: one request per node.

    Raises:
        RegistryError: A node cannot be listed, or there are more than 100,000.
    """
    waiting = deque([namespace])
    seen = {namespace}
    while waiting:
        path = waiting.popleft()
        listing = list_tags(client, path)
        if listing.tags and path != namespace:
            yield path, listing
        for child in sorted(listing.children):
            below = f"{path}/{child}" if path else child
            if below not in seen:
                seen.add(below)
                waiting.append(below)
        if len(seen) > _NODE_LIMIT:
            operation = client.operation("list repositories of", f"{client.registry}/{namespace}")
            raise operation.failed(UnexpectedResponseError, f"more than {_NODE_LIMIT} repositories")
