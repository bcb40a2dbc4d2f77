"""Read every page of a `/v2/` listing, or fail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from typing import Any
from urllib.parse import quote

from imgsync.errors import NotFoundError, RejectedError, UnexpectedResponseError
from imgsync.listing.collectors import NameCollector
from imgsync.oci.errors import Operation
from imgsync.oci.registry import RegistryClient
from imgsync.oci.spec.bounded_json import PAGE_BYTES, TooManyValuesError, parse_page
from imgsync.oci.tag_names import is_named_as
from imgsync.system.dataclass import dataclass

_PAGE_LIMIT = 10_000
# Some registries hide what we may not see, so this many pages in a row may have nothing new.
_BARREN_LIMIT = 100
# Listings in no order overlap at random: after this many pages with mostly known names, the whole list is requested.
_OVERLAP_LIMIT = 3
# ECR (100, 1000) and old Quay (50) cut lists without a `Link`. Pages of these sizes are not trusted to be the last.
_FULL_PAGES = {50, 100, 1000}
# Tried in order after a refused page size; 0 is the registry's default.
_SMALLER_SIZES = (100, 0)
SIZE_REFUSED = {400, 413, 416, 422}


@dataclass(slots=True)
class PagedListing:
    """
    One listing, read page by page.

    Args:
        client: The registry.
        names: Collects the names of each page.
        path: The path of the listing below the registry.
        page_size: How many names to request at once, 0 for the registry's default.
        scopes: What the token must allow.
        list_field: The field with the list of names, which may be null.
        repository: The repository that is listed, "" for none. A page that names it may have no list.
    """

    client: RegistryClient
    names: NameCollector
    path: str
    page_size: int
    scopes: tuple[str, ...]
    list_field: str
    repository: str = ""
    _seen: set[str] = field(default_factory=set)
    _barren: int = 0
    _overlapping: int = 0

    def read(self) -> Iterator[dict[str, Any]]:
        """
        Yield the JSON object of each page, following `Link`.

        After a page without `Link` that looks full, the names after its last one are requested too.

        Raises:
            RegistryError: A page fails, repeats or is not a listing, or the listing never ends.
        """
        page, linked = self._fetch_first()
        previous: list[Any] = []
        while True:
            found = self._read_names(page)
            if previous and set(map(str, found)) <= set(map(str, previous)):
                # The registry ignores `last`: the page before was the whole list.
                return
            trouble = self._add(found)
            yield page
            is_cut = linked is None and len(found) in _FULL_PAGES and isinstance(found[-1], str)
            following = self._make_target(self.page_size, last=found[-1]) if is_cut else linked
            if following is None:
                return
            trouble = trouble or self._check_following(following)
            whole = self._fetch_whole() if trouble or self._overlapping == _OVERLAP_LIMIT else None
            if whole is not None:
                yield whole
                return
            if trouble:
                raise self.names.operation.make_error(UnexpectedResponseError, f"the listing's pages never end: {trouble}")
            previous = found if is_cut else []
            page, linked = self._fetch_later(following)

    def _fetch_first(self) -> tuple[dict[str, Any], str | None]:
        """Return the first page, smaller if its size is refused."""
        # distribution refuses more than its `catalog.maxentries`: google/go-containerregistry#2062.
        refused = self.client.capabilities.refused_page_size
        sizes = [size for size in dict.fromkeys((self.page_size, *_SMALLER_SIZES)) if size <= self.page_size and (not refused or size < refused)]
        for size in sizes[:-1]:
            try:
                return self._fetch_sized(size)
            except RejectedError as error:
                if error.status not in SIZE_REFUSED:
                    raise
                self.client.capabilities.learn_refused_page_size(size)
        return self._fetch_sized(sizes[-1])

    def _fetch_sized(self, size: int) -> tuple[dict[str, Any], str | None]:
        self.page_size = size
        return self._fetch(self._make_target(size))

    def _fetch(self, target: str) -> tuple[dict[str, Any], str | None]:
        """Return a page, and the target of the next one."""
        self._seen.add(target)
        body, linked = self.client.get_page(self.names.operation, target, scopes=self.scopes, limit_bytes=PAGE_BYTES)
        return self._parse(body), linked

    def _fetch_later(self, target: str) -> tuple[dict[str, Any], str | None]:
        """Return a later page, whose 404 is not that of the listing."""
        try:
            return self._fetch(target)
        except NotFoundError as error:
            raise self.names.operation.make_error(
                UnexpectedResponseError, f"the listing is cut: a later page is not found: {error.detail}", status=error.status, code=error.code
            ) from error

    def _fetch_whole(self) -> dict[str, Any] | None:
        """
        Return the whole listing in one page, or None.

        Some registries ignore `last` and list in no order, so that their pages say nothing.
        """
        target = self._make_target(0)
        if target in self._seen:
            return None
        try:
            page, linked = self._fetch(target)
        except RejectedError:
            return None
        found = self._read_names(page)
        if linked is not None or not self.names.valid.keys() <= {name for name in found if isinstance(name, str)}:
            return None
        self.names.add(found)
        return page

    def _make_target(self, size: int, *, last: str = "") -> str:
        query = [f"n={size}"] if size else []
        query += [f"last={quote(last, safe='')}"] if last else []
        return f"{self.path}{'?' if query else ''}{'&'.join(query)}"

    def _check_following(self, following: str) -> str:
        """Return why *following* leads nowhere, or ""."""
        if following in self._seen:
            return f"{following[-200:]} is named again"
        return f"there are more than {_PAGE_LIMIT:,}" if len(self._seen) >= _PAGE_LIMIT else ""

    def _add(self, found: list[Any]) -> str:
        """Add a page; return why the listing never ends, or ""."""
        known = sum(1 for name in found if isinstance(name, str) and name in self.names.valid)
        self._overlapping = self._overlapping + 1 if known * 2 > len(found) else 0
        self._barren = 0 if self.names.add(found) else self._barren + 1
        return "the last hundred have nothing new" if self._barren > _BARREN_LIMIT else ""

    def _read_names(self, page: dict[str, Any]) -> list[Any]:
        found = page.get(self.list_field)
        return found if isinstance(found, list) else []

    def _parse(self, body: bytes) -> dict[str, Any]:
        document = parse_listing(body, self.names.operation)
        if isinstance(document, dict) and (self.list_field in document or (self.repository and is_named_as(document, self.repository))):
            return document
        raise self.names.operation.make_error(
            UnexpectedResponseError, f"the response is not a listing: expected a JSON object with {self.list_field}; is this a registry?", status=200
        )


def parse_listing(body: bytes, operation: Operation) -> Any:
    """
    Return the JSON value of a page, None for other text.

    Raises:
        UnexpectedResponseError: It would take too much memory.
    """
    try:
        return parse_page(body)
    except TooManyValuesError as error:
        raise operation.make_error(UnexpectedResponseError, f"the listing is too large: {error}", status=200) from error
    except ValueError:
        return None
