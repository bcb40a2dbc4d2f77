"""
Repositories by `_catalog`, which is older than the OCI's specification and not part of it.

Spec: registry-facts: `GET /v2/_catalog`; at most 1000 may be asked for, and `Link` leads on.
"""

from __future__ import annotations

from collections.abc import Iterator

from imgsync.oci.listing.page import pages
from imgsync.oci.reference import is_repository_path
from imgsync.oci.registry import RegistryClient

_PAGE_SIZE = 1000


def list_paths(client: RegistryClient, namespace: str) -> Iterator[str]:
    """
    Yield the path of every repository below *namespace*, sorted, each once.

    Raises:
        RegistryError: The registry refuses, or a page fails.
    """
    operation = client.operation("list repositories of", f"{client.registry}/{namespace}" if namespace else client.registry)
    found: set[str] = set()
    prefix = f"{namespace}/" if namespace else ""
    for page in pages(client, operation, f"/v2/_catalog?n={_PAGE_SIZE}", scopes=("registry:catalog:*",)):
        names = page.get("repositories")
        found.update(name for name in (names if isinstance(names, list) else []) if isinstance(name, str) and is_repository_path(name))
    yield from sorted(path for path in found if path.startswith(prefix))
