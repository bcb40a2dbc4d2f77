"""
Send requests to a registry and follow redirects.

Every request is counted and paced here. Credentials go to the registry's own origin only.
"""

from __future__ import annotations

import time
from collections import Counter

import imgsync
from imgsync.errors import UnexpectedResponseError, UnreachableError
from imgsync.oci.capabilities import Capabilities
from imgsync.oci.client_pool import CONNECT_SECONDS
from imgsync.oci.endpoint import Endpoint
from imgsync.oci.errors import Operation
from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.client import HttpClient
from imgsync.oci.http.request import Request
from imgsync.oci.http.url import Origin, is_sendable, parse_url
from imgsync.oci.limits.rate_limit import RateLimit
from imgsync.oci.limits.retry import RetryPolicy
from imgsync.oci.limits.silence import Silence
from imgsync.oci.messages import RegistryRequest
from imgsync.oci.redirects import check_redirect
from imgsync.oci.responses import HTTP_ERRORS, drain, read_headers, translate_error

USER_AGENT = f"imgsync/{imgsync.__version__}"
_HEADERS = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", "Accept": "*/*"}
_READING_METHODS = {"GET", "HEAD"}
_REDIRECT_LIMIT = 5
_REDIRECTS = {301, 302, 303, 307, 308}
# A server for TLS may close the connection without a word.
_TLS_HINT = "if the registry uses TLS, remove `tls: false` of this registry from registries.yaml"
# Some registries copy a whole blob to its final storage before they answer the request that closes its upload.
_COMMIT_FACTOR = 10
# A larger body gets a connection of its own: a line may limit each connection, and it would hold up the requests that share one.
_SHARED_BYTES = 256 << 10


class Sender:
    """Sends the requests of one endpoint, and counts them by method."""

    def __init__(self, endpoint: Endpoint, rate_limit: RateLimit, capabilities: Capabilities) -> None:
        """Send at *rate_limit* and note round trips in *capabilities*."""
        self.endpoint = endpoint
        self.requests: Counter[str] = Counter()
        self._url = endpoint.url
        self._own_prefix = f"{self._url}/"
        self.origin, self._host, path = parse_url(self._url)
        self._path = path.rstrip("/")
        self._rate_limit = rate_limit
        self._pull_limit = rate_limit.pull_limit
        self._capabilities = capabilities
        self._has_answered = False

    def is_own(self, url: str) -> bool:
        """Return whether *url* is on this endpoint, by any of its names."""
        return url.startswith(self._own_prefix) or self.endpoint.is_own(url)

    def send(self, client: HttpClient, request: RegistryRequest, authorization: str | None, *, retry_policy: RetryPolicy) -> tuple[httpx.Response, str]:
        """
        Send *request*, follow redirects, and return the response and its URL.

        Raises:
            RegistryError: No response, too many redirects, or an unsafe one.
        """
        url = request.target if "://" in request.target else self._url + request.target
        for _ in range(_REDIRECT_LIMIT + 1):
            response = self.send_once(client, request, url, authorization, retry_policy=retry_policy)
            if response.status_code not in _REDIRECTS or response.status_code in request.accept_statuses:
                return response, url
            location = response.headers.get("location")
            if not location:
                return response, url
            drain(response)
            url = check_redirect(request, url, location)
        raise request.operation.make_error(UnexpectedResponseError, f"more than {_REDIRECT_LIMIT} redirects")

    def send_once(self, client: HttpClient, request: RegistryRequest, url: str, authorization: str | None, *, retry_policy: RetryPolicy) -> httpx.Response:
        """Send *request* to *url* and return any response."""
        silence = self._rate_limit.silence
        check_silence(silence, request.operation)
        self._rate_limit.wait(retry_policy.pause)
        http_request = self._build(request, url, authorization, retry_policy=retry_policy)
        quota = self._pull_limit.quota
        started = time.monotonic()
        try:
            response = client.send(http_request)
        except HTTP_ERRORS as error:
            found = translate_error(request.operation, error)
            if self.endpoint.plain_http and not self._has_answered:
                found.hint = found.hint or _TLS_HINT
            # Another host, such as a store of blobs, says nothing about the registry.
            if isinstance(found, UnreachableError) and self.is_own(url):
                silence.note_failure(started)
            raise found from error
        self._has_answered = True
        if self.is_own(url):
            silence.note_answer(response.status_code)
        if request.body is None:
            self._capabilities.learn_round_trip(time.monotonic() - started)
        if "/manifests/" in url and response.status_code != 401:
            self._pull_limit.update(read_headers(response), before=quota)
        return response

    def _build(self, request: RegistryRequest, url: str, authorization: str | None, *, retry_policy: RetryPolicy) -> Request:
        request_seconds = retry_policy.request_seconds
        headers = {**_HEADERS, **request.headers}
        try:
            origin, host, target = self._split_url(url)
        except httpx.InvalidURL as error:
            raise translate_error(request.operation, error) from error
        if origin == self.origin or self.is_own(url):
            self.requests[request.method] += 1
            headers.update(request.auth_headers or {})
            if authorization is not None:
                headers["Authorization"] = authorization
        return Request(
            request.method,
            origin,
            host,
            target,
            tuple(headers.items()),
            request.body,
            request.length_bytes,
            request.moved_bytes > _SHARED_BYTES,
            request.expect_continue,
            timeout_seconds=request_seconds,
            connect_timeout_seconds=min(CONNECT_SECONDS, request_seconds),
            response_timeout_seconds=request_seconds * (_COMMIT_FACTOR if request.closes_upload else 1),
            check=retry_policy.check_in_flight,
            before_send=None if request.method in _READING_METHODS else self.endpoint.check_write,
        )

    def _split_url(self, url: str) -> tuple[Origin, str, str]:
        """Return origin, Host header and target of *url*."""
        # Nearly every URL is the registry's own, which needs no parsing.
        if url.startswith(self._url):
            target = url[len(self._url) :]
            if target.startswith("/") and "#" not in target and is_sendable(target):
                return self.origin, self._host, self._path + target
        return parse_url(url)


def check_silence(silence: Silence, operation: Operation) -> None:
    """
    Return if a server may be asked.

    Raises:
        UnreachableError: It has served nothing for long; repeating the request does not help.
    """
    if reason := silence.explain():
        error = operation.make_error(UnreachableError, reason)
        error.retries_exhausted = True
        raise error
