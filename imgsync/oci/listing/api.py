"""A registry's own API beside `/v2/`, on its host or on another: JSON over GET, as somebody or nobody."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from imgsync.errors import CredentialsError, InsecureError, UnexpectedResponseError
from imgsync.oci.auth.trusted_hosts import is_trusted_host
from imgsync.oci.endpoint import Credentials
from imgsync.oci.errors import Operation
from imgsync.oci.limits.retry import RetryPolicy
from imgsync.oci.link_header import find_next_link
from imgsync.oci.listing.prefetch import prefetch_pages
from imgsync.oci.messages import RegistryRequest, RegistryResponse
from imgsync.oci.responses import resolve_url
from imgsync.oci.transport import Transport

_PAGE_LIMIT = 10_000
_PAGE_BYTES = 32 << 20


@dataclass(slots=True)
class ApiSession:
    """One API for one run: its transport, whether the operator named its address, and the token that a login gave."""

    transport: Transport
    registry_host: str
    on_secret: Callable[[Iterable[str]], None]
    named: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _token: str = ""
    _token_ends: float = 0.0

    def token(self, login: Callable[[], str], *, life_seconds: float) -> str:
        """Return the token that *login* gave, asked for anew once it is *life_seconds* old."""
        with self._lock:
            if time.monotonic() >= self._token_ends:
                self._token, self._token_ends = login(), time.monotonic() + life_seconds
                self.on_secret([self._token])
            return self._token


@dataclass(frozen=True, slots=True)
class Page:
    """One response: its JSON, headers (names in lower case), and the URL of the next by `Link`, not yet checked; None without one."""

    document: Any
    headers: Mapping[str, str]
    following: str | None

    @property
    def rows_hash(self) -> int | None:
        """Return a hash of what it lists, to know it again by, whatever cursor leads on from it; None when that is nothing."""
        parts = self.document.values() if isinstance(self.document, dict) else [self.document]
        lists = [part for part in parts if part and isinstance(part, list)]
        return hash(repr(lists)) if lists else None


class Api:
    """A registry's API with one caller's retry policy."""

    def __init__(self, access: ApiSession, retry_policy: RetryPolicy) -> None:
        """Speak through *access*."""
        self.access = access
        self._retry_policy = retry_policy

    @property
    def registry(self) -> str:
        """Return the registry whose API this is."""
        return self.access.transport.endpoint.registry

    def make_operation(self, name: str, path: str) -> Operation:
        """Return the subject of errors about *name* on *path* of the registry."""
        return Operation(name, f"{self.registry}/{path}" if path else self.registry, self.access.transport.endpoint.origin)

    def login(self, operation: Operation) -> Credentials | None:
        """
        Return who we are to this API: the registry's credentials, None for nobody.

        Raises:
            InsecureError: There are credentials, but the API is on a host that must not have them.
            CredentialsError: One is configured, but cannot be had.
        """
        endpoint = self.access.transport.endpoint
        try:
            found = endpoint.credentials.find("")
        except CredentialsError as error:
            raise operation.make_error(InsecureError, error.message, hint=error.hint) from error
        host = urlsplit(endpoint.url).hostname or ""
        if found is not None and not self.access.named and not is_trusted_host(self.registry, self.access.registry_host, host):
            raise operation.make_error(
                InsecureError,
                f"its API is said to be at {host}, which is neither its own host nor its site",
                hint=f"if that is right, name it: registries: {{{self.registry}: {{listing: {{kind: KIND, url: https://{host}}}}}}}",
            )
        return found

    def get(self, operation: Operation, target: str, *, auth_headers: Mapping[str, str] | None = None) -> Page:
        """
        Return the response to a GET of *target*, a path or a URL of this API; *auth_headers* are headers that say who we are.

        Raises:
            RegistryError: Any status but 200, or no JSON.
        """
        return self._page(
            operation,
            RegistryRequest(operation, "GET", target, headers={"Accept": "application/json"}, limit_bytes=_PAGE_BYTES, auth_headers=auth_headers or {}),
        )

    def pages(
        self,
        operation: Operation,
        target: str,
        after: Callable[[Page], str | None],
        *,
        auth_headers: Mapping[str, str],
        known: Callable[[Page], Iterable[str]] = lambda _: (),
    ) -> Iterator[Page]:
        """
        Yield the answers to GETs of *target* and of what *after* names behind each, until that is None.

        *known* says which pages the first one tells to come behind it: those are asked for side by side.

        Raises:
            RegistryError: A page fails, repeats, or there are more than 10,000.
        """
        seen: set[str | int] = set()
        for number, (asked, page) in enumerate(self._asked(operation, target, after, auth_headers, known)):
            rows_hash = page.rows_hash
            if asked in seen or number >= _PAGE_LIMIT or rows_hash in seen:
                raise operation.make_error(UnexpectedResponseError, "the listing's pages never end")
            seen |= {asked} if rows_hash is None else {asked, rows_hash}
            yield page

    def _asked(
        self, operation: Operation, target: str, after: Callable[[Page], str | None], auth_headers: Mapping[str, str], known: Callable[[Page], Iterable[str]]
    ) -> Iterator[tuple[str, Page]]:
        """Yield what was asked for, and the response, as `pages` but without an end to what never ends."""
        page = self.get(operation, target, auth_headers=auth_headers)
        yield target, page
        following = after(page)
        for ahead in prefetch_pages(lambda one: self.get(operation, one, auth_headers=auth_headers), known(page)):
            yield ahead
            following = after(ahead[1])
        while following is not None:
            page = self.get(operation, following, auth_headers=auth_headers)
            yield following, page
            following = after(page)

    def post(
        self, operation: Operation, target: str, document: object, *, accept_statuses: frozenset[int], auth_headers: Mapping[str, str] | None = None
    ) -> Page:
        """
        Return the response to a POST of *document*.

        Raises:
            RegistryError: Any status outside *accept_statuses*, or no JSON where there is a body.
        """
        body = json.dumps(document).encode()
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        return self._page(
            operation, RegistryRequest(operation, "POST", target, accept_statuses=accept_statuses, headers=headers, body=body, auth_headers=auth_headers or {})
        )

    def own_url(self, operation: Operation, url: str, *, also: str = "") -> str:
        """
        Return *url*, which an response named as the next page, below this API; *also* is a host it may name itself by.

        Raises:
            InsecureError: It leads to another host.
        """
        base = self.access.transport.endpoint.url
        parts, own = urlsplit(resolve_url(url, base=base, operation=operation)), urlsplit(base)
        if parts.netloc != own.netloc and (not also or parts.hostname != also):
            raise operation.make_error(InsecureError, f"the listing's next page is on another host, {parts.hostname}", hint="nothing was sent there")
        return f"{own.scheme}://{own.netloc}{parts.path}{'?' if parts.query else ''}{parts.query}"

    def _page(self, operation: Operation, request: RegistryRequest) -> Page:
        response: RegistryResponse = self.access.transport.request(request, retry_policy=self._retry_policy)
        try:
            document = json.loads(response.body) if response.body or response.status == 200 else None
        except (ValueError, RecursionError) as error:
            raise operation.make_error(UnexpectedResponseError, "the response is no JSON; is this the registry's API?", status=response.status) from error
        return Page(document, response.headers, find_next_link(response, operation))


# Opens the registry's API at a URL, "" for the registry's own host; an address that the operator named goes before.
OpenApi = Callable[[str], Api]


def rows(page: Page, field_name: str | None, operation: Operation) -> list[dict[str, Any]]:
    """
    Return the objects that a page lists under *field_name*, or as a whole when that is None.

    Raises:
        UnexpectedResponseError: There is no such list.
    """
    found = page.document if field_name is None else page.document.get(field_name) if isinstance(page.document, dict) else None
    if not isinstance(found, list):
        what = "a list" if field_name is None else f"an object with a list of {field_name}"
        raise operation.make_error(UnexpectedResponseError, f"the response is no listing: {what} is wanted; is this the registry's API?", status=200)
    return [row for row in found if isinstance(row, dict)]


def numbers_behind(rows_of_first: int, count: int | None) -> range:
    """Return the numbers of the pages behind the first, which has so many rows of *count*; none where it is not known how many there are."""
    return range(2, 1 + -(-count // rows_of_first)) if rows_of_first and count is not None else range(0)


def text_of(row: Mapping[str, Any], name: str) -> str:
    """Return a field that should be text, "" where it is not."""
    value = row.get(name)
    return value if isinstance(value, str) else ""


def count_of(value: object) -> int | None:
    """Return a field that should be a count, None where it is not."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
