"""`imgsync list`: what a registry, a namespace or a repository holds, to find out what to declare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from imgsync.errors import AccessDeniedError, AuthenticationError, NotFoundError
from imgsync.filters.versions import make_natural_key
from imgsync.oci.limits.retry import RetryPolicy
from imgsync.oci.spec.reference import parse_registry, parse_repository_path
from imgsync.registries.clients import Registries


@dataclass(frozen=True, slots=True)
class Names:
    """What was found: "repositories" or "tags", sorted as people count."""

    kind: str
    names: tuple[str, ...]


def list_names(text: str, registries: Registries, *, check: Callable[[], None]) -> Names:
    """
    Return the tags of the repository *text*, or the repositories of the registry or namespace *text*; *check* may end it.

    Raises:
        InvalidReferenceError: *text* is neither.
        RegistryError: The registry has no such thing, or does not list.
    """
    host, _, path = text.rstrip("/").partition("/")
    registry = parse_registry(host)
    client = registries.make_client(registry, "source", RetryPolicy(check=check, on_retry=registries.on_retry))
    lister = registries.make_lister(client)
    if path:
        path = parse_repository_path(path)
        try:
            listing = lister.tags(parse_repository_path(path, registry=registry))
        except (NotFoundError, AccessDeniedError, AuthenticationError):
            # Some registries refuse what they do not have.
            listing = None
        if listing is not None and listing.tags:
            return Names("tags", tuple(sorted((tag.name for tag in listing.tags), key=make_natural_key)))
    found = lister.repositories(path)
    names = tuple(sorted((f"{registry}/{one.path}" for one in found.repositories), key=make_natural_key))
    if path and not names:
        raise client.make_operation("list", f"{registry}/{path}").make_error(NotFoundError, "neither a repository with tags nor a namespace with repositories")
    return Names("repositories", names)
