"""Authorise requests and respond to challenges."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace

from imgsync.errors import RegistryError, TokenRefusedError
from imgsync.oci.auth.authenticator import Authenticator, TokenResponse
from imgsync.oci.client_pool import ClientPool
from imgsync.oci.errors import Operation, make_status_error
from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.client import HttpClient
from imgsync.oci.http.request import BODY_UNSENT, Request
from imgsync.oci.http.url import origin_of, parse_url
from imgsync.oci.limits.retry import RetryPolicy
from imgsync.oci.messages import DEFAULT_LIMIT_BYTES, RegistryRequest
from imgsync.oci.responses import HTTP_ERRORS, drain, read_body, read_headers, translate_error
from imgsync.oci.sender import USER_AGENT, Sender

_TOKEN_SECONDS = 30.0
_EXPECTATION_FAILED = 417
_BODY_HEADERS = {b"content-encoding", b"content-length", b"transfer-encoding"}


class AuthFlow:
    """Authorises the requests of one endpoint."""

    def __init__(self, sender: Sender, pool: ClientPool) -> None:
        """Send requests by *sender*, and token requests on clients of *pool*."""
        self._sender = sender
        self._pool = pool
        self.authenticator = Authenticator(sender.endpoint, self._ask_token_server)

    def send(self, client: HttpClient, request: RegistryRequest, *, retry_policy: RetryPolicy) -> tuple[httpx.Response, str]:
        """
        Send *request* authorised; return the response and its URL.

        Raises:
            RegistryError: No response, no token, or the body cannot be sent again.
        """
        if request.auth_headers is not None:
            return self._sender.send(client, request, None, retry_policy=retry_policy)
        header = self.authenticator.make_header(request.scopes, operation=request.operation, retry_policy=retry_policy)
        response, url = self._sender.send(client, request, header, retry_policy=retry_policy)
        if response.status_code == _EXPECTATION_FAILED and BODY_UNSENT in response.extensions:
            drain(response)
            request = replace(request, expect_continue=False)
            response, url = self._sender.send(client, request, header, retry_policy=retry_policy)
        is_replayable = request.body is None or isinstance(request.body, bytes) or BODY_UNSENT in response.extensions
        if response.status_code != 401 or origin_of(url) != self._sender.origin:
            return response, url
        # Buffered: the client is needed for the next request, and the text for an error.
        response = _buffer(response, request.operation)
        if not self._learn_challenge(client, request, response, header, retry_policy):
            return response, url
        if not is_replayable:
            error = request.operation.make_error(TokenRefusedError, "the registry refused the token", status=401)
            raise self.authenticator.explain(error, request.scopes)
        header = self.authenticator.make_header(request.scopes, operation=request.operation, retry_policy=retry_policy)
        return self._sender.send(client, request, header, retry_policy=retry_policy)

    def _learn_challenge(self, client: HttpClient, request: RegistryRequest, response: httpx.Response, sent: str | None, retry_policy: RetryPolicy) -> bool:
        """Note the challenge of a 401; return whether sending again can help."""
        challenges = response.headers.get_list("www-authenticate")
        if not any(challenges) and self.authenticator.challenge is None:
            challenges = self._fetch_root_challenge(client, request.operation, retry_policy)
        return self.authenticator.learn_challenge(challenges, request.scopes, sent=sent, operation=request.operation)

    def _fetch_root_challenge(self, client: HttpClient, operation: Operation, retry_policy: RetryPolicy) -> list[str]:
        """Return the challenges of `GET /v2/`."""
        # gcr.io sends some 401s without a challenge.
        request = RegistryRequest(operation, "GET", "/v2/")
        response = self._sender.send_once(client, request, f"{self._sender.endpoint.url}/v2/", None, retry_policy=retry_policy)
        drain(response)
        return response.headers.get_list("www-authenticate") if response.status_code == 401 else []

    def _ask_token_server(self, operation: Operation, url: str, headers: Mapping[str, str], form: bytes | None, check: Callable[[], None]) -> TokenResponse:
        """Send one request to a token server; redirects are not followed."""
        own = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"} | ({"Content-Type": "application/x-www-form-urlencoded"} if form else {})
        try:
            origin, host, target = parse_url(url)
            sent = tuple({**own, **headers}.items())
            request = Request("POST" if form else "GET", origin, host, target, sent, form, timeout_seconds=_TOKEN_SECONDS, check=check)
            # On another client than the waiting request, so that tokens of several repositories are fetched in parallel.
            with self._pool.borrow() as client, contextlib.closing(client.send(request)) as response:
                body = read_body(response, DEFAULT_LIMIT_BYTES, operation=operation)
                if response.status_code >= 500 or response.status_code == 429:
                    raise make_status_error(operation, response.status_code, headers=read_headers(response), body=self.authenticator.redact(body))
                return TokenResponse(response.status_code, body)
        except HTTP_ERRORS as error:
            raise translate_error(operation, error) from error


def _buffer(response: httpx.Response, operation: Operation) -> httpx.Response:
    """Return *response* with its truncated body in memory."""
    body = b""
    try:
        with contextlib.suppress(RegistryError):
            body = read_body(response, DEFAULT_LIMIT_BYTES, operation=operation, truncate=True)
    finally:
        response.close()
    headers = [(name, value) for name, value in response.headers.raw if name.lower() not in _BODY_HEADERS]
    return httpx.Response(response.status_code, headers=headers, stream=httpx.ByteStream(body))
