"""
Make Authorization headers: challenge → token → header.

Credentials go only to token servers that `trusted_hosts` or the operator allow.
Spec: distribution "Token Authentication Specification"; docs/reference/registries-yaml.md.
"""

from __future__ import annotations

import base64
import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from imgsync.errors import AccessDeniedError, AuthenticationError, CredentialsError, InsecureError, RegistryError, UnexpectedResponseError
from imgsync.oci.auth.challenge import Challenge, choose_challenge, describe_bad_realm, parse_challenges
from imgsync.oci.auth.explain import explain_refusal
from imgsync.oci.auth.refused_logins import RefusedLogins
from imgsync.oci.auth.scopes import find_repository
from imgsync.oci.auth.token import Token, list_tokens, make_refresh_form, make_token_url, parse_token
from imgsync.oci.auth.trusted_hosts import is_trusted_host
from imgsync.oci.endpoint import Credentials, Endpoint
from imgsync.oci.errors import Operation
from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.url import origin_of, parse_url
from imgsync.oci.limits.retry import RetryPolicy, retry_call
from imgsync.system.dataclass import dataclass

_NO_POST = {404, 405}
_NO_TRIAL = contextlib.nullcontext()
# With this username, Azure's registries take an identity token as the password.
_AZURE_USER = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class TokenResponse:
    """A token server's response: status and at most 64 KiB of body."""

    status: int
    body: bytes


# (operation, URL, headers, form to POST or None to GET, retry policy) -> response. One try, no redirects.
AskTokenServer = Callable[[Operation, str, Mapping[str, str], bytes | None, RetryPolicy], TokenResponse]


class Authenticator:
    """The tokens of one endpoint, each fetched once for all callers."""

    def __init__(self, endpoint: Endpoint, ask: AskTokenServer, refused: RefusedLogins) -> None:
        """
        Start without a challenge.

        Args:
            endpoint: Where the registry is.
            ask: Sends one request to a token server.
            refused: The logins that the registry refused, of both sides.
        """
        self._refused = refused
        self._endpoint = endpoint
        self._ask = ask
        self._challenge: Challenge | None = None
        self._tokens: list[Token] = []
        self._lock = threading.Lock()
        self._fetching: dict[frozenset[str], threading.Lock] = {}
        # Refused logins for which the helper was asked again.
        self._renewed: set[Credentials] = set()
        # What it then gave. One that was never accepted is not renewed: a helper may give another wrong login each time.
        self._newer: set[Credentials] = set()

    @property
    def challenge(self) -> Challenge | None:
        """Return the registry's last challenge, None before the first."""
        return self._challenge

    def make_header(self, scopes: Iterable[str], *, operation: Operation, retry_policy: RetryPolicy) -> str | None:
        """
        Return the Authorization header for *scopes*, None before the first challenge.

        Raises:
            AuthenticationError: The token server refuses.
            InsecureError: The token server must not receive the credentials.
        """
        if self._challenge is None:
            return None
        unique = tuple(dict.fromkeys(scopes))
        login = self._find_login(unique, operation=operation)
        if login is not None and login.bearer_token:
            return f"Bearer {login.password}"
        if self._challenge.scheme == "basic":
            return None if login is None else _format_basic(login)
        return f"Bearer {self._get_token(unique, login, operation=operation, retry_policy=retry_policy)}"

    def learn_challenge(self, headers: Iterable[str], scopes: Iterable[str], *, sent: str | None, operation: Operation) -> bool:
        """
        Note the challenges of a 401; return whether another try can succeed.

        Args:
            headers: The `WWW-Authenticate` headers.
            scopes: The scopes of the refused request.
            sent: The refused Authorization header.
            operation: The subject of errors.
        """
        preferred = choose_challenge(parse_challenges(headers))
        if preferred is None:
            return False
        if preferred.scheme == "basic" and not self.has_better_login(scopes, sent=sent, operation=operation):
            return False
        if preferred.scheme == "bearer" and not preferred.parameters.get("realm"):
            raise operation.make_error(UnexpectedResponseError, "the Bearer challenge has no realm", status=401)
        self._challenge = preferred
        with self._lock:
            refused = [token for token in self._tokens if f"Bearer {token.text}" == sent]
            self._tokens = [token for token in self._tokens if token not in refused]
        for token in refused:
            self._refused.doubt((preferred.parameters.get("realm"), token.login))
        return True

    def has_better_login(self, scopes: Iterable[str], *, sent: str | None, operation: Operation) -> bool:
        """Return whether there are other credentials than those refused in *sent*."""
        unique = tuple(dict.fromkeys(scopes))
        login = self._find_login(unique, operation=operation)
        if login is None or sent is None:
            return login is not None
        if sent.startswith("Basic ") and not login.bearer_token and _format_basic(login) != sent:
            return True
        return self._find_newer(unique, login, operation=operation) is not None

    def explain(self, error: RegistryError, scopes: Sequence[str], *, lacks_scope: bool = False, is_anonymous: bool = False) -> RegistryError:
        """
        Set the hint of *error*: wrong login, missing right, or none.

        Args:
            error: A 401 or 403.
            scopes: The scopes of the refused request.
            lacks_scope: Whether the registry says that the token lacks a scope. It is remembered.
            is_anonymous: Whether the request had no login, although there may be one.
        """
        path = find_repository(scopes)
        with contextlib.suppress(CredentialsError):
            login = self._endpoint.credentials.find(path)
            # A token server that gave a token accepted the login.
            realm = self._challenge.parameters.get("realm") if self._challenge is not None else None
            is_accepted = lacks_scope or error.status == 403 or self._refused.is_accepted((realm, login))
            is_unasked = self._challenge is None and not is_anonymous
            explain_refusal(error, self._endpoint, path, is_accepted=is_accepted, is_anonymous=is_anonymous, is_unasked=is_unasked)
            if lacks_scope and self._challenge is not None:
                self._refused.refuse_scopes((self._challenge.parameters.get("realm"), login, frozenset(scopes)), error)
            return error
        return explain_refusal(error, self._endpoint, path, is_accepted=False)

    def try_header(self, header: str | None, operation: Operation) -> contextlib.AbstractContextManager[None]:
        """Return a context for *header*; a password is sent alone until accepted."""
        return self._refused.trial(header, operation) if header is not None and header.startswith("Basic ") else _NO_TRIAL

    def note_answer(self, header: str | None, scopes: Sequence[str], *, status: int, operation: Operation) -> None:
        """Note whether the registry accepted the password in *header*."""
        if header is None or not header.startswith("Basic "):
            return
        if status == 401:
            error = operation.make_error(AuthenticationError, "the registry refused the login", status=status)
            self._refused.note_refusal(header, self.explain(error, scopes))
        elif status < 500 and status != 429:
            self._refused.accept(header)

    def redact(self, body: bytes) -> bytes:
        """Return *body*, uncut, without tokens and passwords."""
        return self._endpoint.redaction.clean_bytes(body)

    def _find_login(self, scopes: Sequence[str], *, operation: Operation, renew: bool = False) -> Credentials | None:
        try:
            login = self._endpoint.credentials.find(find_repository(scopes), renew=renew)
        except CredentialsError as error:
            raise operation.make_error(AuthenticationError, error.message, hint=error.hint) from error
        if login is not None:
            # The pair too: Basic authentication sends it in base64.
            self._endpoint.redaction.hide([login.password, f"{login.username}:{login.password}"])
        return login

    def _find_newer(self, scopes: Sequence[str], login: Credentials, *, operation: Operation) -> Credentials | None:
        """Return another login than *login*, which was refused, if there is one."""
        # Another caller may have asked the helper meanwhile.
        found = self._find_login(scopes, operation=operation)
        if found == login and self._may_renew(login):
            self._renewed.add(login)
            found = self._find_login(scopes, operation=operation, renew=True)
            if found is not None and found != login:
                self._newer.add(found)
        return found if found != login else None

    def _may_renew(self, login: Credentials) -> bool:
        """Return whether to ask the helper for another login than *login*."""
        if not login.renewable or login in self._renewed:
            return False
        realm = self._challenge.parameters.get("realm") if self._challenge is not None else None
        # Whether a bearer token was accepted is not noted.
        return login not in self._newer or login.bearer_token or self._refused.was_accepted(_format_basic(login), (realm, login))

    def _get_token(self, scopes: Sequence[str], login: Credentials | None, *, operation: Operation, retry_policy: RetryPolicy) -> str:
        with self._lock:
            fetching = self._fetching.setdefault(frozenset(scopes), threading.Lock())
        # One lock per set of scopes: callers that need the same token wait for one fetch, others do not wait.
        with fetching:
            if self._challenge is not None:
                self._refused.check_scopes((self._challenge.parameters.get("realm"), login, frozenset(scopes)), operation)
            known = self._find_token(scopes, login)
            if known is not None:
                return known.text
            token = self._fetch_token(scopes, login, operation=operation, retry_policy=retry_policy)
            with self._lock:
                self._tokens.append(token)
            return token.text

    def _find_token(self, scopes: Sequence[str], login: Credentials | None) -> Token | None:
        with self._lock:
            now = time.monotonic()
            self._tokens = [token for token in self._tokens if token.ends > now]
            return next((token for token in self._tokens if token.login == login and token.scopes.issuperset(scopes)), None)

    def _fetch_token(self, scopes: Sequence[str], login: Credentials | None, *, operation: Operation, retry_policy: RetryPolicy) -> Token:
        try:
            return self._fetch_once(scopes, login, operation=operation, retry_policy=retry_policy)
        except AuthenticationError:
            newer = None if login is None else self._find_newer(scopes, login, operation=operation)
            if newer is None:
                raise
            return self._fetch_once(scopes, newer, operation=operation, retry_policy=retry_policy)

    def _fetch_once(self, scopes: Sequence[str], login: Credentials | None, *, operation: Operation, retry_policy: RetryPolicy) -> Token:
        challenge = self._challenge
        assert challenge is not None  # noqa: S101 - only called once a challenge is known
        realm = challenge.parameters["realm"]
        self._check_realm(realm, login, operation=operation)
        fetch = Operation("get a token for", operation.subject, operation.origin)

        def exchange() -> TokenResponse:
            return self._exchange(fetch, challenge, scopes, login, retry_policy)

        with self._refused.trial((realm, login), fetch) if login is not None else contextlib.nullcontext():
            response = retry_call(exchange, retry_policy, operation=fetch.name, reference=fetch.subject, attempts=retry_policy.login_attempts)
            if response.status != 200:
                raise self._note_refusal(realm, login, scopes, response, fetch)
            self._refused.accept((realm, login))
        self._endpoint.redaction.hide(list_tokens(response.body))
        return parse_token(response.body, scopes, login=login, operation=fetch)

    def _note_refusal(self, realm: str, login: Credentials | None, scopes: Sequence[str], response: TokenResponse, operation: Operation) -> RegistryError:
        """Return the error for a token server's refusal; remember it."""
        from imgsync.oci.auth.token_errors import make_token_error

        error = make_token_error(operation, realm, response.status, self.redact(response.body))
        if isinstance(error, AuthenticationError | AccessDeniedError):
            explain_refusal(error, self._endpoint, find_repository(scopes), is_accepted=isinstance(error, AccessDeniedError))
        if isinstance(error, AuthenticationError) and login is not None:
            self._refused.refuse((realm, login), error)
        elif isinstance(error, AuthenticationError | AccessDeniedError):
            self._refused.refuse_scopes((realm, login, frozenset(scopes)), error)
        return error

    def _exchange(
        self, operation: Operation, challenge: Challenge, scopes: Sequence[str], login: Credentials | None, retry_policy: RetryPolicy
    ) -> TokenResponse:
        """Ask the token server, by POST for identity tokens, else by GET."""
        if login is not None and (login.identity_token or login.username == _AZURE_USER):
            response = self._ask(operation, challenge.parameters["realm"], {}, make_refresh_form(challenge, scopes, login), retry_policy)
            if response.status not in _NO_POST:
                return response
        headers = {} if login is None else {"Authorization": _format_basic(login)}
        return self._ask(operation, make_token_url(challenge, scopes), headers, None, retry_policy)

    def _check_realm(self, realm: str, login: Credentials | None, *, operation: Operation) -> None:
        """Refuse a token server that must not receive *login*."""
        try:
            origin, _, _ = parse_url(realm)
        except httpx.InvalidURL as error:
            raise operation.make_error(InsecureError, "the URL of the registry's token server is invalid", hint=InsecureError.remedy) from error
        scheme, host, _ = origin
        declared = self._endpoint.token_server is not None and origin_of(self._endpoint.token_server) == origin
        if problem := describe_bad_realm(realm, allows_http=declared or self._endpoint.plain_http):
            raise operation.make_error(InsecureError, f"the URL of the registry's token server {problem}", hint=InsecureError.remedy)
        if login is None or declared or self._endpoint.is_own(realm) or is_trusted_host(self._endpoint.registry, origin_of(self._endpoint.url)[1], host):
            return
        raise operation.make_error(
            InsecureError,
            f"the registry's token server is at {host}, which is neither its own host nor its site",
            hint=f"if you trust it, set registries: {{{self._endpoint.registry}: {{token_server: {scheme}://{urlsplit(realm).netloc}}}}}",
        )


def _format_basic(login: Credentials) -> str:
    return "Basic " + base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
