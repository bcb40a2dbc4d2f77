"""Where a registry is reached, how, and as whom: everything a transport needs to know."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

# Docker Hub's registry lives at another name than its images do.
_API_HOSTS = {"docker.io": "registry-1.docker.io"}


@dataclass(frozen=True, slots=True)
class Credentials:
    """
    A username and password; never shown. `found_in` says where they came from.

    With `identity_token` the password is a token to be exchanged for others, with `bearer_token` one to be sent as it is; `renewable`
    says that asking again may give a newer one.
    """

    username: str
    password: str = field(repr=False)
    found_in: str = ""
    identity_token: bool = False
    bearer_token: bool = False
    renewable: bool = False


class CredentialSource(Protocol):
    """Knows who we are to one registry, and is asked only once the registry wants to know."""

    def find(self, path: str, *, renew: bool = False) -> Credentials | None:
        """
        Return the login for the repository *path* ("" for the registry itself), None for nobody.

        Raises:
            CredentialsError: One is configured, but cannot be had.
        """

    @property
    def looked_in(self) -> tuple[str, ...]:
        """Return the places that were looked into."""


@dataclass(frozen=True, slots=True)
class Declared:
    """One login for the whole registry, as registries.yaml declares it."""

    credentials: Credentials
    looked_in: tuple[str, ...] = ()

    def find(self, path: str, *, renew: bool = False) -> Credentials | None:  # noqa: ARG002 - the interface of every source
        """Return it."""
        return self.credentials


@dataclass(frozen=True, slots=True)
class Endpoint:
    """
    One registry, seen from one side (`origin` is "source" or "destination").

    `context` gives what TLS is spoken with, made when it is first needed; `plain` is plain http, where only a redirect can need it.
    `credentials` is asked who we are there.
    `chunk_bytes` is the most that one request may hold, None for no known limit.
    `pushes` says that something may be pushed, so that reading is done by the token that pushing will take; else none is asked for that could.
    `at` is the base URL of an API that the registry has elsewhere; without it the endpoint is the registry itself. `led_by` is the registry's URL
    where nobody but the registry says where that is: then it may be only where the registry may lead.
    """

    registry: str
    origin: str
    context: Callable[[], ssl.SSLContext] = field(repr=False)
    credentials: CredentialSource
    plain: bool = False
    connections: int = 32
    proxy: str | None = field(default=None, repr=False)
    token_server: str | None = None
    chunk_bytes: int | None = None
    pushes: bool = False
    at: str = ""
    led_by: str = ""

    @property
    def url(self) -> str:
        """Return the base URL without a trailing slash."""
        return self.at.rstrip("/") or f"{'http' if self.plain else 'https'}://{_API_HOSTS.get(self.registry, self.registry)}"
