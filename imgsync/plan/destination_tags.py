"""What destinations serve under tags of which nothing is remembered: tag by tag, or, where there seems to be nothing yet, by one list of what is there."""

from __future__ import annotations

from imgsync.concurrency.single_flight import SingleFlight
from imgsync.errors import AccessDeniedError, AuthenticationError, NotFoundError
from imgsync.oci.listing.tag_names import list_tags_in_one_page
from imgsync.oci.registry import RegistryClient, Resolved
from imgsync.oci.spec.reference import Reference, Repository


class DestinationTags:
    """
    Asks destinations. One per plan.

    The first tag of a repository is asked for alone. If it is there, so are the others in all likelihood, and each is asked for; if not,
    the repository is listed, once, and what the list lacks costs no request of its own: a new repository of any size costs two.

    `uncompared` are the registries that let nobody look without a login, where we have none.
    """

    def __init__(self, *, strict: bool = True) -> None:
        """Begin with nothing known. Unless *strict*, a registry that we have no login for, and that wants one, serves nothing that we know of."""
        self.uncompared: set[str] = set()
        self._strict = strict
        self._has_first: dict[Repository, bool] = {}
        self._tags: dict[Repository, frozenset[str] | None] = {}
        self._flights: SingleFlight[tuple[str, Repository]] = SingleFlight()

    def resolve(self, client: RegistryClient, reference: Reference) -> str | None:
        """
        Return the digest that the destination serves as *reference*, None for none.

        Raises:
            RegistryError: The destination fails.
        """
        if client.registry in self.uncompared:
            return None
        try:
            return self._asked(client, reference)
        except (AccessDeniedError, AuthenticationError):
            if self._strict or client.transport.endpoint.credentials.find(reference.repository.path) is not None:
                raise
            self.uncompared.add(client.registry)
            return None

    def _asked(self, client: RegistryClient, reference: Reference) -> str | None:
        repository = reference.repository
        found: Resolved | None = None

        def ask_first() -> None:
            nonlocal found
            found = client.resolve(reference)
            self._has_first[repository] = found is not None

        while repository not in self._has_first:
            if self._flights.run(("first", repository), ask_first):
                return found.digest if found is not None else None
        if not self._has_first[repository]:
            listed = self._listed(client, repository)
            if listed is not None and reference.tag not in listed:
                return None
        found = client.resolve(reference)
        return found.digest if found is not None else None

    def _listed(self, client: RegistryClient, repository: Repository) -> frozenset[str] | None:
        while repository not in self._tags:
            self._flights.run(("list", repository), lambda: self._list(client, repository))
        return self._tags[repository]

    def _list(self, client: RegistryClient, repository: Repository) -> None:
        try:
            self._tags[repository] = list_tags_in_one_page(client, repository)
        except NotFoundError:
            self._tags[repository] = frozenset()
