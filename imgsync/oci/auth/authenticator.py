"""
Who we are to a registry: challenge → token → header.

Spec: distribution "Token Authentication Specification"; design.md §2 `token_server`. Credentials go to a token server on the
registry's own host or site, to a known pair, or to the one the operator named; to no other.
"""

from __future__ import annotations

import base64
import functools
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from imgsync.errors import AuthenticationError, CredentialsError, InsecureError, RegistryError, UnexpectedResponseError
from imgsync.oci.auth.challenge import Challenge, parse_challenges
from imgsync.oci.auth.token import Token, parse_token, refresh_form, token_url
from imgsync.oci.endpoint import Credentials, Endpoint
from imgsync.oci.errors import Operation
from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.url import has_credentials, origin_of, parse_url
from imgsync.oci.limits.retry import RetryPolicy, retry_call
from imgsync.text.redaction import redact_bytes

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

# (registry, the host of its token server or of its API): pairs, never a list of hosts trusted by everybody.
_KNOWN_PAIRS = {
    ("docker.io", "auth.docker.io"),
    ("docker.io", "hub.docker.com"),
    ("ghcr.io", "api.github.com"),
    ("registry.gitlab.com", "gitlab.com"),
    ("nvcr.io", "authn.nvidia.com"),
}
_NO_POST = {404, 405}
# Under this name Azure's registries take what their exchange gave, an identity token, for a password.
_AZURE_USER = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """What a token server answered: the status and at most 64 KiB of body."""

    status: int
    body: bytes


# (operation, url, headers, form to POST or None to GET) -> answer; one try, no redirects.
AskTokenServer = Callable[[Operation, str, Mapping[str, str], bytes | None], TokenAnswer]


class Authenticator:
    """The tokens of one endpoint. Each is asked for once, however many callers need it, and reused while it lives."""

    def __init__(self, endpoint: Endpoint, ask: AskTokenServer) -> None:
        """Begin with no challenge seen; *ask* sends one request to a token server."""
        self._endpoint = endpoint
        self._ask = ask
        self._challenge: Challenge | None = None
        self._tokens: list[Token] = []
        self._logins: set[Credentials] = set()
        self._lock = threading.Lock()
        self._asking: dict[frozenset[str], threading.Lock] = {}

    @property
    def challenge(self) -> Challenge | None:
        """Return the challenge that the registry gave, None before it gave one."""
        return self._challenge

    def header(self, scopes: Iterable[str], *, operation: Operation, retry_policy: RetryPolicy) -> str | None:
        """
        Return the Authorization header for *scopes*, None before the registry ever asked for one.

        Raises:
            AuthenticationError: The token server refuses.
            InsecureError: The token server must not be given our credentials.
        """
        if self._challenge is None:
            return None
        wanted = tuple(dict.fromkeys(scopes))
        login = self._login(wanted, operation=operation)
        if login is not None and login.bearer_token:
            return f"Bearer {login.password}"
        if self._challenge.scheme == "basic":
            return None if login is None else _basic(login)
        return f"Bearer {self._token(wanted, login, operation=operation, retry_policy=retry_policy)}"

    def challenged(self, headers: Iterable[str], scopes: Iterable[str], *, sent: str | None, operation: Operation) -> bool:
        """Take note of a 401's challenges; return whether asking again can help. *sent* is the refused header."""
        usable = [challenge for challenge in parse_challenges(headers) if challenge.scheme in {"bearer", "basic"}]
        if not usable:
            return False
        preferred = next((challenge for challenge in usable if challenge.scheme == "bearer"), usable[0])
        if preferred.scheme == "basic" and not self._basic_may_help(tuple(scopes), sent=sent, operation=operation):
            return False
        if preferred.scheme == "bearer" and not preferred.parameters.get("realm"):
            raise operation.failed(UnexpectedResponseError, "a Bearer challenge without a realm", status=401)
        self._challenge = preferred
        with self._lock:
            self._tokens = [token for token in self._tokens if f"Bearer {token.text}" != sent]
        return True

    def explain(self, error: RegistryError, scopes: Iterable[str]) -> RegistryError:
        """Return *error* with a hint that says which credentials were used, or where they were looked for."""
        try:
            found = self._endpoint.credentials.find(_path_of(scopes))
        except CredentialsError as failure:
            error.hint = f"{failure.message}; {failure.hint}" if failure.hint else failure.message
            return error
        registry, looked_in = self._endpoint.registry, ", ".join(self._endpoint.credentials.looked_in)
        if found is not None:
            error.hint = f"the credentials for {registry} from {found.found_in} were refused; check username and password"
        else:
            error.hint = f"no credentials for {registry} were found (looked in {looked_in or 'nothing'})"
        return error

    def conceal(self, body: bytes) -> bytes:
        """Return *body*, a registry's own words that nobody cut yet, without the tokens and logins that it was sent."""
        with self._lock:
            secrets = {token.text for token in self._tokens}
            secrets.update(text for login in self._logins for text in (login.password, _basic(login).partition(" ")[2]))
        return redact_bytes(body, secrets)

    def _login(self, scopes: Sequence[str], *, operation: Operation, renew: bool = False) -> Credentials | None:
        try:
            login = self._endpoint.credentials.find(_path_of(scopes), renew=renew)
        except CredentialsError as error:
            raise operation.failed(AuthenticationError, error.message, hint=error.hint) from error
        if login is not None:
            self._logins.add(login)
        return login

    def _basic_may_help(self, scopes: Sequence[str], *, sent: str | None, operation: Operation) -> bool:
        login = self._login(scopes, operation=operation)
        if login is None or sent is None:
            return login is not None
        return login.renewable and self._login(scopes, operation=operation, renew=True) != login

    def _token(self, scopes: Sequence[str], login: Credentials | None, *, operation: Operation, retry_policy: RetryPolicy) -> str:
        with self._lock:
            asking = self._asking.setdefault(frozenset(scopes), threading.Lock())
        # Fifty callers that need the same token ask for it once; those that need another do not wait for them.
        with asking:
            known = self._known(scopes, login)
            if known is not None:
                return known.text
            token = self._fetch(scopes, login, operation=operation, retry_policy=retry_policy)
            with self._lock:
                self._tokens.append(token)
            return token.text

    def _known(self, scopes: Sequence[str], login: Credentials | None) -> Token | None:
        with self._lock:
            now = time.monotonic()
            self._tokens = [token for token in self._tokens if token.ends > now]
            return next((token for token in self._tokens if token.login == login and token.scopes.issuperset(scopes)), None)

    def _fetch(self, scopes: Sequence[str], login: Credentials | None, *, operation: Operation, retry_policy: RetryPolicy) -> Token:
        challenge = self._challenge
        assert challenge is not None  # noqa: S101 - only called once a challenge is known
        realm = challenge.parameters["realm"]
        self._check_realm(realm, login, operation=operation)
        asked = Operation("get a token for", operation.reference, operation.origin)

        def ask() -> TokenAnswer:
            return self._exchanged(asked, challenge, scopes, login)

        answer = retry_call(ask, retry_policy, operation=asked.name, reference=asked.reference, attempts=retry_policy.login_attempts)
        if answer.status == 401 and login is not None and login.renewable:
            newer = self._login(scopes, operation=operation, renew=True)
            if newer != login:
                login = newer
                answer = ask()
        if answer.status != 200:
            error = asked.failed(AuthenticationError, f"{urlsplit(realm).hostname} answered {answer.status}", status=answer.status)
            raise self.explain(error, scopes)
        return parse_token(answer.body, scopes, login=login, operation=asked)

    def _exchanged(self, asked: Operation, challenge: Challenge, scopes: Sequence[str], login: Credentials | None) -> TokenAnswer:
        """Ask the token server: by POST when we hold an identity token and the server knows that, else by GET."""
        if login is not None and (login.identity_token or login.username == _AZURE_USER):
            answer = self._ask(asked, challenge.parameters["realm"], {}, refresh_form(challenge, scopes, login))
            if answer.status not in _NO_POST:
                return answer
        return self._ask(asked, token_url(challenge, scopes), {} if login is None else {"Authorization": _basic(login)}, None)

    def _check_realm(self, realm: str, login: Credentials | None, *, operation: Operation) -> None:
        """Refuse a token server that is not reached as one must be, and one that must not know our *login*."""
        try:
            origin, _, _ = parse_url(realm)
        except httpx.InvalidURL as error:
            raise operation.failed(InsecureError, "the registry names a token server whose address is no URL", hint="nothing was sent there") from error
        scheme, host, _ = origin
        named = self._endpoint.token_server is not None and origin_of(self._endpoint.token_server) == origin
        if has_credentials(realm) or "#" in realm or (scheme == "http" and not named and not self._endpoint.plain):
            raise operation.failed(InsecureError, "the registry names a token server that is not reached by https", hint="nothing was sent to it")
        if login is None or named or belongs_to(self._endpoint.registry, origin_of(self._endpoint.url)[1], host):
            return
        raise operation.failed(
            InsecureError,
            f"the registry sends us for a token to {host}, which is neither its own host nor its site",
            hint=f"if that server is right, name it: registries: {{{self._endpoint.registry}: {{token_server: {scheme}://{urlsplit(realm).netloc}}}}}",
        )


def _path_of(scopes: Iterable[str]) -> str:
    """Return the repository that the first of *scopes* is about, "" for none."""
    kind, _, rest = next(iter(scopes), "").partition(":")
    return rest.rpartition(":")[0] if kind == "repository" else ""


def _basic(login: Credentials) -> str:
    return "Basic " + base64.b64encode(f"{login.username}:{login.password}".encode()).decode()


def belongs_to(registry: str, own_host: str, host: str) -> bool:
    """Return whether *host* may know the credentials of *registry*, which is reached at *own_host*: the same host or site, or a known pair."""
    return own_host == host or same_site(own_host, host) or (registry, host) in _KNOWN_PAIRS


def same_site(one: str, other: str) -> bool:
    """Return whether two host names share a registrable domain by the public suffix list; never for IP addresses."""
    if any(host.replace(".", "").isdigit() or ":" in host for host in (one, other)):
        return False
    site = _public_suffixes().privatesuffix(one)
    return site is not None and site == _public_suffixes().privatesuffix(other)


@functools.cache
def _public_suffixes() -> PublicSuffixList:
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()
