"""Which dialect lists a registry: the one that is declared, else the one its host is known for, else what it answers."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlsplit

from imgsync.errors import (
    AccessDeniedError,
    AuthenticationError,
    NotFoundError,
    RateLimitedError,
    RegistryError,
    RejectedError,
    UnexpectedResponseError,
    UnreachableError,
)
from imgsync.oci.auth.aws import PUBLIC_ECR, is_ecr
from imgsync.oci.listing.api import OpenApi
from imgsync.oci.listing.distribution import list_tags
from imgsync.oci.listing.model import Dialect, RepositoryListing, TagListing
from imgsync.oci.registry import RegistryClient

KINDS = ("auto", "catalog", "gcr", "dockerhub", "quay", "harbor", "gitlab", "ghcr", "ecr")
_KNOWN_HOSTS = {"docker.io": "dockerhub", "quay.io": "quay", "ghcr.io": "ghcr", "registry.gitlab.com": "gitlab"}
_GOOGLE_HOSTS = ("gcr.io", "k8s.gcr.io", "registry.k8s.io")
_GOOGLE_SUFFIXES = (".gcr.io", ".pkg.dev")
# By which service a registry asks for tokens.
_KNOWN_SERVICES = {"harbor-registry": "harbor", "container_registry": "gitlab"}
_REFUSALS = (AccessDeniedError, AuthenticationError, NotFoundError, RejectedError, UnexpectedResponseError)
_REMEDY = "this registry does not list its repositories to us; name them: `source: {repositories: [...]}`"


def find_kind_by_host(registry: str) -> str | None:
    """Return the dialect that *registry* is known to speak, None for a host that is not known."""
    if registry in _GOOGLE_HOSTS or registry.endswith(_GOOGLE_SUFFIXES):
        return "gcr"
    return "ecr" if is_ecr(registry) else _KNOWN_HOSTS.get(registry)


class Lister:
    """Lists one registry for one caller."""

    def __init__(self, client: RegistryClient, kind: str, open_api: OpenApi, *, api_url: str | None = None) -> None:
        """List by the dialect *kind*, "auto" by the one that fits; *api_url* is the address that the operator named."""
        self.kind = kind
        self._client = client
        self._open_api = open_api
        self._api_url = api_url
        self._chosen = find_kind_by_host(client.registry) if kind == "auto" else kind
        self._spoken: Dialect | None = None

    @property
    def has_digests_in_one_request(self) -> bool:
        """Return whether one request tells the digests of all tags of a repository, as Google's registries do."""
        return self._chosen == "gcr"

    def repositories(self, namespace: str) -> RepositoryListing:
        """
        Return every repository below *namespace*, "" being the whole registry.

        Raises:
            RegistryError: The registry cannot list; the hint names the remedy.
        """
        if self._client.registry == PUBLIC_ECR and self.kind == "auto":
            operation = self._client.make_operation("list repositories of", f"{PUBLIC_ECR}/{namespace}".rstrip("/"))
            raise operation.make_error(RejectedError, "ECR Public lists repositories to their owner alone", hint=_REMEDY)
        try:
            listed = self._listed(namespace)
        except _REFUSALS as refusal:
            refusal.hint = "; ".join(dict.fromkeys(part for part in (refusal.hint, _REMEDY) if part))
            raise
        below = f"{namespace}/" if namespace else ""
        return replace(listed, repositories=tuple(one for one in listed.repositories if one.path.startswith(below)))

    def tags(self, path: str) -> TagListing:
        """
        Return every tag of the repository at *path*; where a dialect fails, by `tags/list`, with a warning.

        Raises:
            RegistryError: The registry does not list them.
        """
        dialect = self._dialect()
        if dialect is None:
            return list_tags(self._client, path)
        try:
            return dialect.tags(path)
        except (*_REFUSALS, UnreachableError, RateLimitedError) as failure:
            if self._chosen in {"catalog", "gcr"} or (failure.transient and self.kind != "auto"):
                raise
            if failure.transient:
                # An API that nobody asked for by name cannot be had: it is not waited for again.
                self._chosen = self._spoken = None
            listed = list_tags(self._client, path)
            return replace(
                listed, warnings=(*listed.warnings, f"tags of {self._client.registry}/{path} come from tags/list, without digests: {failure.message}")
            )

    def _dialect(self) -> Dialect | None:
        if self._spoken is None and self._chosen is not None:
            self._spoken = self._speaking(self._chosen)
        return self._spoken

    def _listed(self, namespace: str) -> RepositoryListing:
        dialect = self._dialect()
        if dialect is not None:
            return dialect.repositories(namespace)
        refusal: RegistryError | None = None
        found: RepositoryListing | None = None
        try:
            found = self._speaking("catalog").repositories(namespace)
        except _REFUSALS as error:
            refusal = error
        # The catalog was asked, so the registry has said by now how it wants to be spoken to.
        self._chosen = self._kind_by_challenge()
        dialect = self._dialect()
        return dialect.repositories(namespace) if dialect is not None else found or self._google_after(namespace, refusal)

    def _google_after(self, namespace: str, refusal: RegistryError | None) -> RepositoryListing:
        try:
            found = self._speaking("gcr").repositories(namespace)
        except _REFUSALS:
            found = RepositoryListing("gcr", ())
        if refusal is not None and not found.repositories:
            raise refusal
        self._chosen = "gcr"
        return found

    def _kind_by_challenge(self) -> str | None:
        challenge = self._client.transport.challenge
        if challenge is None or challenge.scheme != "bearer":
            return None
        if urlsplit(challenge.parameters.get("realm", "")).path == "/v2/auth":
            return "quay"
        return _KNOWN_SERVICES.get(challenge.parameters.get("service", ""))

    def _speaking(self, kind: str) -> Dialect:
        # Imported now: whoever only lists tags by tags/list needs none of them.
        from imgsync.oci.listing.dialects import make_listing_api

        return make_listing_api(kind, self._client, self._open_api, api_url=self._api_url)
