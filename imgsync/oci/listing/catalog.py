"""
Repositories by `_catalog`, which is older than the OCI's specification and not part of it.

Spec: registry-facts: `GET /v2/_catalog`; at most 1000 may be asked for, and `Link` leads on.
"""

from __future__ import annotations

from imgsync.oci.listing.page import Names, pages
from imgsync.oci.reference import is_repository_path
from imgsync.oci.registry import RegistryClient

_PAGE_SIZE = 1000


def list_paths(client: RegistryClient, namespace: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """
    Return the path of every repository below *namespace*, sorted, each once; and warnings of what is no repository's path.

    Raises:
        RegistryError: The registry refuses, or a page fails.
    """
    operation = client.operation("list repositories of", f"{client.registry}/{namespace}" if namespace else client.registry)
    names = Names()
    for page in pages(client, operation, f"/v2/_catalog?n={_PAGE_SIZE}", scopes=("registry:catalog:*",), field="repositories"):
        names.add(page.get("repositories"), is_repository_path)
    prefix = f"{namespace}/" if namespace else ""
    return tuple(path for path in sorted(names.good) if path.startswith(prefix)), names.warnings(operation, "no repositories' paths")
