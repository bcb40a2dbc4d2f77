"""Read every page of a `/v2/` listing, or fail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from imgsync.errors import UnexpectedResponseError
from imgsync.listing.collectors import NameCollector
from imgsync.oci.errors import Operation
from imgsync.oci.registry import RegistryClient

_PAGE_LIMIT = 10_000
_PAGE_BYTES = 32 << 20
# Some registries hide what we may not see, so this many pages in a row may have nothing new.
_BARREN_LIMIT = 100
# ECR (100, 1000) and old Quay (50) cut lists without a `Link`. Pages of these sizes are not trusted to be the last.
_FULL_PAGES = {50, 100, 1000}


def read_pages(client: RegistryClient, names: NameCollector, target: str, *, scopes: tuple[str, ...], field: str) -> Iterator[dict[str, Any]]:
    """
    Yield the JSON object of each page, following `Link`.

    After a page without `Link` that looks full, the names after its last one are requested too.

    Args:
        client: The registry.
        names: Collects the names of each page.
        target: The first page.
        scopes: What the token must allow.
        field: The field with the list of names, which may be null.

    Raises:
        RegistryError: A page fails, repeats or is not a listing, or the listing never ends.
    """
    operation = names.operation
    seen: set[str] = set()
    barren = 0
    following: str | None = target
    previous: list[Any] = []
    while following is not None:
        if following in seen or len(seen) >= _PAGE_LIMIT:
            raise operation.make_error(UnexpectedResponseError, "the listing's pages never end")
        seen.add(following)
        body, linked = client.get_page(operation, following, scopes=scopes, limit_bytes=_PAGE_BYTES)
        page = _parse_object(body, operation, field)
        found = page[field] if isinstance(page[field], list) else []
        if previous and set(map(str, found)) <= set(map(str, previous)):
            return
        barren = 0 if names.add(found) else barren + 1
        if barren > _BARREN_LIMIT:
            raise operation.make_error(UnexpectedResponseError, "the listing's pages never end: the last hundred have nothing new")
        yield page
        previous = found if linked is None and len(found) in _FULL_PAGES and isinstance(found[-1], str) else []
        following = _make_next_target(target, found[-1]) if previous else linked


def _make_next_target(target: str, last: str) -> str:
    path, _, query = target.partition("?")
    return f"{path}?{query}{'&' if query else ''}last={quote(last, safe='')}"


def _parse_object(body: bytes, operation: Operation, field: str) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or field not in document:
        raise operation.make_error(
            UnexpectedResponseError, f"the response is not a listing: expected a JSON object with {field}; is this a registry?", status=200
        )
    return document
