"""Pages of a listing: followed to their end, or an error; never a part taken for the whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import quote

from imgsync.errors import UnexpectedResponseError
from imgsync.oci.errors import Operation
from imgsync.oci.registry import RegistryClient
from imgsync.text.sanitize import sanitize_message

_PAGE_LIMIT = 10_000
_PAGE_BYTES = 32 << 20
# So many pages one after another may hold nothing that was not seen before: some registries leave out what we may not see.
_BARREN_LIMIT = 100
_NAME_LIMIT = 1_000_000
# Of the names that are none.
_SHOWN = 3
_SHOWN_LENGTH = 80

# A page of so many names without a `Link` may be one that was cut off.
_FULL_PAGES = {50, 100, 1000}


def pages(client: RegistryClient, names: Names, target: str, *, scopes: tuple[str, ...], field: str) -> Iterator[dict[str, Any]]:
    """
    Yield each page's JSON object, following `Link` until there is none; each has *field*, a list of names, though it may be null, added to *names*.

    After a page without `Link` that looks full, the registry is asked for what comes behind its last name: some cut their lists without a word.

    Raises:
        RegistryError: A page is missing, is no such object, repeats, or there are more than 10,000, or 100 with nothing new, or a million names.
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
        page = _object(body, operation, field)
        found = page[field] if isinstance(page[field], list) else []
        if previous and set(map(str, found)) <= set(map(str, previous)):
            return
        barren = 0 if names.add(found) else barren + 1
        if barren > _BARREN_LIMIT:
            raise operation.make_error(UnexpectedResponseError, "the listing's pages never end: the last hundred hold nothing new")
        yield page
        previous = found if linked is None and len(found) in _FULL_PAGES and isinstance(found[-1], str) else []
        following = _behind(target, found[-1]) if previous else linked


def _behind(target: str, last: str) -> str:
    path, _, query = target.partition("?")
    return f"{path}?{query}{'&' if query else ''}last={quote(last, safe='')}"


class Names:
    """Names gathered from pages: the good ones each once, in the order they came, of the others how many and the first three, for a warning."""

    def __init__(self, operation: Operation, is_good: Callable[[str], bool]) -> None:
        """Begin with none; *operation* is what they are listed for."""
        self.operation = operation
        self.good: dict[str, None] = {}
        self._is_good = is_good
        self._left_out = 0
        self._shown: list[str] = []

    def add(self, names: Iterable[object]) -> bool:
        """
        Add what a page holds, and return whether anything of it was new.

        Raises:
            UnexpectedResponseError: There are more than a million: no listing, but one that has no end.
        """
        before = len(self.good)
        for name in names:
            if isinstance(name, str) and self._is_good(name):
                self.good[name] = None
            elif name is not None:
                self._left_out += 1
                if len(self._shown) < _SHOWN:
                    self._shown.append(sanitize_message(str(name)[:_SHOWN_LENGTH])[:_SHOWN_LENGTH])
        if len(self.good) + self._left_out > _NAME_LIMIT:
            raise self.operation.make_error(UnexpectedResponseError, f"the listing has more than {_NAME_LIMIT:,} names")
        return len(self.good) > before

    def warnings(self, what: str) -> tuple[str, ...]:
        """Return a warning that names the first three that were left out, if there were any."""
        if not self._left_out:
            return ()
        more = ", …" if self._left_out > _SHOWN else ""
        return (f"{self.operation.reference} lists {self._left_out} names that are {what}; left out: {', '.join(self._shown)}{more}",)


def _object(body: bytes, operation: Operation, field: str) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or field not in document:
        raise operation.make_error(UnexpectedResponseError, f"the answer is no listing: it is not JSON that has {field}; is this a registry?", status=200)
    return document
