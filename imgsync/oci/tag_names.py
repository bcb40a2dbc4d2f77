"""
List a repository's tag names in one request.

Spec: "Listing Tags" (end-8a).
"""

from __future__ import annotations

from collections.abc import Mapping

from imgsync.errors import AccessDeniedError, AuthenticationError, RejectedError, UnexpectedResponseError
from imgsync.oci.auth.scopes import make_scopes
from imgsync.oci.registry import RegistryClient
from imgsync.oci.spec.bounded_json import PAGE_BYTES, parse_page
from imgsync.oci.spec.reference import Repository


def list_tags_in_one_page(client: RegistryClient, repository: Repository) -> frozenset[str] | None:
    """
    Return every tag of *repository*, None if one page has not all.

    Raises:
        NotFoundError: The repository does not exist.
        RegistryError: The registry fails.
    """
    operation = client.make_operation("list tags of", repository)
    scopes = make_scopes(repository.path, client.read_actions)
    try:
        body, following = client.get_page(operation, f"/v2/{repository.path}/tags/list", scopes=scopes, limit_bytes=PAGE_BYTES)
    except (AccessDeniedError, AuthenticationError, RejectedError, UnexpectedResponseError):
        return None
    try:
        document = parse_page(body)
    except ValueError:
        return None
    tags = document.get("tags") if isinstance(document, dict) and ("tags" in document or is_named_as(document, repository.path)) else False
    if following is not None or not (tags is None or isinstance(tags, list)):
        return None
    return frozenset(tag for tag in tags or () if isinstance(tag, str))


def is_named_as(document: Mapping[str, object], path: str) -> bool:
    """Return whether a listing without tags names the repository at *path*."""
    # Proxies leave the beginning of a path out, or add to it.
    name = document.get("name")
    return isinstance(name, str) and name != "" and (name == path or name.endswith(f"/{path}") or path.endswith(f"/{name}"))
