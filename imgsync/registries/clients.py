"""Trust made reachable: one transport per registry and side, opened when first needed, closed together."""

from __future__ import annotations

import resource
import ssl
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Self
from urllib.parse import urlsplit

from imgsync.config.model import Mirror, RegistriesConfig, RegistrySettings, Tls
from imgsync.errors import RejectedError, UsageError
from imgsync.oci.auth.auth_files import load_auth_files
from imgsync.oci.auth.aws import Aws, has_boto3, is_ecr
from imgsync.oci.auth.credential_helper import ask_helper
from imgsync.oci.auth.keychain import Keychain
from imgsync.oci.endpoint import Credentials, CredentialSource, DeclaredCredentials, Endpoint
from imgsync.oci.http.tls import make_tls_context
from imgsync.oci.http.url import find_url_secrets
from imgsync.oci.limits.pull_limit import PullQuota
from imgsync.oci.limits.rate_limit import RateLimit
from imgsync.oci.limits.retry import RetryDetails, RetryPolicy
from imgsync.oci.listing.api import Api, ApiSession
from imgsync.oci.listing.lister import Lister, find_kind_by_host
from imgsync.oci.registry import RegistryClient
from imgsync.oci.transport import Transport

_MOST_WARNINGS = 20
# What a run has open beside its connections: its own streams, the state, files that are read meanwhile.
_OTHER_DESCRIPTORS = 32


class Registries:
    """Every registry a run talks to. Source and destination of one registry have transports of their own."""

    def __init__(
        self,
        trust: RegistriesConfig,
        *,
        environ: Mapping[str, str],
        pushes: bool,
        on_retry: Callable[[RetryDetails], None],
        on_secret: Callable[[Iterable[str]], None],
        on_warning: Callable[[str], None],
        on_registry_warning: Callable[[str, str], None],
    ) -> None:
        """
        Reach registries as *trust* says; unless the run *pushes*, no token is asked for that would let it.

        Credentials it lacks come from containers' and docker's auth files, found by *environ*; *on_secret* hears of every password before it is
        used, *on_warning* of what cannot be read, *on_registry_warning* of what a registry wants people to be told: its name, and the text, once.
        """
        self.trust = trust
        self._pushes = pushes
        self._keychain = Keychain(load_auth_files(environ), ask=ask_helper, ask_cloud=_login_of_cloud, on_secret=on_secret, on_warning=on_warning)
        self.on_retry = on_retry
        self._on_secret = on_secret
        self._on_registry_warning = on_registry_warning
        self._warned: set[tuple[str, str]] = set()
        self._transports: dict[tuple[str, str], Transport] = {}
        self._apis: dict[tuple[str, str, str], ApiSession] = {}
        self._rate_limits: dict[str, RateLimit] = {}
        for warning in self._keychain.warnings:
            on_warning(warning)
        self._contexts: dict[Tls, ssl.SSLContext] = {}

    def __enter__(self) -> Self:
        """Return itself; leaving closes every connection."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close every connection."""
        self.close()

    def close(self) -> None:
        """Close every connection that is idle."""
        for transport in (*self._transports.values(), *(access.transport for access in self._apis.values())):
            transport.close()

    @property
    def exposed(self) -> tuple[str, ...]:
        """Return the files of logins that everybody on this machine may read or change."""
        return self._keychain.exposed_files

    def requests(self, origin: str) -> dict[str, Counter[str]]:
        """Return the requests sent so far as *origin* to each registry, and to each API by its URL, by method."""
        registries = {registry: transport.requests for (registry, side), transport in self._transports.items() if side == origin}
        return registries | {url: access.transport.requests for (_, side, url), access in self._apis.items() if side == origin}

    def source(self, mirror: Mirror, *, check: Callable[[], None]) -> RegistryClient:
        """Return a client of the mirror's source, with the mirror's retry policy; *check* may end its waiting."""
        return self.client(mirror.source.registry, "source", self.retry_policy(mirror, check=check))

    def destination(self, registry: str, mirror: Mirror, *, check: Callable[[], None]) -> RegistryClient:
        """Return a client of a destination registry, with the mirror's retry policy."""
        return self.client(registry, "destination", self.retry_policy(mirror, check=check))

    def client(self, registry: str, origin: str, retry_policy: RetryPolicy) -> RegistryClient:
        """
        Return a client of *registry* as "source" or "destination".

        Raises:
            UsageError: A TLS file that registries.yaml names cannot be used.
        """
        key = (registry, origin)
        if key not in self._transports:
            self._transports[key] = self._transport(self._endpoint(registry, origin), self._rate_limit(registry))
        return RegistryClient(self._transports[key], retry_policy)

    def _transport(self, endpoint: Endpoint, rate_limit: RateLimit) -> Transport:
        def warn(text: str) -> None:
            # Bounded: what is said anew each time is not worth telling for ever.
            if (endpoint.registry, text) not in self._warned and len(self._warned) < _MOST_WARNINGS:
                self._warned.add((endpoint.registry, text))
                self._on_registry_warning(endpoint.registry, text)

        return Transport(endpoint, rate_limit, on_warning=warn)

    def pulls_left(self, registry: str) -> PullQuota | None:
        """Return what *registry* said is left of the pulls it allows us, None where it does not count them or was not asked."""
        rate_limit = self._rate_limits.get(registry)
        return None if rate_limit is None else rate_limit.pull_limit.quota

    def lister(self, client: RegistryClient) -> Lister:
        """Return who lists the registry of *client*, with its retry policy, in the dialect that is declared or fits."""
        trusted = self.trust.of(client.registry)
        return Lister(client, trusted.listing, lambda url: self.api(client, url), api_url=trusted.listing_url)

    def make_repository(self, client: RegistryClient, path: str) -> bool:
        """
        Make the repository *path* (in Harbor: its project) where the operator allows it; return whether that was so.

        Raises:
            RegistryError: The registry does not let us, or is of a kind that has no way to ask for it.
        """
        trusted = self.trust.of(client.registry)
        if not trusted.create_repositories:
            return False
        kind = find_kind_by_host(client.registry) if trusted.listing == "auto" else trusted.listing
        if kind == "ecr":
            Aws(client.registry, client.origin, trusted.listing_url).create_repository(path)
        elif kind in {None, "harbor"}:
            from imgsync.oci.listing.harbor import Harbor

            Harbor(self.api(client, "")).create_project(path)
        else:
            operation = client.make_operation("create the repository", f"{client.registry}/{path}")
            raise operation.make_error(
                RejectedError, f"`create_repositories` is for ECR and Harbor, not for {kind}", hint="make it there, or leave the setting out"
            )
        return True

    def api(self, client: RegistryClient, url: str) -> Api:
        """Return the API of the registry of *client*: where the operator said, else at *url*, else (for "") on the registry's own host."""
        named = self.trust.of(client.registry).listing_url
        at = (named or url or client.transport.endpoint.url).rstrip("/")
        key = (client.registry, client.origin, at)
        if key not in self._apis:
            own = client.transport.endpoint
            endpoint = replace(own, base_url=at, plain_http=at.startswith("http:"), token_server=None, discovered_by="" if named else own.url)
            host = urlsplit(own.url).hostname or ""
            # The registry's declared rate counts what the registry is asked; an API elsewhere has limits of its own.
            rate_limit = self._rate_limit(client.registry) if urlsplit(at).netloc == urlsplit(own.url).netloc else RateLimit(client.registry, None)
            self._apis[key] = ApiSession(self._transport(endpoint, rate_limit), host, self._on_secret, named=named is not None)
        return Api(self._apis[key], client.retry_policy)

    def retry_policy(self, mirror: Mirror, *, check: Callable[[], None]) -> RetryPolicy:
        """Return how long *mirror* bears with a registry."""
        return RetryPolicy(
            attempts=mirror.retry.attempts,
            interval_seconds=mirror.retry.interval_seconds,
            request_seconds=mirror.timeouts.request_seconds,
            login_attempts=mirror.retry.login,
            check=check,
            on_retry=self.on_retry,
        )

    def _endpoint(self, registry: str, origin: str) -> Endpoint:
        trusted = self.trust.of(registry)
        self._on_secret(find_url_secrets(trusted.proxy or ""))
        return Endpoint(
            registry=registry,
            origin=origin,
            tls_context=self._context(trusted.tls, registry),
            plain_http=not trusted.tls.enabled,
            credentials=self._credentials(registry, trusted),
            connections=min(trusted.connections, _affordable_connections()),
            proxy=trusted.proxy,
            token_server=trusted.token_server,
            chunk_bytes=trusted.chunk_bytes,
            pushes=self._pushes and origin == "destination",
        )

    def _rate_limit(self, registry: str) -> RateLimit:
        return self._rate_limits.setdefault(registry, RateLimit(registry, self.trust.of(registry).rate))

    def _credentials(self, registry: str, trusted: RegistrySettings) -> CredentialSource:
        if trusted.credentials is None:
            return _OfRegistry(self._keychain, registry)
        username, password = trusted.credentials.username, trusted.credentials.password.reveal()
        # The pair too: it is what a Basic header holds, in base64.
        self._on_secret([password, f"{username}:{password}"])
        return DeclaredCredentials(Credentials(username, password, "registries.yaml"))

    def _context(self, tls: Tls, registry: str) -> Callable[[], ssl.SSLContext]:
        if tls.enabled:
            # Now, so that files that cannot be used are told before anything is asked.
            self._made_context(tls, registry)
        return lambda: self._made_context(tls, registry)

    def _made_context(self, tls: Tls, registry: str) -> ssl.SSLContext:
        # One context per set of settings: making one takes tens of milliseconds.
        if tls not in self._contexts:
            try:
                self._contexts[tls] = make_tls_context(ca=tls.ca, cert=tls.cert, key=tls.key, verify=tls.verify)
            except (OSError, ssl.SSLError) as error:
                raise UsageError(f"the TLS files of {registry} cannot be used: {error}", hint="check `tls` in registries.yaml") from error
        return self._contexts[tls]


@dataclass(frozen=True, slots=True)
class _OfRegistry:
    """The keychain's logins for one registry."""

    keychain: Keychain
    registry: str

    def find(self, path: str, *, renew: bool = False) -> Credentials | None:
        return self.keychain.find(self.registry, path, renew=renew)

    @property
    def places(self) -> tuple[str, ...]:
        aws = ("AWS" if has_boto3() else "AWS (needs `pip install 'imgsync-mirror[ecr]'`)",) if is_ecr(self.registry) else ()
        return ("registries.yaml", *self.keychain.places, *aws)


def _login_of_cloud(registry: str) -> Credentials | None:
    """Return what the cloud that *registry* belongs to gives to whom it knows from this machine's surroundings, None elsewhere."""
    return Aws(registry, "source").log_in() if is_ecr(registry) and has_boto3() else None


def _affordable_connections() -> int:
    """Return how many requests at once each side of a registry can have under this process's limit of file descriptors, at least one."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if allowed == resource.RLIM_INFINITY:
        return sys.maxsize
    # A request may hold two connections, each of two registries has its share, and half is left for whoever else comes.
    return max(1, (allowed - _OTHER_DESCRIPTORS) // 8)
