"""Pages of a listing: followed to their end, or an error; never a part taken for the whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from imgsync.errors import UnexpectedResponseError
from imgsync.oci.errors import Operation, safe_text
from imgsync.oci.registry import RegistryClient

_PAGE_LIMIT = 10_000
_PAGE_BYTES = 32 << 20


def pages(client: RegistryClient, operation: Operation, target: str, *, scopes: tuple[str, ...], field: str) -> Iterator[dict[str, Any]]:
    """
    Yield each page's JSON object, following `Link` until there is none; each has *field*, though it may be null.

    Raises:
        RegistryError: A page is missing, is no such object, repeats, or there are more than 10,000.
    """
    seen: set[str] = set()
    following: str | None = target
    while following is not None:
        if following in seen or len(seen) >= _PAGE_LIMIT:
            raise operation.failed(UnexpectedResponseError, "the listing's pages never end")
        seen.add(following)
        body, following = client.get_page(operation, following, scopes=scopes, limit_bytes=_PAGE_BYTES)
        yield _object(body, operation, field)


class Names:
    """Names gathered from pages: the good ones each once, in the order they came, the others kept for a warning."""

    def __init__(self) -> None:
        """Begin with none."""
        self.good: dict[str, None] = {}
        self._left_out: list[object] = []

    def add(self, names: object, is_good: Callable[[str], bool]) -> None:
        """Add what a page holds, whatever that is."""
        for name in names if isinstance(names, list) else []:
            if isinstance(name, str) and is_good(name):
                self.good[name] = None
            elif name is not None:
                self._left_out.append(name)

    def warnings(self, operation: Operation, what: str) -> tuple[str, ...]:
        """Return a warning that names the first three that were left out, if there were any."""
        if not self._left_out:
            return ()
        shown = ", ".join(safe_text(str(name))[:80] for name in self._left_out[:3])
        more = ", …" if len(self._left_out) > 3 else ""
        return (f"{operation.reference} lists {len(self._left_out)} names that are {what}; left out: {shown}{more}",)


def _object(body: bytes, operation: Operation, field: str) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or field not in document:
        raise operation.failed(UnexpectedResponseError, f"the answer is no listing: it is not JSON that has {field}; is this a registry?", status=200)
    return document
