"""Choose the API that lists a registry: declared, known or detected."""

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
from imgsync.listing.distribution import list_tags
from imgsync.listing.json_api import ApiOpener
from imgsync.listing.model import ListingApi, RepositoryListing, TagListing
from imgsync.oci.auth.aws import PUBLIC_ECR, is_ecr
from imgsync.oci.registry import RegistryClient

KINDS = ("auto", "catalog", "gcr", "dockerhub", "quay", "harbor", "gitlab", "ghcr", "ecr")
_KNOWN_HOSTS = {"docker.io": "dockerhub", "quay.io": "quay", "ghcr.io": "ghcr", "registry.gitlab.com": "gitlab"}
_GOOGLE_HOSTS = ("gcr.io", "k8s.gcr.io", "registry.k8s.io")
_GOOGLE_SUFFIXES = (".gcr.io", ".pkg.dev")
# The service in the registry's challenge.
_KNOWN_SERVICES = {"harbor-registry": "harbor", "container_registry": "gitlab"}
_REFUSALS = (AccessDeniedError, AuthenticationError, NotFoundError, RejectedError, UnexpectedResponseError)
_REMEDY = "this registry does not list its repositories; name them: `source: {repositories: [...]}`"


def find_kind_by_host(registry: str) -> str | None:
    """Return a known host's kind, None for others."""
    if registry in _GOOGLE_HOSTS or registry.endswith(_GOOGLE_SUFFIXES):
        return "gcr"
    return "ecr" if is_ecr(registry) else _KNOWN_HOSTS.get(registry)


class Lister:
    """Lists one registry for one caller."""

    def __init__(self, client: RegistryClient, kind: str, open_api: ApiOpener, *, api_url: str | None = None) -> None:
        """Use the API of *kind*, or detect it for "auto"."""
        self.kind = kind
        self._client = client
        self._open_api = open_api
        self._api_url = api_url
        self._chosen = find_kind_by_host(client.registry) if kind == "auto" else kind
        self._api: ListingApi | None = None

    @property
    def has_digests_in_one_request(self) -> bool:
        """Return whether one request lists all tags with digests."""
        return self._chosen == "gcr"

    def repositories(self, namespace: str) -> RepositoryListing:
        """
        Return every repository below *namespace* ("" for the whole registry).

        Raises:
            RegistryError: The registry does not list; the hint names the remedy.
        """
        if self._client.registry == PUBLIC_ECR and self.kind == "auto":
            operation = self._client.make_operation("list repositories of", f"{PUBLIC_ECR}/{namespace}".rstrip("/"))
            raise operation.make_error(RejectedError, "ECR Public lists repositories only to their owner", hint=_REMEDY)
        try:
            listed = self._list_repositories(namespace)
        except _REFUSALS as refusal:
            refusal.hint = "; ".join(dict.fromkeys(part for part in (refusal.hint, _REMEDY) if part))
            raise
        below = f"{namespace}/" if namespace else ""
        return replace(listed, repositories=tuple(one for one in listed.repositories if one.path.startswith(below)))

    def tags(self, path: str) -> TagListing:
        """
        Return every tag of a repository.

        If the API fails, the tags come from `tags/list` with a warning.

        Raises:
            RegistryError: The registry does not list them.
        """
        api = self._choose_api()
        if api is None:
            return list_tags(self._client, path)
        try:
            return api.tags(path)
        except (*_REFUSALS, UnreachableError, RateLimitedError) as failure:
            if self._chosen in {"catalog", "gcr"} or (failure.transient and self.kind != "auto"):
                raise
            if failure.transient:
                # Not declared and unreachable: do not wait for this API again.
                self._chosen = self._api = None
            listed = list_tags(self._client, path)
            return replace(
                listed, warnings=(*listed.warnings, f"tags of {self._client.registry}/{path} come from tags/list, without digests: {failure.message}")
            )

    def _choose_api(self) -> ListingApi | None:
        if self._api is None and self._chosen is not None:
            self._api = self._make_api(self._chosen)
        return self._api

    def _list_repositories(self, namespace: str) -> RepositoryListing:
        api = self._choose_api()
        if api is not None:
            return api.repositories(namespace)
        refusal: RegistryError | None = None
        found: RepositoryListing | None = None
        try:
            found = self._make_api("catalog").repositories(namespace)
        except _REFUSALS as error:
            refusal = error
        # The catalog request has shown the registry's challenge.
        self._chosen = self._find_kind_by_challenge()
        api = self._choose_api()
        return api.repositories(namespace) if api is not None else found or self._list_like_google(namespace, refusal)

    def _list_like_google(self, namespace: str, refusal: RegistryError | None) -> RepositoryListing:
        try:
            found = self._make_api("gcr").repositories(namespace)
        except _REFUSALS:
            found = RepositoryListing("gcr", ())
        if refusal is not None and not found.repositories:
            raise refusal
        self._chosen = "gcr"
        return found

    def _find_kind_by_challenge(self) -> str | None:
        challenge = self._client.transport.challenge
        if challenge is None or challenge.scheme != "bearer":
            return None
        if urlsplit(challenge.parameters.get("realm", "")).path == "/v2/auth":
            return "quay"
        return _KNOWN_SERVICES.get(challenge.parameters.get("service", ""))

    def _make_api(self, kind: str) -> ListingApi:
        # Imported late, because listing by tags/list needs none of them.
        from imgsync.listing.registry_apis import make_listing_api

        return make_listing_api(kind, self._client, self._open_api, api_url=self._api_url)
