"""Which dialect lists a registry's repositories, and the choice between them when none is declared."""

from __future__ import annotations

from dataclasses import dataclass

from imgsync.errors import AccessDeniedError, AuthenticationError, NotFoundError, RegistryError, RejectedError, UnexpectedResponseError
from imgsync.oci.listing import catalog, gcr
from imgsync.oci.listing.tags import TagListing
from imgsync.oci.registry import RegistryClient

_GOOGLE_HOSTS = ("gcr.io", "k8s.gcr.io", "registry.k8s.io")
_GOOGLE_SUFFIXES = (".gcr.io", ".pkg.dev")
_REFUSALS = (AccessDeniedError, AuthenticationError, NotFoundError, RejectedError, UnexpectedResponseError)


@dataclass(frozen=True, slots=True)
class ListedRepository:
    """A repository's path, and its tags where the same answer held them."""

    path: str
    tags: TagListing | None = None


def is_google(registry: str) -> bool:
    """Return whether *registry* is one of those known to answer in Google's dialect."""
    return registry in _GOOGLE_HOSTS or registry.endswith(_GOOGLE_SUFFIXES)


@dataclass(frozen=True, slots=True)
class RepositoryListing:
    """The dialect that was used ("catalog" or "gcr"), every repository, and what was left out."""

    dialect: str
    repositories: tuple[ListedRepository, ...]
    warnings: tuple[str, ...] = ()


def list_repositories(client: RegistryClient, namespace: str, *, kind: str) -> RepositoryListing:
    """
    Return every repository below *namespace*, "" being the whole registry.

    *kind* "auto" takes Google's dialect for Google's hosts, else the catalog, else Google's if the registry answers in it.

    Raises:
        RegistryError: The registry cannot list; the hint names the remedy.
    """
    if kind == "auto" and not is_google(client.registry):
        try:
            return _catalog(client, namespace)
        except _REFUSALS as refusal:
            return _fallen_back(client, namespace, refusal)
    if kind == "catalog":
        return _catalog(client, namespace)
    return _gcr(client, namespace)


def _fallen_back(client: RegistryClient, namespace: str, refusal: RegistryError) -> RepositoryListing:
    try:
        found = _gcr(client, namespace)
    except _REFUSALS:
        found = RepositoryListing("gcr", ())
    if not found.repositories:
        refusal.hint = "this registry does not list its repositories to us; name them: `source: {repositories: [...]}`"
        raise refusal
    return found


def _catalog(client: RegistryClient, namespace: str) -> RepositoryListing:
    paths, warnings = catalog.list_paths(client, namespace)
    return RepositoryListing("catalog", tuple(ListedRepository(path) for path in paths), warnings)


def _gcr(client: RegistryClient, namespace: str) -> RepositoryListing:
    return RepositoryListing("gcr", tuple(ListedRepository(path, tags) for path, tags in gcr.walk(client, namespace)))
