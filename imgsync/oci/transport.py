"""
Requests to one registry from one side: lanes, redirects, authorisation, and the one border where httpx's errors become ours.

A lane is a connection pool of its own that one caller holds at a time. Source and destination never share lanes, and no
caller waits inside httpx's pool, so nothing there can deadlock or starve. Spec: design.md §7.8.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import imgsync
from imgsync.errors import (
    AccessDeniedError,
    AuthenticationError,
    InsecureError,
    RateLimitedError,
    RegistryError,
    TokenRefusedError,
    UnexpectedResponseError,
    UnreachableError,
)
from imgsync.oci.auth.authenticator import Authenticator, TokenAnswer
from imgsync.oci.auth.challenge import Challenge
from imgsync.oci.capabilities import Capabilities
from imgsync.oci.endpoint import Endpoint
from imgsync.oci.errors import Operation, error_of
from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.client import HttpClient
from imgsync.oci.http.request import BODY_UNSENT, Request
from imgsync.oci.http.ssrf_guard import SsrfGuard
from imgsync.oci.http.url import Origin, has_credentials, origin_of, parse_url
from imgsync.oci.limits.adaptive_limit import AdaptiveLimit
from imgsync.oci.limits.rate_limit import RateLimit
from imgsync.oci.limits.retry import MAX_REFUSALS, RetryPolicy, retry_call
from imgsync.oci.messages import LARGEST_ANSWER_BYTES, Answer, Call, StreamedAnswer
from imgsync.oci.responses import FOREIGN_ERRORS, drain, headers_of, led_to, read_body, translated, unanswered, warnings_of

if TYPE_CHECKING:
    from imgsync.oci.http.proxy_client import ProxyHttpClient

_REDIRECT_LIMIT = 5
_CONNECT_SECONDS = 10.0
_TOKEN_SECONDS = 30.0
# How many times longer than anywhere else a registry may be silent that has all of a blob: some copy it to where it stays first.
_COMMIT_FACTOR = 10
_FIRST_THROTTLED_SECONDS = 0.25
_THROTTLED_SECONDS = 1.0
_TOO_MUCH = {429, 503}
_PULL_LIMIT = "pull rate limit"
_EXPECTATION_FAILED = 417
_LEAD_REFUSED = {400, 401, 403}
_REDIRECTS = {301, 302, 303, 307, 308}
_USER_AGENT = f"imgsync/{imgsync.__version__}"


class Transport:
    """Every request to one registry from one side. `requests` counts those sent to the registry, by method."""

    def __init__(self, endpoint: Endpoint, rate_limit: RateLimit, *, on_warning: Callable[[str], None]) -> None:
        """Begin with no connection open; *rate_limit* is the registry's, shared by both sides; *on_warning* hears of each `Warning` that it sends."""
        self.endpoint = endpoint
        self._on_warning = on_warning
        self.requests: Counter[str] = Counter()
        self.capabilities = Capabilities(body_limit_bytes=endpoint.chunk_bytes)
        self._rate_limit = rate_limit
        self.pull_limit = rate_limit.pull_limit
        self._auth = Authenticator(endpoint, self._ask_token_server)
        self._limit = AdaptiveLimit(endpoint.connections)
        # How often in a row it said that it is asked too much; one that never said anything else is not waited for.
        self._refusals = MAX_REFUSALS
        self._idle: list[HttpClient | ProxyHttpClient] = []
        self._opening = 0
        self._origin, self._host, path = parse_url(endpoint.url)
        self._path = path.rstrip("/")
        own = [origin_of(endpoint.led_by or endpoint.url)[1:]]
        if endpoint.token_server:
            own.append(origin_of(endpoint.token_server)[1:])
        self._guard = SsrfGuard(own)

    def __repr__(self) -> str:
        """Say which registry, which side, and how many lanes are idle."""
        return f"<Transport {self.endpoint.registry} ({self.endpoint.origin}), {len(self._idle)} idle lanes>"

    def expect(self, requests: int) -> None:
        """Open connections for so many requests at once before they are needed, where the way to the registry is long: each costs a round trip or three."""
        if not self.capabilities.is_far:
            return
        missing = max(0, min(requests, self._limit.allowed) - self._limit.running - len(self._idle) - self._opening)
        # All counted before the first begins: others ask meanwhile.
        self._opening += missing
        for _ in range(missing):
            threading.Thread(target=self._open_ahead, daemon=True).start()

    def _open_ahead(self) -> None:
        lane = self._new_lane()
        try:
            lane.connect(self._origin, _CONNECT_SECONDS)
        except FOREIGN_ERRORS:
            # Whoever needs a connection will try again, and tell.
            lane.close()
        else:
            self._idle.append(lane)
        finally:
            self._opening -= 1

    @property
    def challenge(self) -> Challenge | None:
        """Return how the registry asked who we are, None before it did."""
        return self._auth.challenge

    def close(self) -> None:
        """Close every idle connection."""
        while self._idle:
            self._idle.pop().close()

    def request(self, call: Call, *, retry_policy: RetryPolicy) -> Answer:
        """
        Send *call*, its body bytes or nothing, and return the whole answer; transient errors are tried again.

        Raises:
            RegistryError: Any status not accepted, no answer, a body over the limit, or a lead not to be followed.
        """

        def once() -> Answer:
            with self._exchange(call, retry_policy=retry_policy) as (response, url):
                body = read_body(response, call.limit_bytes, operation=call.operation)
                return Answer(response.status_code, headers_of(response), body, url)

        return retry_call(once, retry_policy, operation=call.operation.name, reference=call.operation.reference)

    @contextlib.contextmanager
    def stream(self, call: Call, *, retry_policy: RetryPolicy) -> Iterator[StreamedAnswer]:
        """
        Send *call* once and give the answer with its body unread; the lane is held until the block ends.

        Raises:
            RegistryError: As `request`, also out of the chunks.
        """
        with self._exchange(call, retry_policy=retry_policy) as (response, _):
            yield StreamedAnswer(response.status_code, headers_of(response), translated(response.iter_raw(), call.operation))

    @contextlib.contextmanager
    def _exchange(self, call: Call, *, retry_policy: RetryPolicy) -> Iterator[tuple[httpx.Response, str]]:
        with self._limit.slot(retry_policy.check) as slot, self._counted(call, retry_policy), self._lane() as lane:
            response, url = self._authorised(lane, call, retry_policy=retry_policy)
            for text in warnings_of(response.headers):
                self._on_warning(text)
            try:
                if response.status_code in _TOO_MUCH:
                    self._limit.decrease(slot)
                    self._refusals += 1
                else:
                    self._limit.increase()
                    self._refusals = 0
                if response.status_code not in call.accept:
                    raise self._refused(call, response, url)
                yield response, url
            finally:
                response.close()

    @contextlib.contextmanager
    def _counted(self, call: Call, retry_policy: RetryPolicy) -> Iterator[None]:
        """Take one of the pulls left for a call that may be counted as one."""
        if not call.pulls:
            yield
            return
        self.pull_limit.acquire(retry_policy.check)
        try:
            yield
        finally:
            self.pull_limit.release()

    @contextlib.contextmanager
    def _lane(self) -> Iterator[HttpClient | ProxyHttpClient]:
        # Last in, first out: warm connections are used again, cold ones stay few.
        lane = self._idle.pop() if self._idle else self._new_lane()
        try:
            yield lane
        except Exception:
            self._idle.append(lane)
            raise
        except BaseException:
            # Torn out of httpx: whatever state its pool is in, nobody else shall meet it.
            lane.close()
            raise
        else:
            self._idle.append(lane)

    def _authorised(self, lane: HttpClient | ProxyHttpClient, call: Call, *, retry_policy: RetryPolicy) -> tuple[httpx.Response, str]:
        if call.secrets is not None:
            return self._followed(lane, call, None, retry_policy=retry_policy)
        header = self._auth.header(call.scopes, operation=call.operation, retry_policy=retry_policy)
        response, url = self._followed(lane, call, header, retry_policy=retry_policy)
        if response.status_code == _EXPECTATION_FAILED and BODY_UNSENT in response.extensions:
            drain(response)
            call = replace(call, expects=False)
            response, url = self._followed(lane, call, header, retry_policy=retry_policy)
        replayable = call.body is None or isinstance(call.body, bytes) or BODY_UNSENT in response.extensions
        if response.status_code != 401 or origin_of(url) != self._origin:
            return response, url
        # Kept in memory: the lane is needed for what follows, and the words if nothing does.
        response = self._kept(response, call.operation)
        challenges = response.headers.get_list("www-authenticate")
        if not any(challenges) and self._auth.challenge is None:
            challenges = self._challenges_at_root(lane, call, retry_policy)
        if not self._auth.challenged(challenges, call.scopes, sent=header, operation=call.operation):
            return response, url
        if not replayable:
            raise self._auth.explain(call.operation.failed(TokenRefusedError, "the token was refused", status=401), call.scopes)
        header = self._auth.header(call.scopes, operation=call.operation, retry_policy=retry_policy)
        return self._followed(lane, call, header, retry_policy=retry_policy)

    def _kept(self, response: httpx.Response, operation: Operation) -> httpx.Response:
        """Return *response* with its body read, as far as it can be and is short."""
        body = b""
        try:
            with contextlib.suppress(RegistryError):
                body = read_body(response, LARGEST_ANSWER_BYTES, operation=operation, cut=True)
        finally:
            response.close()
        headers = [(name, value) for name, value in response.headers.raw if name.lower() not in {b"content-encoding", b"content-length", b"transfer-encoding"}]
        return httpx.Response(response.status_code, headers=headers, stream=httpx.ByteStream(body))

    def _challenges_at_root(self, lane: HttpClient | ProxyHttpClient, call: Call, retry_policy: RetryPolicy) -> list[str]:
        """Ask `GET /v2/` for the challenge that a 401 came without."""
        response = self._send(lane, Call(call.operation, "GET", "/v2/"), f"{self.endpoint.url}/v2/", None, retry_policy=retry_policy)
        drain(response)
        return response.headers.get_list("www-authenticate") if response.status_code == 401 else []

    def _followed(self, lane: HttpClient | ProxyHttpClient, call: Call, authorization: str | None, *, retry_policy: RetryPolicy) -> tuple[httpx.Response, str]:
        url = call.target if "://" in call.target else self.endpoint.url + call.target
        for _ in range(_REDIRECT_LIMIT + 1):
            response = self._send(lane, call, url, authorization, retry_policy=retry_policy)
            if response.status_code not in _REDIRECTS or response.status_code in call.accept:
                return response, url
            location = response.headers.get("location")
            if not location:
                return response, url
            drain(response)
            url = self._next_url(call, url, location)
        raise call.operation.failed(UnexpectedResponseError, f"more than {_REDIRECT_LIMIT} redirects")

    def _next_url(self, call: Call, url: str, location: str) -> str:
        if call.method not in {"GET", "HEAD"}:
            raise call.operation.failed(UnexpectedResponseError, "the registry redirects a write, which is not followed")
        target = led_to(location, base=url, operation=call.operation)
        if has_credentials(target) or (target.startswith("http:") and url.startswith("https:")):
            raise call.operation.failed(
                InsecureError, "the registry redirects to where it is not safe to follow", hint="redirects must stay on https and hold no credentials"
            )
        return target

    def _send(self, lane: HttpClient | ProxyHttpClient, call: Call, url: str, authorization: str | None, *, retry_policy: RetryPolicy) -> httpx.Response:
        self._rate_limit.wait(retry_policy.pause)
        headers = {"User-Agent": _USER_AGENT, "Accept-Encoding": "identity", "Accept": "*/*", **call.headers}
        try:
            origin, host, target = self._parts_of(url)
        except httpx.InvalidURL as error:
            raise unanswered(call.operation, error) from error
        if origin == self._origin:
            self.requests[call.method] += 1
            headers.update(call.secrets or {})
            if authorization is not None:
                headers["Authorization"] = authorization
        request = Request(
            call.method,
            origin,
            host,
            target,
            tuple(headers.items()),
            call.body,
            call.length_bytes,
            call.expects,
            timeout_seconds=retry_policy.request_seconds,
            connect_timeout_seconds=min(_CONNECT_SECONDS, retry_policy.request_seconds),
            response_timeout_seconds=retry_policy.request_seconds * (_COMMIT_FACTOR if call.commits else 1),
        )
        left = self.pull_limit.quota
        began = time.monotonic()
        try:
            response = lane.send(request)
        except FOREIGN_ERRORS as error:
            raise unanswered(call.operation, error) from error
        if call.body is None:
            self.capabilities.learn_round_trip(time.monotonic() - began)
        if "/manifests/" in url and response.status_code != 401:
            self.pull_limit.update(headers_of(response), before=left)
        return response

    def _parts_of(self, url: str) -> tuple[Origin, str, str]:
        """Return origin, Host header and target of *url*, as `parse_url`; the registry's own, which most are, without taking it apart."""
        own = self.endpoint.url
        if url.startswith(own):
            target = url[len(own) :]
            if target.startswith("/") and target.isascii() and target.isprintable() and " " not in target and "#" not in target:
                return self._origin, self._host, self._path + target
        return parse_url(url)

    def _refused(self, call: Call, response: httpx.Response, url: str) -> RegistryError:
        origin = origin_of(url)
        elsewhere = origin != self._origin
        if elsewhere and response.status_code in _LEAD_REFUSED and "/blobs/" in call.target:
            # Signed addresses expire; asked again, the registry names another.
            detail = f"{origin[1]}, to which the registry sent us, refuses"
            return call.operation.failed(UnreachableError, detail, status=response.status_code, hint="the address that the registry gave may have expired")
        body = b""
        with contextlib.suppress(RegistryError):
            body = read_body(response, LARGEST_ANSWER_BYTES, operation=call.operation, cut=True)
        error = error_of(call.operation, response.status_code, headers=headers_of(response), body=self._auth.conceal(body))
        if call.pulls and isinstance(error, RateLimitedError) and _PULL_LIMIT in error.detail:
            # Unlike a registry that is asked too fast, this one will say no for hours.
            raise self.pull_limit.exhaust()
        if elsewhere and isinstance(error, AuthenticationError | AccessDeniedError):
            error.hint = f"it was {origin[1]}, to which the registry sent us, that refuses; it was not told who we are"
        elif isinstance(error, AuthenticationError):
            return self._auth.explain(error, call.scopes)
        if isinstance(error, RateLimitedError):
            error.in_turn = self._refusals < MAX_REFUSALS
        if isinstance(error, RateLimitedError) or error.retry_after_seconds is not None:
            asked = self._throttled_seconds() if error.retry_after_seconds is None else error.retry_after_seconds
            self._rate_limit.block_for(asked)
        return error

    def _throttled_seconds(self) -> float:
        """Return how long nobody asks a registry that says 429 and not until when: longer with each that follows another."""
        return float(min(_THROTTLED_SECONDS, _FIRST_THROTTLED_SECONDS * 2 ** (self._refusals - 1)))

    def _new_lane(self) -> HttpClient | ProxyHttpClient:
        return new_lane(self.endpoint, self._guard)

    def _ask_token_server(self, operation: Operation, url: str, headers: Mapping[str, str], form: bytes | None) -> TokenAnswer:
        """Ask a token server once; redirects are not followed, so an answer is the named server's own."""
        own = {"User-Agent": _USER_AGENT, "Accept-Encoding": "identity"} | ({"Content-Type": "application/x-www-form-urlencoded"} if form else {})
        try:
            origin, host, target = parse_url(url)
            request = Request("POST" if form else "GET", origin, host, target, tuple({**own, **headers}.items()), form, timeout_seconds=_TOKEN_SECONDS)
            # On a lane beside the one that waits for the token: several repositories' tokens are asked for at once.
            with self._lane() as lane, contextlib.closing(lane.send(request)) as response:
                body = read_body(response, LARGEST_ANSWER_BYTES, operation=operation)
                if response.status_code >= 500 or response.status_code == 429:
                    raise error_of(operation, response.status_code, headers=headers_of(response), body=self._auth.conceal(body))
                return TokenAnswer(response.status_code, body)
        except FOREIGN_ERRORS as error:
            raise unanswered(operation, error) from error


def new_lane(endpoint: Endpoint, guard: SsrfGuard) -> HttpClient | ProxyHttpClient:
    """Return a transport for one request at a time, with two connections: the registry's, and one to where it keeps its blobs."""
    if endpoint.proxy is None:
        return HttpClient(endpoint.context, guard)
    from imgsync.oci.http.proxy_client import ProxyHttpClient

    return ProxyHttpClient(endpoint.context(), endpoint.proxy)
