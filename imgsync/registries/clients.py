"""Make the stores of a run from the settings of registries."""

from __future__ import annotations

import resource
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Self, cast
from urllib.parse import urlsplit

from imgsync.config.model import Mirror, RegistriesConfig
from imgsync.errors import RejectedError
from imgsync.listing.json_api import ApiSession, JsonApi
from imgsync.listing.lister import Lister, find_kind_by_host
from imgsync.listing.model import StoreLister
from imgsync.oci.auth.auth_files import load_auth_files
from imgsync.oci.auth.aws import Aws
from imgsync.oci.auth.credential_helper import ask_helper
from imgsync.oci.auth.keychain import Keychain
from imgsync.oci.auth.refused_logins import RefusedLogins
from imgsync.oci.endpoint import Endpoint
from imgsync.oci.http.resolver import Resolver
from imgsync.oci.http.url import find_url_secrets
from imgsync.oci.image_store import ImageStore, LocalStore
from imgsync.oci.limits.pull_limit import PullQuota
from imgsync.oci.limits.rate_limit import RateLimit
from imgsync.oci.limits.retry import RetryDetails, RetryPolicy
from imgsync.oci.registry_store import RegistryStore
from imgsync.oci.spec.reference import is_layout
from imgsync.oci.transport import Transport
from imgsync.registries.credentials import find_cloud_credentials, make_credential_source
from imgsync.registries.tls_contexts import TlsContexts
from imgsync.text.redaction import Redaction

if TYPE_CHECKING:
    from imgsync.registries.layouts import Layouts

_MAX_WARNINGS = 20
# Descriptors open besides connections: the standard streams, the state, and files that are being read.
_OTHER_DESCRIPTORS = 32


class Registries:
    """
    The clients of a run: one transport per registry and side.

    A transport is opened when it is first needed. All are closed together.
    """

    def __init__(
        self,
        settings: RegistriesConfig,
        *,
        environ: Mapping[str, str],
        pushes: bool,
        on_retry: Callable[[RetryDetails], None],
        redaction: Redaction,
        on_warning: Callable[[str], None],
        on_registry_warning: Callable[[str, str], None],
        is_in_grace: Callable[[], bool] = lambda: False,
    ) -> None:
        """
        Read the auth files; connect to nothing yet.

        Args:
            settings: How to reach each registry. Missing credentials come from the auth files of Docker and Podman.
            environ: Says where the auth files are.
            pushes: Whether to request tokens that permit to push.
            on_retry: Receives every retry.
            redaction: Receives every password and token before it is used.
            on_warning: Receives a text about each auth file that cannot be read.
            on_registry_warning: Receives a registry and the text of its `Warning` header, each once.
            is_in_grace: Whether requests that are on their way may end, although the run stops.
        """
        self.settings = settings
        self.on_retry = on_retry
        self._is_in_grace = is_in_grace
        self._pushes = pushes
        self._keychain = Keychain(load_auth_files(environ), ask=ask_helper, ask_cloud=find_cloud_credentials, on_secret=redaction.hide, on_warning=on_warning)
        self._redaction = redaction
        self._on_registry_warning = on_registry_warning
        # Receives a registry, the side, and how many parallel requests it gets from now on.
        self.on_parallel: Callable[[str, str, int], object] = lambda *_: None
        # Receives a registry, the side, and a server with the protocol that it chose.
        self.on_protocol: Callable[[str, str, str, str], object] = lambda *_: None
        # Called right before each piece of a request that may change a destination is sent; after its error nothing more is sent.
        self.check_write: Callable[[], None] | None = None
        # Returns the store of files that stands for a registry and side, None for the registry itself.
        self.find_store: Callable[[str, str, RetryPolicy], LocalStore | None] = lambda *_: None
        self._layouts: Layouts | None = None
        self._warned: set[tuple[str, str]] = set()
        self._transports: dict[tuple[str, str], Transport] = {}
        self._apis: dict[tuple[str, str, str], ApiSession] = {}
        self._refused: dict[str, RefusedLogins] = {}
        self._rate_limits: dict[str, RateLimit] = {}
        self._tls_contexts = TlsContexts(settings)
        self._resolver = Resolver()
        for warning in self._keychain.warnings:
            on_warning(warning)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close every connection."""
        self.close()

    def close(self) -> None:
        """Close every idle connection, and every layout."""
        if self._layouts is not None:
            self._layouts.close()
        for transport in (*self._transports.values(), *(session.transport for session in self._apis.values())):
            transport.close()

    @property
    def exposed_files(self) -> tuple[str, ...]:
        """Return the auth files that other users can read or change."""
        return self._keychain.exposed_files

    def count_requests(self, origin: str) -> dict[str, Counter[str]]:
        """Return the requests sent as *origin*, by registry and method."""
        registries = {registry: transport.requests for (registry, side), transport in self._transports.items() if side == origin}
        return registries | {url: session.transport.requests for (_, side, url), session in self._apis.items() if side == origin}

    def follow(self, earlier: Registries) -> None:
        """Count what *earlier* sent against the rates of this one."""
        for registry, limit in earlier._rate_limits.items():
            self._get_rate_limit(registry).follow(limit)

    def get_pull_quota(self, registry: str) -> PullQuota | None:
        """Return the pulls left at *registry*, if known."""
        rate_limit = self._rate_limits.get(registry)
        return None if rate_limit is None else rate_limit.pull_limit.quota

    def make_source_client(self, mirror: Mirror, *, check: Callable[[], None]) -> ImageStore:
        """Return a client of the source; *check* may end its waiting."""
        return self.make_client(mirror.source.registry, "source", self._make_retry_policy(mirror, check=check))

    def make_destination_client(self, registry: str, mirror: Mirror, *, check: Callable[[], None]) -> ImageStore:
        """Return a client of a destination; *check* may end its waiting."""
        return self.make_client(registry, "destination", self._make_retry_policy(mirror, check=check))

    def make_client(self, registry: str, origin: str, retry_policy: RetryPolicy) -> ImageStore:
        """
        Return the store named *registry* as "source" or "destination".

        Raises:
            ConfigError: A variable in its settings is not set.
            UsageError: A TLS file that registries.yaml names cannot be used, or it has no such layout.
        """
        registry = self.settings.find_name(registry)
        store = self.find_store(registry, origin, retry_policy)
        if store is not None:
            return store
        if is_layout(registry):
            return self._open_layouts().make_store(registry, origin, retry_policy, check_write=self.check_write)
        key = (registry, origin)
        if key not in self._transports:
            self._transports[key] = self._make_transport(self._make_endpoint(registry, origin), self._get_rate_limit(registry))
        return RegistryStore(self._transports[key], retry_policy)

    def make_lister(self, client: ImageStore) -> StoreLister:
        """Return a lister for *client*, with the declared or detected API."""
        if not isinstance(client, RegistryStore):
            # Imported now: most runs have registries only.
            from imgsync.listing.local import LocalLister

            return LocalLister(cast("LocalStore", client))
        settings = self.settings.for_registry(client.registry)
        return Lister(client, settings.listing, lambda url: self.make_api(client, url), api_url=settings.listing_url)

    def make_api(self, client: RegistryStore, url: str) -> JsonApi:
        """
        Return the listing API of the registry of *client*.

        It is at the declared URL, else at *url*, else (for "") on the registry's host.
        """
        declared = self.settings.for_registry(client.registry).listing_url
        at = (declared or url or client.transport.endpoint.url).rstrip("/")
        key = (client.registry, client.origin, at)
        if key not in self._apis:
            own = client.transport.endpoint
            endpoint = replace(own, base_url=at, plain_http=at.startswith("http:"), token_server=None, discovered_by="" if declared else own.url)
            host = urlsplit(own.url).hostname or ""
            # The declared rate limit is that of the registry's host; an API on another host has its own.
            is_same_host = urlsplit(at).netloc == urlsplit(own.url).netloc
            rate_limit = self._get_rate_limit(client.registry) if is_same_host else RateLimit(client.registry, None)
            self._apis[key] = ApiSession(self._make_transport(endpoint, rate_limit), host, self._redaction.hide, is_declared=declared is not None)
        return JsonApi(self._apis[key], client.retry_policy)

    def create_repository(self, client: ImageStore, path: str) -> bool:
        """
        Create the repository *path*, if the settings allow it.

        In Harbor, its project is created.

        Raises:
            RegistryError: The registry refuses, or is of a kind without an API for it.
        """
        settings = self.settings.for_registry(client.registry)
        if not settings.create_repositories or not isinstance(client, RegistryStore):
            return False
        kind = find_kind_by_host(client.registry) if settings.listing == "auto" else settings.listing
        if kind == "ecr":
            if self.check_write is not None:
                self.check_write()
            Aws(client.registry, client.origin, settings.listing_url).create_repository(path)
        elif kind in {None, "harbor"}:
            # Imported now: few registries are Harbor.
            from imgsync.listing.harbor import Harbor

            Harbor(self.make_api(client, "")).create_project(path)
        else:
            operation = client.make_operation("create the repository", f"{client.registry}/{path}")
            hint = "create the repository at the registry, or remove the setting"
            raise operation.make_error(RejectedError, f"`create_repositories` works with ECR and Harbor, not with {kind}", hint=hint)
        client.transport.refused.forget_scopes()
        return True

    def _open_layouts(self) -> Layouts:
        if self._layouts is None:
            # Imported now: most runs have registries only.
            from imgsync.registries.layouts import Layouts

            self._layouts = Layouts(self.settings, on_warning=self._on_registry_warning)
        return self._layouts

    def _make_transport(self, endpoint: Endpoint, rate_limit: RateLimit) -> Transport:
        def warn(text: str) -> None:
            # Limited, since a registry may send a different text each time.
            if (endpoint.registry, text) not in self._warned and len(self._warned) < _MAX_WARNINGS:
                self._warned.add((endpoint.registry, text))
                self._on_registry_warning(endpoint.registry, text)

        refused = self._refused.setdefault(endpoint.registry, RefusedLogins())
        return Transport(
            endpoint,
            rate_limit,
            on_warning=warn,
            on_parallel=lambda count: self.on_parallel(endpoint.registry, endpoint.origin, count),
            on_protocol=lambda server, protocol: self.on_protocol(endpoint.registry, endpoint.origin, server, protocol),
            refused=refused,
        )

    def _make_retry_policy(self, mirror: Mirror, *, check: Callable[[], None]) -> RetryPolicy:
        return RetryPolicy(
            attempts=mirror.retry.attempts,
            interval_seconds=mirror.retry.interval_seconds,
            request_seconds=mirror.timeouts.request_seconds,
            login_attempts=mirror.retry.login,
            check=check,
            is_in_grace=self._is_in_grace,
            on_retry=self.on_retry,
        )

    def _make_endpoint(self, registry: str, origin: str) -> Endpoint:
        self.settings.raise_if_unset(registry)
        settings = self.settings.for_registry(registry)
        self._redaction.hide(find_url_secrets(settings.proxy or ""))
        return Endpoint(
            registry=registry,
            origin=origin,
            tls_context=self._tls_contexts.make_finder(registry),
            resolver=self._resolver,
            plain_http=not settings.tls.enabled,
            credentials=make_credential_source(registry, settings, self._keychain, on_secret=self._redaction.hide),
            redaction=self._redaction,
            connections=min(settings.connections, _affordable_connections()),
            http2=settings.http2,
            proxy=settings.proxy,
            token_server=settings.token_server,
            also_known_as=settings.also_known_as,
            chunk_bytes=settings.chunk_bytes,
            max_blob_bytes=settings.max_blob_bytes,
            pushes=self._pushes and origin == "destination",
            check_write=self.check_write if origin == "destination" else None,
        )

    def _get_rate_limit(self, registry: str) -> RateLimit:
        return self._rate_limits.setdefault(registry, RateLimit(registry, self.settings.for_registry(registry).rate))


def _affordable_connections() -> int:
    """Return the concurrent requests that file descriptors allow."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if allowed == resource.RLIM_INFINITY:
        return sys.maxsize
    # A request may use two connections, there are two sides, and half is left as a reserve: 2 * 2 * 2.
    return max(1, (allowed - _OTHER_DESCRIPTORS) // 8)
