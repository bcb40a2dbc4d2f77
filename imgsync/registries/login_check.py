"""
Check credentials and permissions at each registry.

To check pulling, we send a HEAD for a manifest. To check pushing, we send a chunk of an upload that was never started: without
permission the registry denies it, with permission it does not know the upload. Then we begin an upload and cancel it, because only its
`Location` shows by which host the registry calls itself.
Spec: distribution-spec 1.1 end-3, end-5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from imgsync.concurrency.workers import map_unordered
from imgsync.config.model import Config, Mirror
from imgsync.config.templates import expand_repository
from imgsync.errors import CredentialsError, ImgsyncError, InsecureError, RegistryError
from imgsync.oci.image_store import ImageStore
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.reference import Repository
from imgsync.registries.access import Access
from imgsync.registries.clients import Registries

_AT_ONCE = 8
# Nothing of it is sent.
_NO_BLOB = Descriptor("application/octet-stream", "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", 0)


def check_logins(config: Config, registries: Registries, *, check: Callable[[], None]) -> tuple[Access, ...]:
    """Return what each mirror may do at its source and destinations."""
    mirrors = [mirror for mirror in config.mirrors if not mirror.suspend]
    found = map_unordered(lambda mirror: tuple(_check_mirror(mirror, registries, check=check)), mirrors, limit=_AT_ONCE)
    return tuple(sorted((access for one in found for access in one), key=lambda one: (one.registry, one.side, one.mirror, one.repository)))


def _check_mirror(mirror: Mirror, registries: Registries, *, check: Callable[[], None]) -> Iterator[Access]:
    source = registries.make_source_client(mirror, check=check)
    tag = next(iter(mirror.tags.names), "latest")
    tried = [(path, path) for path in mirror.source.repositories[:1]]

    def find_repository() -> str:
        tried.extend(() if tried else _list_first(mirror, registries, source))
        return tried[0][0] if tried else ""

    yield _try_access(source, mirror.name, "pull", find_repository, lambda found: source.resolve(found.with_name(tag)))
    for destination in mirror.destinations:
        client = registries.make_destination_client(destination.registry, mirror, check=check)
        paths = [expand_repository(destination, path, relative=relative, registry=source.registry) for path, relative in tried]
        yield _try_access(client, mirror.name, "push", partial(next, iter(paths), ""), partial(_check_push, client))


def _check_push(client: ImageStore, repository: Repository) -> None:
    """
    Check that a push is permitted, and stays on the host.

    Raises:
        RegistryError: It is not permitted, or the registry calls itself by another host.
    """
    client.check_push(repository)
    try:
        session = client.begin_upload(repository, _NO_BLOB, mount_from="")
    except InsecureError:
        raise
    except RegistryError:
        # For example because the repository is created before the first push.
        return
    if session is not None:
        session.cancel()


def _list_first(mirror: Mirror, registries: Registries, source: ImageStore) -> list[tuple[str, str]]:
    """Return the first repository in the source's namespaces, if any."""
    lister = registries.make_lister(source)
    for namespace in mirror.source.namespaces:
        for one in lister.repositories(namespace).repositories[:1]:
            return [(one.path, one.path[len(namespace) + 1 :] if namespace else one.path)]
    return []


def _try_access(client: ImageStore, mirror: str, action: str, find: Callable[[], str], attempt: Callable[[Repository], object]) -> Access:
    """
    Connect to the registry, and try *attempt* on one repository.

    Args:
        client: The client of the registry.
        mirror: The name of the mirror.
        action: "pull" or "push".
        find: Returns the path of the repository, "" if none is known.
        attempt: Raises if the action is not permitted.
    """
    access = Access(client.registry, client.origin, mirror, action)
    try:
        client.reach()
        access = replace(access, reachable=True)
        access = replace(access, repository=find())
        if access.repository:
            attempt(Repository(client.registry, access.repository))
            access = replace(access, allowed=True)
    except ImgsyncError as error:
        if error.exit_code != 1:
            raise
        access = replace(access, allowed=False, error=error.message, hint=error.hint)
    return _add_credentials(access, client)


def _add_credentials(access: Access, client: ImageStore) -> Access:
    try:
        login = client.find_login(access.repository)
    except CredentialsError as error:
        return replace(access, allowed=False, error=access.error or error.message, hint=access.hint or error.hint)
    # Nothing of the credentials in registries.yaml is shown, not even the username.
    shown = "" if login is None or login.found_in == "registries.yaml" else login.username
    return replace(access, username=shown, found_in="" if login is None else login.found_in)
