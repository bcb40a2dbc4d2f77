"""List repositories of a registry, or tags of a repository."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from imgsync.errors import AccessDeniedError, AuthenticationError, NotFoundError, RegistryError
from imgsync.filters.natural_order import make_natural_key
from imgsync.oci.limits.retry import RetryPolicy
from imgsync.oci.spec.reference import parse_registry, parse_repository_path
from imgsync.registries.clients import Registries


@dataclass(frozen=True, slots=True)
class NameList:
    """NameList of "repositories" or "tags", in natural order."""

    kind: str
    names: tuple[str, ...]


def list_names(text: str, registries: Registries, *, check: Callable[[], None]) -> NameList:
    """
    Return the tags or repositories below *text*.

    Args:
        text: A registry, a namespace or a repository.
        registries: Makes the client.
        check: Raises to stop.

    Raises:
        InvalidReferenceError: *text* is malformed.
        RegistryError: The registry does not have it, or does not list it.
    """
    host, _, path = text.rstrip("/").partition("/")
    registry = parse_registry(host)
    client = registries.make_client(registry, "source", RetryPolicy(check=check, on_retry=registries.on_retry))
    lister = registries.make_lister(client)
    refusal: RegistryError | None = None
    if path:
        path = parse_repository_path(path)
        try:
            listing = lister.tags(parse_repository_path(path, registry=registry))
        except (NotFoundError, AccessDeniedError, AuthenticationError) as error:
            # Some registries answer 401 or 403 for what does not exist.
            listing, refusal = None, error
        if listing is not None and listing.tags:
            return NameList("tags", tuple(sorted((tag.name for tag in listing.tags), key=make_natural_key)))
    found = lister.repositories(path)
    names = tuple(sorted((f"{registry}/{one.path}" for one in found.repositories), key=make_natural_key))
    if isinstance(refusal, AccessDeniedError | AuthenticationError) and not names:
        raise refusal
    if path and not names:
        raise client.make_operation("list", f"{registry}/{path}").make_error(NotFoundError, "neither a repository with tags nor a namespace with repositories")
    return NameList("repositories", names)
