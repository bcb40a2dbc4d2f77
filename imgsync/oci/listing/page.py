"""Pages of a listing: followed to their end, or an error; never a part taken for the whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from imgsync.errors import UnexpectedResponseError
from imgsync.oci.errors import Operation
from imgsync.oci.registry import RegistryClient

_PAGE_LIMIT = 10_000
_PAGE_BYTES = 32 << 20


def pages(client: RegistryClient, operation: Operation, target: str, *, scopes: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """
    Yield each page's JSON object, following `Link` until there is none.

    Raises:
        RegistryError: A page is missing, is no JSON object, repeats, or there are more than 10,000.
    """
    seen: set[str] = set()
    following: str | None = target
    while following is not None:
        if following in seen or len(seen) >= _PAGE_LIMIT:
            raise operation.failed(UnexpectedResponseError, "the listing's pages never end")
        seen.add(following)
        body, following = client.get_page(operation, following, scopes=scopes, limit_bytes=_PAGE_BYTES)
        yield _object(body, operation)


def _object(body: bytes, operation: Operation) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise operation.failed(UnexpectedResponseError, "the listing is not JSON; is this a registry?", status=200)
    return document
