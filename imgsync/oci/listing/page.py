"""Pages of a listing: followed to their end, or an error; never a part taken for the whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

from imgsync.errors import UnexpectedResponseError
from imgsync.oci.errors import Operation, safe_text
from imgsync.oci.registry import RegistryClient

_PAGE_LIMIT = 10_000
_PAGE_BYTES = 32 << 20


# A page of so many names without a `Link` may be one that was cut off.
_FULL_PAGES = {50, 100, 1000}


def pages(client: RegistryClient, operation: Operation, target: str, *, scopes: tuple[str, ...], field: str) -> Iterator[dict[str, Any]]:
    """
    Yield each page's JSON object, following `Link` until there is none; each has *field*, a list of names, though it may be null.

    After a page without `Link` that looks full, the registry is asked for what comes behind its last name: some cut their lists without a word.

    Raises:
        RegistryError: A page is missing, is no such object, repeats, or there are more than 10,000.
    """
    seen: set[str] = set()
    following: str | None = target
    previous: list[Any] = []
    while following is not None:
        if following in seen or len(seen) >= _PAGE_LIMIT:
            raise operation.failed(UnexpectedResponseError, "the listing's pages never end")
        seen.add(following)
        body, linked = client.get_page(operation, following, scopes=scopes, limit_bytes=_PAGE_BYTES)
        page = _object(body, operation, field)
        names = page[field] if isinstance(page[field], list) else []
        if previous and set(map(str, names)) <= set(map(str, previous)):
            return
        yield page
        previous = names if linked is None and len(names) in _FULL_PAGES and isinstance(names[-1], str) else []
        following = _behind(target, names[-1]) if previous else linked


def _behind(target: str, last: str) -> str:
    path, _, query = target.partition("?")
    return f"{path}?{query}{'&' if query else ''}last={quote(last, safe='')}"


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
