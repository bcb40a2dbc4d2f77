"""Where a registry is and how to connect."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Callable, Collection
from dataclasses import field
from typing import Protocol
from urllib.parse import urlsplit

from imgsync.errors import InsecureError
from imgsync.oci.http.resolver import Resolver
from imgsync.oci.http.url import Origin, has_credentials, origin_of
from imgsync.system.dataclass import dataclass
from imgsync.text.redaction import Redaction

# Docker Hub serves the API of docker.io under another name.
_API_HOSTS = {"docker.io": "registry-1.docker.io"}
_SHOWN_LENGTH = 100


@dataclass(frozen=True, slots=True)
class Credentials:
    """
    A username and password.

    Args:
        username: The username.
        password: The password, or a token.
        found_in: Where the credentials come from, for messages.
        identity_token: Whether the password is a token to exchange for others.
        bearer_token: Whether the password is a bearer token to send as it is.
        renewable: Whether asking again may give newer credentials.
    """

    username: str
    password: str = field(repr=False)
    found_in: str = ""
    identity_token: bool = False
    bearer_token: bool = False
    renewable: bool = False


class CredentialSource(Protocol):
    """Finds the credentials for one registry, once the registry requires them."""

    def find(self, path: str, *, renew: bool = False) -> Credentials | None:
        """
        Return the credentials for a repository, None for anonymous.

        An empty *path* means the registry itself.

        Raises:
            CredentialsError: Credentials are configured but cannot be read.
        """

    @property
    def places(self) -> tuple[str, ...]:
        """Return the places that are searched, for messages."""


@dataclass(frozen=True, slots=True)
class DeclaredCredentials:
    """The credentials that registries.yaml declares for a whole registry."""

    credentials: Credentials
    places: tuple[str, ...] = ()

    def find(self, path: str, *, renew: bool = False) -> Credentials | None:  # noqa: ARG002 - the interface of every source
        """Return the declared credentials."""
        return self.credentials


@dataclass(frozen=True, slots=True)
class Endpoint:
    """
    One registry as source or destination, or another of its APIs.

    Args:
        registry: The registry's name.
        origin: "source" or "destination".
        tls_context: Returns how to trust the server at an origin; called when TLS is first needed.
        credentials: Finds the credentials for the registry.
        plain_http: Whether the registry is reached by http; TLS is then needed after a redirect only.
        connections: The most requests at once.
        http2: Whether to use HTTP/2 where the registry chooses it.
        proxy: The URL of a proxy.
        token_server: The URL of a token server that the operator trusts.
        chunk_bytes: The largest request body that the operator allows, None for no limit.
        max_blob_bytes: The largest blob that may be copied from here.
        pushes: Whether the run may push here. Reads then use the token that the push will need.
        base_url: The URL of another API of the registry; "" for the registry itself.
        redaction: Hides passwords and tokens in all that is shown; receives each before it is used.
        also_known_as: Other hosts, `host[:port]`, by which the registry calls itself.
        discovered_by: The registry's URL if only its responses name `base_url`, which is then as little trusted as a redirect.
        resolver: Resolves names, for all registries of the run.
        check_write: Called right before each piece of a request that may change something is sent; after an error that it raises, nothing more is sent.
    """

    registry: str
    origin: str
    tls_context: Callable[[Origin], ssl.SSLContext] = field(repr=False)
    credentials: CredentialSource
    plain_http: bool = False
    connections: int = 32
    http2: bool = True
    proxy: str | None = field(default=None, repr=False)
    token_server: str | None = None
    chunk_bytes: int | None = None
    max_blob_bytes: int = 64 << 30
    pushes: bool = False
    base_url: str = ""
    also_known_as: tuple[str, ...] = ()
    discovered_by: str = ""
    redaction: Redaction = field(default_factory=Redaction, repr=False, compare=False)
    resolver: Resolver = field(default_factory=Resolver, repr=False)
    check_write: Callable[[], None] | None = field(default=None, repr=False)

    def is_own(self, url: str) -> bool:
        """Return whether *url* is on this endpoint, by any of its names."""
        # Nearly every URL begins so, and needs no parsing.
        if url.startswith(f"{self.url}/"):
            return True
        if has_credentials(url):
            return False
        own, origin = origin_of(self.url), origin_of(url)
        return origin == own or is_alias(origin, own, self.also_known_as)

    def explain_other_host(self, url: str) -> str:
        """Return a hint that says how to allow the host of *url*."""
        name = urlsplit(url).netloc.rpartition("@")[2]
        scheme = urlsplit(self.url).scheme
        if name == urlsplit(self.url).netloc:
            return (
                f"nothing was sent there; the registry calls itself by another scheme than {scheme}: have the proxy before it send X-Forwarded-Proto: {scheme}"
            )
        if len(name) > _SHOWN_LENGTH:
            return InsecureError.remedy
        return f"nothing was sent there; if it is this registry too, set also_known_as: [{name}] for {self.registry} in registries.yaml"

    @property
    def url(self) -> str:
        """Return the base URL without a trailing slash."""
        return self.base_url.rstrip("/") or make_base_url(self.registry, plain_http=self.plain_http)


@functools.cache
def make_base_url(registry: str, *, plain_http: bool) -> str:
    """Return the URL of the API of *registry*, without a trailing slash."""
    return f"{'http' if plain_http else 'https'}://{_API_HOSTS.get(registry, registry)}"


def is_alias(origin: Origin, own: Origin, aliases: Collection[str]) -> bool:
    """
    Return whether *origin* is one of *aliases* of the registry at *own*.

    A name without a port stands for the registry's port and the usual one. Nothing goes from https to http.
    """
    scheme, host, port = origin
    if not aliases or (scheme == "http" and own[0] == "https"):
        return False
    bracketed = f"[{host}]" if ":" in host else host
    return f"{bracketed}:{port}" in aliases or (bracketed in aliases and port in {own[2], 443 if scheme == "https" else 80})
