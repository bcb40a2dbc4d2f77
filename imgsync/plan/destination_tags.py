"""Resolve tags at destinations."""

from __future__ import annotations

from imgsync.concurrency.single_flight import SingleFlight
from imgsync.errors import AccessDeniedError, AuthenticationError, NotFoundError
from imgsync.oci.image_store import ImageStore, Resolved
from imgsync.oci.spec.reference import Reference, Repository


class DestinationTags:
    """
    Resolves tags at destinations; one per plan.

    The first tag of a repository is resolved alone. If it exists, the others probably do as well, and each is resolved. If not, the
    repository is listed once, and tags that are not listed need no request: a new repository of any size costs two requests.

    Attributes:
        uncompared: Registries that require a login that we do not have.
    """

    def __init__(self, *, strict: bool = True) -> None:
        """Unless *strict*, treat registries without credentials as empty."""
        self.uncompared: set[str] = set()
        self._strict = strict
        self._has_first: dict[Repository, bool] = {}
        self._tags: dict[Repository, frozenset[str] | None] = {}
        self._flights: SingleFlight[tuple[str, Repository]] = SingleFlight()

    def resolve(self, client: ImageStore, reference: Reference) -> str | None:
        """
        Return the digest of *reference*, None if it does not exist.

        Raises:
            RegistryError: The destination fails.
        """
        if client.registry in self.uncompared:
            return None
        try:
            return self._resolve(client, reference)
        except (AccessDeniedError, AuthenticationError):
            if self._strict or client.find_login(reference.repository.path) is not None:
                raise
            self.uncompared.add(client.registry)
            return None

    def has_tags(self, repository: Repository) -> bool:
        """Return whether the repository turned out to have a tag already."""
        return self._has_first.get(repository, False) or bool(self._tags.get(repository))

    def _resolve(self, client: ImageStore, reference: Reference) -> str | None:
        repository = reference.repository
        found: Resolved | None = None

        def resolve_first() -> None:
            nonlocal found
            found = client.resolve(reference)
            self._has_first[repository] = found is not None

        while repository not in self._has_first:
            if self._flights.run(("first", repository), resolve_first):
                return found.digest if found is not None else None
        if not self._has_first[repository]:
            listed = self._list_once(client, repository)
            if listed is not None and reference.tag not in listed:
                return None
        found = client.resolve(reference)
        return found.digest if found is not None else None

    def _list_once(self, client: ImageStore, repository: Repository) -> frozenset[str] | None:
        while repository not in self._tags:
            self._flights.run(("list", repository), lambda: self._list(client, repository))
        return self._tags[repository]

    def _list(self, client: ImageStore, repository: Repository) -> None:
        try:
            self._tags[repository] = client.list_tag_names(repository)
        except NotFoundError:
            self._tags[repository] = frozenset()
