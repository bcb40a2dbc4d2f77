"""
Connect imgsync's registry client to a registry whose answers are one text.

Only the HTTP client is replaced. Redirects, challenges, tokens, bodies and errors are handled by the real code.

An answer is a status, header lines, an empty line and a body, and a line `===` separates it from the next one. Any bytes are read as some answers, so
that few inputs are wasted. After the last answer, every request fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from imgsync.errors import StoppedError
from imgsync.listing.json_api import ApiSession, JsonApi
from imgsync.oci.endpoint import Credentials, DeclaredCredentials, Endpoint
from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.request import Request
from imgsync.oci.limits.rate_limit import RateLimit
from imgsync.oci.limits.retry import RetryPolicy
from imgsync.oci.registry_store import RegistryStore
from imgsync.oci.transport import Transport

LOGIN = Credentials("me", "canary-SECRET", "registries.yaml")
# The hosts that may receive the login of a registry, including their subdomains.
_MAY_KNOW = {
    "r.corp.com": {"corp.com"},
    "docker.io": {"registry-1.docker.io", "auth.docker.io", "hub.docker.com", "docker.io"},
    "ghcr.io": {"ghcr.io", "api.github.com"},
}
_BETWEEN = re.compile(rb"\r?\n===\r?\n")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_PIECE = 61
_ANSWERS_LIMIT = 60


class NoWaiting(RetryPolicy):
    """A retry policy with two attempts and without pauses."""

    def pause(self, seconds: float) -> None:
        """Stop the request if it would have to wait."""
        if seconds > 0:
            raise StoppedError("the request would have to wait")


class CannedHttpClient:
    """An HTTP client that returns the given answers and checks every request."""

    def __init__(self, answers: Iterator[bytes], registry: str) -> None:
        """Answer for *registry* and for every host that it leads to."""
        self._answers = answers
        self._may_know = _MAY_KNOW[registry]

    def send(self, request: Request) -> httpx.Response:
        """
        Return the next answer.

        Fails if the request sends the login to an untrusted host or without TLS.
        """
        assert request.target.startswith("/")
        assert request.target.isascii()
        assert request.target.isprintable()
        scheme, host, _ = request.origin
        body = request.body if isinstance(request.body, bytes) else b"".join(request.body or ())
        sent = " ".join([request.target, request.host, *map(": ".join, request.headers), body.decode("latin-1")])
        if "SECRET" in sent or "authorization" in {name.lower() for name, _ in request.headers}:
            assert scheme == "https", f"the login is sent without TLS to {host}"
            name = host.removesuffix(".")
            assert any(name == known or name.endswith(f".{known}") for known in self._may_know), f"the login is sent to the untrusted host {host}"
        answer = next(self._answers, None)
        if answer is None:
            raise httpx.ConnectError("there are no more answers")
        return _response(answer)

    def connect(self, *_: object) -> None:
        """Do nothing, because no connection is opened."""

    def close(self) -> None:
        """Do nothing, because no connection is open."""


class _Body(httpx.SyncByteStream):
    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        for begin in range(0, len(self._content), _PIECE):
            yield self._content[begin : begin + _PIECE]
        if self._content.endswith(b"\n!"):
            raise httpx.ReadError("the connection broke")


class Canned:
    """One registry and its APIs, whose answers come from one text."""

    def __init__(self, text: bytes, *, registry: str = "r.corp.com", origin: str = "source") -> None:
        """Answer every request with the next answer of *text*."""
        self.registry = registry
        self._origin = origin
        self._http = CannedHttpClient(iter(_BETWEEN.split(text)[:_ANSWERS_LIMIT]), registry)
        self._retry_policy = NoWaiting(attempts=2, interval_seconds=0)
        self.client = RegistryStore(self._transport(""), self._retry_policy)

    def api(self, url: str) -> JsonApi:
        """Return the registry's API at *url*; "" means the registry's own host."""
        return JsonApi(ApiSession(self._transport(url), urlsplit(self.client.transport.endpoint.url).hostname or "", lambda _: None), self._retry_policy)

    def _transport(self, url: str) -> Transport:
        endpoint = Endpoint(self.registry, self._origin, tls_context=_no_context, credentials=DeclaredCredentials(LOGIN), base_url=url)
        return Transport(endpoint, RateLimit(endpoint.registry, None), on_warning=lambda _: None, new_client=lambda: self._http)


def _no_context(_: object) -> None:  # type: ignore[misc]
    raise AssertionError("no connection is opened, so no TLS context is needed")


def _response(answer: bytes) -> httpx.Response:
    head, _, body = answer.replace(b"\r\n", b"\n", 40).partition(b"\n\n")
    status, *lines = head.split(b"\n")
    number = int(status) if re.fullmatch(rb"[2-9][0-9][0-9]", status) else 200
    headers = [found.groups() for line in lines if (found := _HEADER.fullmatch(line))]
    return httpx.Response(number, headers=headers, stream=_Body(body))
