"""A registry's own JSON API, on its host or on another."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import field
from typing import Any
from urllib.parse import urlsplit

from imgsync.errors import AuthenticationError, CredentialsError, InsecureError, RejectedError, UnexpectedResponseError
from imgsync.listing.page import SIZE_REFUSED
from imgsync.listing.prefetch import prefetch_pages
from imgsync.oci.auth.trusted_hosts import is_trusted_host
from imgsync.oci.endpoint import Credentials
from imgsync.oci.errors import Operation
from imgsync.oci.limits.retry import RetryPolicy
from imgsync.oci.link_header import find_next_link
from imgsync.oci.messages import RegistryRequest
from imgsync.oci.responses import resolve_url
from imgsync.oci.spec.bounded_json import PAGE_BYTES, TooManyValuesError, parse_page
from imgsync.oci.transport import Transport
from imgsync.system.dataclass import dataclass

_PAGE_LIMIT = 10_000
# Every API reads pages of 100 rows by default, and some servers allow fewer.
_PAGE_SIZES = (25, 0)
_SIZE_FIELDS = re.compile(r"(?:page_size|per_page|limit)=[0-9]+")


@dataclass(slots=True)
class ApiSession:
    """
    One API during one run.

    Args:
        transport: Sends the requests.
        registry_host: The host of the registry itself.
        on_secret: Called with each new token before it is used.
        is_declared: Whether the operator declared the API's URL.
        page_step: How often a page size was refused.
    """

    transport: Transport
    registry_host: str
    on_secret: Callable[[Iterable[str]], None]
    is_declared: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    page_step: int = 0
    _token: str = ""
    _token_ends: float = 0.0

    def get_token(self, log_in: Callable[[], str], *, life_seconds: float) -> str:
        """Return the token from *log_in*, which is called again after *life_seconds*."""
        with self._lock:
            if time.monotonic() >= self._token_ends:
                self._token, self._token_ends = log_in(), time.monotonic() + life_seconds
                self.on_secret([self._token])
            return self._token


@dataclass(frozen=True, slots=True)
class ApiPage:
    """One response; `next_link` is not checked yet."""

    document: Any
    headers: Mapping[str, str]
    next_link: str | None

    @property
    def rows_hash(self) -> int | None:
        """
        Return a hash of the rows, to recognise a repeated page.

        It is None without rows.
        """
        parts = self.document.values() if isinstance(self.document, dict) else [self.document]
        lists = [part for part in parts if part and isinstance(part, list)]
        # Row by row, because the text of all rows is as large as the page.
        return hash(tuple(hash(repr(row)) for rows in lists for row in rows)) if lists else None


class JsonApi:
    """Sends one caller's requests to one API."""

    def __init__(self, session: ApiSession, retry_policy: RetryPolicy) -> None:
        """Send requests in *session*, which callers share."""
        self.session = session
        self._retry_policy = retry_policy

    @property
    def registry(self) -> str:
        """Return the registry's name."""
        return self.session.transport.endpoint.registry

    def make_operation(self, name: str, path: str) -> Operation:
        """Return the operation *name* on a repository or namespace, for errors."""
        return Operation(name, f"{self.registry}/{path}" if path else self.registry, self.session.transport.endpoint.origin)

    def find_login(self, operation: Operation) -> Credentials | None:
        """
        Return the registry's credentials, None for anonymous access.

        Raises:
            InsecureError: The API's host must not receive the credentials, or they cannot be read.
        """
        endpoint = self.session.transport.endpoint
        try:
            found = endpoint.credentials.find("")
        except CredentialsError as error:
            raise operation.make_error(InsecureError, error.message, hint=error.hint) from error
        host = urlsplit(endpoint.url).hostname or ""
        if found is not None and not self.session.is_declared and not is_trusted_host(self.registry, self.session.registry_host, host):
            raise operation.make_error(
                InsecureError,
                f"the registry's API is at {host}, which is neither its own host nor its site",
                hint=f"if you trust it, set registries: {{{self.registry}: {{listing: {{kind: KIND, url: https://{host}}}}}}}",
            )
        return found

    @contextlib.contextmanager
    def try_login(self, login: Hashable, operation: Operation) -> Iterator[None]:
        """
        Send *login* in this block, alone until the API accepted it.

        Raises:
            RegistryError: The API refused it in this run.
        """
        refused, key = self.session.transport.refused, (self.session.transport.endpoint.url, login)
        with refused.trial(key, operation):
            try:
                yield
            except AuthenticationError as error:
                refused.note_refusal(key, error)
                raise
            refused.accept(key)

    def get(self, operation: Operation, target: str, *, auth_headers: Mapping[str, str] | None = None) -> ApiPage:
        """
        Return the response to a GET of *target*, a path or URL.

        Raises:
            RegistryError: Any status but 200, or a body that is not JSON.
        """
        headers = {"Accept": "application/json"}
        return self._send(RegistryRequest(operation, "GET", target, headers=headers, limit_bytes=PAGE_BYTES, auth_headers=auth_headers or {}))

    def post(
        self,
        operation: Operation,
        target: str,
        document: object,
        *,
        accept_statuses: frozenset[int],
        auth_headers: Mapping[str, str] | None = None,
    ) -> ApiPage:
        """
        Return the response to a POST of *document*.

        Raises:
            RegistryError: Any other status, or a body that is not JSON.
        """
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        body = json.dumps(document).encode()
        return self._send(
            RegistryRequest(operation, "POST", target, accept_statuses=accept_statuses, headers=headers, body=body, auth_headers=auth_headers or {})
        )

    def read_pages(
        self,
        operation: Operation,
        target: str,
        find_next: Callable[[ApiPage], str | None],
        *,
        auth_headers: Mapping[str, str],
        list_known: Callable[[ApiPage], Iterable[str]] = lambda _: (),
    ) -> Iterator[ApiPage]:
        """
        Yield *target* and all pages after it.

        Args:
            operation: The subject of errors.
            target: The first page.
            find_next: Returns the page after a page, None after the last.
            auth_headers: Headers with credentials.
            list_known: Returns the pages that the first page announces; they are fetched in parallel.

        Raises:
            RegistryError: A page fails or repeats, or there are more than 10,000.
        """
        seen: set[str | int] = set()
        for number, (requested, page) in enumerate(self._follow_pages(operation, target, find_next, auth_headers, list_known)):
            rows_hash = page.rows_hash
            if requested in seen or number >= _PAGE_LIMIT or rows_hash in seen:
                raise operation.make_error(UnexpectedResponseError, f"the listing's pages never end: {requested[-200:]} repeats an earlier one")
            seen |= {requested} if rows_hash is None else {requested, rows_hash}
            yield page

    def _follow_pages(
        self,
        operation: Operation,
        target: str,
        find_next: Callable[[ApiPage], str | None],
        auth_headers: Mapping[str, str],
        list_known: Callable[[ApiPage], Iterable[str]],
    ) -> Iterator[tuple[str, ApiPage]]:
        """Yield each target and its page, possibly endlessly."""

        def get(one: str) -> ApiPage:
            return self.get(operation, _resize(one, self.session.page_step), auth_headers=auth_headers)

        page = self._get_first(target, get)
        yield target, page
        following = find_next(page)
        for prefetched in prefetch_pages(get, list_known(page)):
            yield prefetched
            following = find_next(prefetched[1])
        while following is not None:
            page = get(following)
            yield following, page
            following = find_next(page)

    def _get_first(self, target: str, get: Callable[[str], ApiPage]) -> ApiPage:
        """Return the first page, smaller if its size is refused."""
        while True:
            step = self.session.page_step
            try:
                return get(target)
            except RejectedError as error:
                if error.status not in SIZE_REFUSED or step == len(_PAGE_SIZES) or _SIZE_FIELDS.search(target) is None:
                    raise
                self.session.page_step = max(self.session.page_step, step + 1)

    def check_next_link(self, operation: Operation, url: str, *, alias: str = "") -> str:
        """
        Return the next page's *url* on this API's origin.

        The host may also be named *alias*.

        Raises:
            InsecureError: The URL is on another host.
        """
        base = self.session.transport.endpoint.url
        parts, own = urlsplit(resolve_url(url, base=base, operation=operation)), urlsplit(base)
        endpoint = self.session.transport.endpoint
        if parts.netloc != own.netloc and (not alias or parts.hostname != alias) and not endpoint.is_own(parts.geturl()):
            hint = endpoint.explain_other_host(parts.geturl())
            raise operation.make_error(InsecureError, f"the listing's next page is on another host, {parts.hostname}", hint=hint)
        return f"{own.scheme}://{own.netloc}{parts.path}{'?' if parts.query else ''}{parts.query}"

    def _send(self, request: RegistryRequest) -> ApiPage:
        operation = request.operation
        login = tuple(sorted((request.auth_headers or {}).items()))
        with self.try_login(login, operation) if login else contextlib.nullcontext():
            response = self.session.transport.request(request, retry_policy=self._retry_policy)
        try:
            document = parse_page(response.body) if response.body or response.status == 200 else None
        except TooManyValuesError as error:
            raise operation.make_error(UnexpectedResponseError, f"the listing is too large: {error}", status=response.status) from error
        except ValueError as error:
            raise operation.make_error(UnexpectedResponseError, "the response is not JSON; is this the registry's API?", status=response.status) from error
        return ApiPage(document, response.headers, find_next_link(response, operation))


# Opens the registry's API at a URL, "" for the registry's own host. A URL that the operator declared has precedence.
ApiOpener = Callable[[str], JsonApi]


def _resize(target: str, step: int) -> str:
    """Return *target* with the page size of *step*."""
    if not step:
        return target
    path, _, query = target.partition("?")
    size = _PAGE_SIZES[step - 1]
    parts = [part for part in query.split("&") if size or _SIZE_FIELDS.fullmatch(part) is None]
    resized = [f"{part.partition('=')[0]}={size}" if _SIZE_FIELDS.fullmatch(part) else part for part in parts]
    return f"{path}?{'&'.join(resized)}"


def number_further_pages(first_page_rows: int, count: int | None) -> range:
    """Return the numbers of the pages after the first."""
    return range(2, 1 + -(-count // first_page_rows)) if first_page_rows and count is not None else range(0)
