"""Authorise requests and respond to challenges."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import replace

from imgsync.errors import AuthenticationError, LimitReachedError, RateLimitedError, RegistryError, TokenRefusedError, UnreachableError
from imgsync.oci.auth.authenticator import Authenticator, TokenResponse
from imgsync.oci.auth.refused_logins import RefusedLogins
from imgsync.oci.client_pool import ClientPool
from imgsync.oci.errors import Operation, make_status_error
from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.client import HttpClient
from imgsync.oci.http.request import BODY_UNSENT, Request
from imgsync.oci.http.url import parse_url
from imgsync.oci.limits.rate_limit import RateLimit
from imgsync.oci.limits.retry import MAX_WAIT_SECONDS, RetryPolicy
from imgsync.oci.messages import DEFAULT_LIMIT_BYTES, RegistryRequest
from imgsync.oci.responses import HTTP_ERRORS, drain, read_body, read_headers, translate_error
from imgsync.oci.sender import USER_AGENT, Sender, check_silence

_TOKEN_SECONDS = 30.0
_EXPECTATION_FAILED = 417
_BODY_HEADERS = {b"content-encoding", b"content-length", b"transfer-encoding"}


class AuthFlow:
    """Authorises the requests of one endpoint."""

    def __init__(self, sender: Sender, pool: ClientPool, refused: RefusedLogins) -> None:
        """
        Begin without a token.

        Args:
            sender: Sends the requests.
            pool: The clients for token requests.
            refused: The logins that the registry refused, of both sides.
        """
        self._sender = sender
        self._pool = pool
        self.authenticator = Authenticator(sender.endpoint, self._ask_token_server, refused)
        self._token_limits: dict[str, RateLimit] = {}

    def send(self, client: HttpClient, request: RegistryRequest, *, retry_policy: RetryPolicy) -> tuple[httpx.Response, str]:
        """
        Send *request* authorised; return the response and its URL.

        Raises:
            RegistryError: No response, no token, or the body cannot be sent again.
        """
        if request.auth_headers is not None:
            return self._sender.send(client, request, None, retry_policy=retry_policy)
        header, response, url = self._send_with_login(client, request, retry_policy)
        if response.status_code == _EXPECTATION_FAILED and BODY_UNSENT in response.extensions:
            drain(response)
            request = replace(request, expect_continue=False)
            response, url = self._send_as(client, request, header, retry_policy)
        is_replayable = request.body is None or isinstance(request.body, bytes) or BODY_UNSENT in response.extensions
        if response.status_code != 401 or not self._sender.is_own(url):
            return response, url
        # Buffered: the client is needed for the next request, and the text for an error.
        response = _buffer(response, request.operation)
        if not self._learn_challenge(client, request, response, header, retry_policy):
            return response, url
        if not is_replayable:
            error = request.operation.make_error(TokenRefusedError, "the registry refused the token", status=401)
            raise self.authenticator.explain(error, request.scopes)
        header = self.authenticator.make_header(request.scopes, operation=request.operation, retry_policy=retry_policy)
        return self._send_as(client, request, header, retry_policy)

    def _send_with_login(self, client: HttpClient, request: RegistryRequest, retry_policy: RetryPolicy) -> tuple[str | None, httpx.Response, str]:
        """Send *request* with the login known now; return its header too."""
        header = self.authenticator.make_header(request.scopes, operation=request.operation, retry_policy=retry_policy)
        try:
            return header, *self._send_as(client, request, header, retry_policy)
        except AuthenticationError:
            # Not sent: the login expired, as another request has learnt meanwhile.
            if header is None or not self.authenticator.has_better_login(request.scopes, sent=header, operation=request.operation):
                raise
        header = self.authenticator.make_header(request.scopes, operation=request.operation, retry_policy=retry_policy)
        return header, *self._send_as(client, request, header, retry_policy)

    def _send_as(self, client: HttpClient, request: RegistryRequest, header: str | None, retry_policy: RetryPolicy) -> tuple[httpx.Response, str]:
        """Send *request* with *header*, and note whether its password is accepted."""
        with self.authenticator.try_header(header, request.operation):
            response, url = self._sender.send(client, request, header, retry_policy=retry_policy)
            if header is not None and self._sender.is_own(url):
                self.authenticator.note_answer(header, request.scopes, status=response.status_code, operation=request.operation)
            return response, url

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

    def _ask_token_server(self, operation: Operation, url: str, headers: Mapping[str, str], form: bytes | None, retry_policy: RetryPolicy) -> TokenResponse:
        """Send one request to a token server; redirects are not followed."""
        own = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"} | ({"Content-Type": "application/x-www-form-urlencoded"} if form else {})
        try:
            origin, host, target = parse_url(url)
            sent = tuple({**own, **headers}.items())
            limit = self._token_limits.setdefault(host, RateLimit(host, None))
            check_silence(limit.silence, operation)
            _wait_for(limit, operation, retry_policy)
            request = Request("POST" if form else "GET", origin, host, target, sent, form, timeout_seconds=_TOKEN_SECONDS, check=retry_policy.check_in_flight)
            began = time.monotonic()
            # On another client than the waiting request, so that tokens of several repositories are fetched in parallel.
            with self._pool.borrow() as client, contextlib.closing(client.send(request)) as response:
                limit.silence.note_answer(response.status_code)
                body = read_body(response, DEFAULT_LIMIT_BYTES, operation=operation)
                if response.status_code >= 500 or response.status_code == 429:
                    error = make_status_error(operation, response.status_code, headers=read_headers(response), body=self.authenticator.redact(body))
                    with contextlib.suppress(LimitReachedError):
                        limit.block_for(error.retry_after_seconds or 0.0)
                    raise error
                return TokenResponse(response.status_code, body)
        except HTTP_ERRORS as error:
            found = translate_error(operation, error)
            if isinstance(found, UnreachableError):
                limit.silence.note_failure(began)
            raise found from error


def _wait_for(limit: RateLimit, operation: Operation, retry_policy: RetryPolicy) -> None:
    """Wait until the token server may be asked again."""
    try:
        limit.wait(retry_policy.pause)
    except LimitReachedError as error:
        refusal = operation.make_error(RateLimitedError, error.message, status=429, hint=error.hint)
        refusal.retry_after_seconds = MAX_WAIT_SECONDS + 1
        raise refusal from error


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
