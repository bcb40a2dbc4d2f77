"""List repositories of a registry, or tags of a repository."""

from __future__ import annotations

from collections.abc import Callable

from imgsync.errors import AccessDeniedError, AuthenticationError, InvalidReferenceError, NotFoundError, RegistryError
from imgsync.filters.natural_order import make_natural_key
from imgsync.oci.limits.retry import RetryPolicy
from imgsync.oci.spec.reference import (
    is_registry_alone,
    is_registry_like,
    is_repository_path,
    parse_registry,
    parse_repository_path,
    strip_transport,
)
from imgsync.registries.clients import Registries
from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class NameList:
    """NameList of "repositories" or "tags", in natural order."""

    kind: str
    names: tuple[str, ...]


def parse_place(text: str) -> tuple[str, str]:
    """
    Parse what to list: a registry, and a path or "".

    `nginx` is a repository of Docker Hub, as everywhere on a command line.

    Raises:
        InvalidReferenceError: *text* is malformed, or names a tag.
    """
    place = strip_transport(text).rstrip("/")
    host, slash, path = place.partition("/")
    if not place:
        raise InvalidReferenceError("a registry or repository is missing", hint="write HOST, HOST/REPOSITORY, or a name on Docker Hub such as nginx")
    if not (is_registry_like(host) if slash else is_registry_alone(place)):
        host, path = "docker.io", place
    registry = parse_registry(host)
    name, mark, _ = path.replace("@", ":").partition(":")
    if mark and is_repository_path(name):
        raise InvalidReferenceError(f"{text!r} names one tag", hint=f"`imgsync list {registry}/{name}` shows all")
    return registry, parse_repository_path(path) if path else ""


def list_names(text: str, registries: Registries, *, check: Callable[[], None]) -> NameList:
    """
    Return the tags or repositories below *text*.

    Args:
        text: A registry, a namespace or a repository; without a registry, of Docker Hub.
        registries: Makes the client.
        check: Raises to stop.

    Raises:
        InvalidReferenceError: *text* is malformed.
        RegistryError: The registry does not have it, or does not list it.
    """
    registry, path = parse_place(text)
    client = registries.make_client(registry, "source", RetryPolicy(check=check, on_retry=registries.on_retry))
    lister = registries.make_lister(client)
    refusal: RegistryError | None = None
    if path:
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
        parent = f"{registry}/{path}".rpartition("/")[0]
        raise client.make_operation("list", f"{registry}/{path}").make_error(
            NotFoundError,
            "neither a repository with tags nor a namespace with repositories",
            hint=f"check the spelling; `imgsync list {parent}` shows what this account can see",
        )
    return NameList("repositories", names)
