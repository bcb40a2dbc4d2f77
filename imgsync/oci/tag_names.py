"""
List a repository's tag names in one request.

Spec: "Listing Tags" (end-8a).
"""

from __future__ import annotations

import json

from imgsync.errors import AccessDeniedError, AuthenticationError, RejectedError, UnexpectedResponseError
from imgsync.oci.auth.scopes import make_scopes
from imgsync.oci.registry import RegistryClient
from imgsync.oci.spec.reference import Repository

_LIMIT_BYTES = 8 << 20


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
        body, following = client.get_page(operation, f"/v2/{repository.path}/tags/list", scopes=scopes, limit_bytes=_LIMIT_BYTES)
    except (AccessDeniedError, AuthenticationError, RejectedError, UnexpectedResponseError):
        return None
    try:
        tags = json.loads(body)["tags"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if following is not None or not (tags is None or isinstance(tags, list)):
        return None
    return frozenset(tag for tag in tags or () if isinstance(tag, str))
