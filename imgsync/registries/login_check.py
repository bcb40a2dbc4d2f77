"""
Who we are at each registry of a configuration, and what we may do there, found out without changing anything.

Pulling is tried on a manifest's head. Pushing is tried by a piece of an upload that was never begun: who may not push is refused,
who may is told that there is no such upload. Spec: design.md §3 `login-check`; distribution-spec 1.1 end-3, end-5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from imgsync.concurrency.workers import map_unordered
from imgsync.config.model import Config, Mirror
from imgsync.config.templates import expand_repository
from imgsync.errors import CredentialsError, ImgsyncError
from imgsync.oci.registry import RegistryClient
from imgsync.oci.spec.reference import Repository
from imgsync.registries.access import Access
from imgsync.registries.clients import Registries

_AT_ONCE = 8


def check_access(config: Config, registries: Registries, *, check: Callable[[], None]) -> tuple[Access, ...]:
    """Return what may be done at every source and destination of *config*; for each mirror and side one repository is tried."""
    mirrors = [mirror for mirror in config.mirrors if not mirror.suspend]
    found = map_unordered(lambda mirror: tuple(_of_mirror(mirror, registries, check=check)), mirrors, limit=_AT_ONCE)
    return tuple(sorted((access for one in found for access in one), key=lambda one: (one.registry, one.side, one.mirror, one.repository)))


def _of_mirror(mirror: Mirror, registries: Registries, *, check: Callable[[], None]) -> Iterator[Access]:
    source = registries.source(mirror, check=check)
    tag = next(iter(mirror.tags.names), "latest")
    tried = [(path, path) for path in mirror.source.repositories[:1]]

    def repository() -> str:
        tried.extend(() if tried else _first_listed(mirror, registries, source))
        return tried[0][0] if tried else ""

    yield _tried(source, mirror.name, "pull", repository, lambda found: source.resolve(found.with_name(tag)))
    for destination in mirror.destinations:
        client = registries.destination(destination.registry, mirror, check=check)
        paths = [expand_repository(destination, path, relative=relative, registry=source.registry) for path, relative in tried]
        yield _tried(client, mirror.name, "push", partial(next, iter(paths), ""), client.check_push)


def _first_listed(mirror: Mirror, registries: Registries, source: RegistryClient) -> list[tuple[str, str]]:
    """Return the first repository that the source's namespaces hold, and its path below the namespace; nothing where there is none."""
    lister = registries.lister(source)
    for namespace in mirror.source.namespaces:
        for one in lister.repositories(namespace).repositories[:1]:
            return [(one.path, one.path[len(namespace) + 1 :] if namespace else one.path)]
    return []


def _tried(client: RegistryClient, mirror: str, action: str, find: Callable[[], str], attempt: Callable[[Repository], object]) -> Access:
    """Return what came of reaching the registry, and of *attempt* on the repository whose path *find* returns, "" for none."""
    access = Access(client.registry, client.origin, mirror, action)
    try:
        client.fetch_challenge()
        access = replace(access, reachable=True)
        access = replace(access, repository=find())
        if access.repository:
            attempt(Repository(client.registry, access.repository))
            access = replace(access, allowed=True)
    except ImgsyncError as error:
        if error.exit_code != 1:
            raise
        access = replace(access, allowed=False, error=error.message, hint=error.hint)
    try:
        login = client.transport.endpoint.credentials.find(access.repository)
    except CredentialsError as error:
        return replace(access, allowed=False, error=access.error or error.message, hint=access.hint or error.hint)
    # What registries.yaml holds of a login never shows, its username neither.
    shown = "" if login is None or login.found_in == "registries.yaml" else login.username
    return replace(access, username=shown, found_in="" if login is None else login.found_in)
