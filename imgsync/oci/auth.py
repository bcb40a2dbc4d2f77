"""
Who we are to a registry: challenge → token → header.

Spec: distribution "Token Authentication Specification"; design.md §2 `token_server`. Credentials go to a token server on the
registry's own host or site, to a known pair, or to the one the operator named; to no other.
"""

from __future__ import annotations

import base64
import datetime as dt
import functools
import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from publicsuffixlist import PublicSuffixList

from imgsync.errors import AuthenticationError, InsecureError, RegistryError, UnexpectedResponseError
from imgsync.oci.challenge import Challenge, parse_challenges
from imgsync.oci.endpoint import Endpoint
from imgsync.oci.errors import Operation
from imgsync.oci.retry import Patience, retry_call

# (registry's site, token server's host): pairs, never a list of hosts trusted by everybody.
_KNOWN_PAIRS = {("docker.io", "auth.docker.io"), ("registry.gitlab.com", "gitlab.com"), ("nvcr.io", "authn.nvidia.com")}
_DEFAULT_LIFE_SECONDS = 60.0
_LONGEST_LIFE_SECONDS = 3600.0
_USED_SHARE = 0.8
_TOKEN_LIMIT = 64 << 10


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """What a token server answered: the status and at most 64 KiB of body."""

    status: int
    body: bytes


# (operation, url, headers) -> answer; one try, no redirects.
AskTokenServer = Callable[[Operation, str, Mapping[str, str]], TokenAnswer]


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    scopes: frozenset[str]
    ends: float


class Authenticator:
    """The tokens of one endpoint. Each is asked for once, however many callers need it, and reused while it lives."""

    def __init__(self, endpoint: Endpoint, ask: AskTokenServer) -> None:
        """Begin with no challenge seen; *ask* sends one request to a token server."""
        self._endpoint = endpoint
        self._ask = ask
        self._challenge: Challenge | None = None
        self._tokens: list[_Token] = []
        self._lock = threading.Lock()

    def header(self, scopes: Iterable[str], *, operation: Operation, patience: Patience) -> str | None:
        """
        Return the Authorization header for *scopes*, None before the registry ever asked for one.

        Raises:
            AuthenticationError: The token server refuses.
            InsecureError: The token server must not be given our credentials.
        """
        if self._challenge is None:
            return None
        if self._challenge.scheme == "basic":
            return self._basic()
        return f"Bearer {self._token(frozenset(scopes), operation=operation, patience=patience)}"

    def challenged(self, headers: Iterable[str], *, sent: str | None, operation: Operation) -> bool:
        """Take note of a 401's challenges; return whether asking again can help. *sent* is the refused header."""
        usable = [challenge for challenge in parse_challenges(headers) if challenge.scheme in {"bearer", "basic"}]
        if not usable:
            return False
        preferred = next((challenge for challenge in usable if challenge.scheme == "bearer"), usable[0])
        if preferred.scheme == "basic" and (self._endpoint.credentials is None or sent is not None):
            return False
        if preferred.scheme == "bearer" and not preferred.parameters.get("realm"):
            raise operation.failed(UnexpectedResponseError, "a Bearer challenge without a realm", status=401)
        self._challenge = preferred
        self._tokens = [token for token in self._tokens if f"Bearer {token.text}" != sent]
        return True

    def explain(self, error: RegistryError) -> RegistryError:
        """Return *error* with a hint that says which credentials were used, or where they were looked for."""
        found = self._endpoint.credentials
        if found is not None:
            error.hint = f"the credentials for {self._endpoint.registry} from {found.found_in} were refused; check username and password"
        else:
            error.hint = f"no credentials for {self._endpoint.registry} were found (looked in {', '.join(self._endpoint.looked_in) or 'nothing'})"
        return error

    def conceal(self, body: bytes) -> bytes:
        """Return *body*, a registry's own words, without the tokens that it was sent."""
        with self._lock:
            for token in self._tokens:
                body = body.replace(token.text.encode(), b"***")
        return body

    def _basic(self) -> str | None:
        found = self._endpoint.credentials
        if found is None:
            return None
        return "Basic " + base64.b64encode(f"{found.username}:{found.password}".encode()).decode()

    def _token(self, scopes: frozenset[str], *, operation: Operation, patience: Patience) -> str:
        # One lock per endpoint: fifty callers that need a token ask for it once.
        with self._lock:
            now = time.monotonic()
            self._tokens = [token for token in self._tokens if token.ends > now]
            for token in self._tokens:
                if scopes <= token.scopes:
                    return token.text
            token = self._fetch(scopes, operation=operation, patience=patience)
            self._tokens.append(token)
            return token.text

    def _fetch(self, scopes: frozenset[str], *, operation: Operation, patience: Patience) -> _Token:
        challenge = self._challenge
        assert challenge is not None  # noqa: S101 - only called once a challenge is known
        realm = challenge.parameters["realm"]
        headers = {}
        basic = self._basic()
        if basic is not None:
            self._check_trusted(realm, operation=operation)
            headers["Authorization"] = basic
        self._check_address(realm, operation=operation)
        query = [f"service={quote(challenge.parameters['service'], safe='')}"] if challenge.parameters.get("service") else []
        query += [f"scope={quote(scope, safe='')}" for scope in sorted(scopes)]
        url = realm + ("&" if "?" in realm else "?") + "&".join(query)
        asked = Operation("get a token for", operation.reference, operation.origin)
        answer = retry_call(lambda: self._ask(asked, url, headers), patience, operation=asked.name, reference=asked.reference, attempts=patience.login)
        if answer.status != 200:
            error = asked.failed(AuthenticationError, f"{urlsplit(realm).hostname} answered {answer.status}", status=answer.status)
            raise self.explain(error)
        return _parsed_token(answer.body, scopes, operation=asked)

    def _check_trusted(self, realm: str, *, operation: Operation) -> None:
        registry, server = urlsplit(self._endpoint.url), urlsplit(realm)
        named = self._endpoint.token_server
        if named is not None and _origin(named) == _origin(realm):
            return
        own, host = registry.hostname or "", server.hostname or ""
        if own == host or same_site(own, host) or (self._endpoint.registry, host) in _KNOWN_PAIRS:
            return
        raise operation.failed(
            InsecureError,
            f"the registry sends us for a token to {host}, which is neither its own host nor its site",
            hint=f"if that server is right, name it: registries: {{{self._endpoint.registry}: {{token_server: {server.scheme}://{server.netloc.rpartition('@')[2]}}}}}",
        )

    def _check_address(self, realm: str, *, operation: Operation) -> None:
        server = urlsplit(realm)
        plain = self._endpoint.plain or _origin(self._endpoint.token_server or "") == _origin(realm)
        if server.username or server.password or server.fragment or server.scheme not in ({"http", "https"} if plain else {"https"}):
            raise operation.failed(InsecureError, "the registry names a token server that is not reached by https", hint="nothing was sent to it")


def same_site(one: str, other: str) -> bool:
    """Return whether two host names share a registrable domain by the public suffix list; never for IP addresses."""
    if any(host.replace(".", "").isdigit() or ":" in host for host in (one, other)):
        return False
    site = _public_suffixes().privatesuffix(one)
    return site is not None and site == _public_suffixes().privatesuffix(other)


@functools.cache
def _public_suffixes() -> PublicSuffixList:
    return PublicSuffixList()


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname or "", parts.port or default


def _parsed_token(body: bytes, scopes: frozenset[str], *, operation: Operation) -> _Token:
    try:
        document: dict[str, Any] = json.loads(body)
        text = document.get("token") or document.get("access_token")
    except (ValueError, AttributeError, RecursionError):
        text = None
    if not isinstance(text, str) or not text.isprintable() or not text.isascii():
        raise operation.failed(UnexpectedResponseError, "the token server's answer holds no token", status=200)
    return _Token(text, scopes, time.monotonic() + _USED_SHARE * _life_seconds(document))


def _life_seconds(document: Mapping[str, Any]) -> float:
    life = document.get("expires_in")
    seconds = float(life) if isinstance(life, int | float) and not isinstance(life, bool) and life > 0 else _DEFAULT_LIFE_SECONDS
    return min(seconds - _age_seconds(document.get("issued_at")), _LONGEST_LIFE_SECONDS)


def _age_seconds(issued_at: object) -> float:
    if not isinstance(issued_at, str):
        return 0.0
    try:
        issued = dt.datetime.fromisoformat(issued_at)
    except ValueError:
        return 0.0
    if issued.tzinfo is None:
        return 0.0
    age = (dt.datetime.now(dt.UTC) - issued).total_seconds()
    # A clock that differs from ours by hours says nothing about the token's age.
    return age if 0 < age < 300 else 0.0
