"""
Requests to one registry as source or destination: send, retry, raise.

Limits are in `throttle`, authorisation in `auth_flow`, redirects in `sender`, connections in `client_pool`.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator

from imgsync.errors import ImgsyncError, RegistryError
from imgsync.oci.auth.challenge import Challenge
from imgsync.oci.auth.refused_logins import RefusedLogins
from imgsync.oci.auth_flow import AuthFlow
from imgsync.oci.capabilities import Capabilities
from imgsync.oci.client_pool import ClientFactory, ClientPool
from imgsync.oci.endpoint import Endpoint
from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.client import HttpClient
from imgsync.oci.http.request import RESPONSE_SECONDS
from imgsync.oci.limits.rate_limit import RateLimit
from imgsync.oci.limits.retry import RetryPolicy, retry_call
from imgsync.oci.messages import RegistryRequest, RegistryResponse, StreamedResponse
from imgsync.oci.responses import close_response, iterate_chunks, read_body, read_headers, read_warnings
from imgsync.oci.sender import Sender
from imgsync.oci.throttle import Throttle


class Transport:
    """Sends requests to one registry as source or destination, within its limits."""

    def __init__(
        self,
        endpoint: Endpoint,
        rate_limit: RateLimit,
        *,
        on_warning: Callable[[str], None],
        on_parallel: Callable[[int], object] = lambda _: None,
        on_protocol: Callable[[str, str], object] = lambda *_: None,
        refused: RefusedLogins | None = None,
        new_client: Callable[[], HttpClient] | None = None,
    ) -> None:
        """
        Open no connection yet.

        Args:
            endpoint: Where the registry is and how to reach it.
            rate_limit: The registry's, shared by source and destination.
            on_warning: Called with the text of each `Warning` header.
            on_parallel: Called when the number of parallel requests has changed much.
            on_protocol: Called with each server, HOST:PORT, and the protocol that it chose first.
            refused: The logins that the registry refused, shared by both sides.
            new_client: Makes an HTTP client, instead of one for *endpoint*.
        """
        self.endpoint = endpoint
        self.capabilities = Capabilities(body_limit_bytes=endpoint.chunk_bytes)
        self._on_warning = on_warning
        self._sender = Sender(endpoint, rate_limit, self.capabilities)
        factory = ClientFactory(endpoint, on_warning, on_protocol)
        self._pool = ClientPool(self._sender.origin, new_client or factory, self.capabilities, on_close=factory.close)
        self.refused = RefusedLogins() if refused is None else refused
        self._auth = AuthFlow(self._sender, self._pool, self.refused)
        self._throttle = Throttle(endpoint.connections, rate_limit, on_parallel)
        self.pull_limit = rate_limit.pull_limit

    def __repr__(self) -> str:
        """Return registry, side and number of idle clients."""
        return f"<Transport {self.endpoint.registry} ({self.endpoint.origin}), {self._pool.idle_count} idle clients>"

    @property
    def requests(self) -> Counter[str]:
        """Return how many requests were sent to the registry, by method."""
        return self._sender.requests

    @property
    def challenge(self) -> Challenge | None:
        """Return the registry's last challenge, None before the first."""
        return self._auth.authenticator.challenge

    def open_ahead(self, requests: int, *, is_certain: bool = False) -> None:
        """
        Open connections for *requests* parallel requests to come.

        Unless they are certain, only if the registry is far away.
        """
        # A connection to a distant registry costs up to three round trips.
        if is_certain or self.capabilities.is_far:
            self._pool.open_ahead(self._throttle.count_free(requests))

    def close(self) -> None:
        """Close every idle connection."""
        self._pool.close()

    def request(self, request: RegistryRequest, *, retry_policy: RetryPolicy) -> RegistryResponse:
        """
        Send *request*, retry transient errors, return the whole response.

        Raises:
            RegistryError: A status that is not accepted, no response, a body over the limit, or an unsafe redirect.
        """

        def send_once() -> RegistryResponse:
            with self._exchange(request, retry_policy=retry_policy) as (response, headers, url):
                body = read_body(response, request.limit_bytes, operation=request.operation)
                return RegistryResponse(response.status_code, headers, body, url)

        return retry_call(send_once, retry_policy, operation=request.operation.name, reference=request.operation.subject)

    @contextlib.contextmanager
    def stream(self, request: RegistryRequest, *, retry_policy: RetryPolicy) -> Iterator[StreamedResponse]:
        """
        Send *request* once and give the response with its body unread.

        The connection is held until the block ends.

        Raises:
            RegistryError: As `request`, also while chunks are read.
        """
        with self._exchange(request, retry_policy=retry_policy) as (response, headers, _):
            yield StreamedResponse(response.status_code, headers, iterate_chunks(response, request.operation))

    @contextlib.contextmanager
    def _exchange(self, request: RegistryRequest, *, retry_policy: RetryPolicy) -> Iterator[tuple[httpx.Response, dict[str, str], str]]:
        """Give the response, its headers as of `read_headers`, and its URL."""
        with self._throttle.slot(request, retry_policy.check) as slot, self._pool.borrow(retry_policy.check) as client:
            response, url = self._auth.send(client, request, retry_policy=retry_policy)
            headers = read_headers(response)
            if "warning" in headers:
                for text in read_warnings(response.headers, clean=self.endpoint.redaction.clean):
                    self._on_warning(text)
            try:
                # What another host answers, such as a store of blobs, says nothing about the registry.
                seconds = response.extensions.get(RESPONSE_SECONDS) if self._sender.is_own(url) else None
                self._throttle.note_response(request, response.status_code, slot, seconds=seconds)
                if response.status_code not in request.accept_statuses:
                    raise self._refusal(request, response, url)
                yield response, headers, url
            finally:
                close_response(response)

    def _refusal(self, request: RegistryRequest, response: httpx.Response, url: str) -> ImgsyncError:
        # Few runs are refused anything; docs/decisions/0006.
        from imgsync.oci.refused_response import make_refusal

        error = make_refusal(request, response, url, is_own=self.endpoint.is_own(url), authenticator=self._auth.authenticator, pull_limit=self.pull_limit)
        if isinstance(error, RegistryError):
            self._throttle.note_error(error)
        return error
