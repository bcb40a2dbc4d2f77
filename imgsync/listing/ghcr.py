"""
List GHCR by GitHub's REST API: packages, and tags with digests.

The API requires a token even for public packages; without one, tags come from `tags/list`. Spec: docs.github.com/rest/packages.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from imgsync.errors import AuthenticationError, NotFoundError, UnexpectedResponseError
from imgsync.listing.collectors import RepositoryCollector, TagCollector
from imgsync.listing.distribution import list_tags
from imgsync.listing.json_api import ApiPage, JsonApi
from imgsync.listing.json_fields import parse_timestamp, read_rows, read_text
from imgsync.listing.model import ListedTag, RepositoryListing, TagListing
from imgsync.oci.errors import Operation
from imgsync.oci.registry import RegistryClient
from imgsync.system.dataclass import dataclass

URL = "https://api.github.com"
_HOST = "api.github.com"
_PAGE_SIZE = 100


@dataclass(frozen=True, slots=True)
class Ghcr:
    """GitHub's packages API."""

    api: JsonApi
    client: RegistryClient

    def repositories(self, namespace: str) -> RepositoryListing:
        """Return the container packages of an organisation or user."""
        operation = self.api.make_operation("list repositories of", namespace)
        owner = namespace.partition("/")[0]
        if not owner:
            raise operation.make_error(UnexpectedResponseError, "GitHub lists packages by owner", hint="name one: `source: {namespaces: [...]}`")
        auth_headers = self._make_auth_headers(operation)
        if not auth_headers:
            raise operation.make_error(
                AuthenticationError,
                "GitHub requires a token to list packages, even public ones",
                hint=f"set credentials for {self.api.registry} with a classic token that has read:packages, or name the repositories",
            )
        found = RepositoryCollector(operation)
        for page in self._read_owned(operation, owner, "packages", "package_type=container", auth_headers):
            found.add(f"{owner}/{read_text(row, 'name')}".lower() for row in read_rows(page.document, None, operation))
        return found.make_listing("ghcr")

    def tags(self, path: str) -> TagListing:
        """Return the tags of *path*, with digests if there is a token."""
        operation = self.api.make_operation("list tags of", path)
        auth_headers = self._make_auth_headers(operation)
        if not auth_headers:
            return list_tags(self.client, path)
        owner, _, name = path.partition("/")
        found = TagCollector(operation)
        for page in self._read_owned(operation, owner, f"packages/container/{quote(name, safe='')}/versions", "state=active", auth_headers):
            for row in read_rows(page.document, None, operation):
                for tag in _read_tags(row):
                    # Versions without tags are children of indexes, and attestations.
                    found.add(ListedTag(tag, read_text(row, "name") or None, created_at=parse_timestamp(row.get("created_at"))))
        return found.make_listing()

    def _read_owned(self, operation: Operation, owner: str, what: str, query: str, auth_headers: dict[str, str]) -> Iterator[ApiPage]:
        """Yield pages of *what* from an organisation, or else a user."""
        try:
            yield from list(self._read_pages(operation, f"/orgs/{owner}/{what}?{query}", auth_headers))
        except NotFoundError:
            yield from self._read_pages(operation, f"/users/{owner}/{what}?{query}", auth_headers)

    def _read_pages(self, operation: Operation, target: str, auth_headers: dict[str, str]) -> Iterator[ApiPage]:
        def find_next(page: ApiPage) -> str | None:
            return None if page.next_link is None else self.api.check_next_link(operation, page.next_link, alias=_HOST)

        return self.api.read_pages(operation, f"{target}&per_page={_PAGE_SIZE}&page=1", find_next, auth_headers=auth_headers)

    def _make_auth_headers(self, operation: Operation) -> dict[str, str]:
        login = self.api.find_login(operation)
        return {} if login is None else {"Authorization": f"Bearer {login.password}"}


def _read_tags(version: dict[str, Any]) -> list[str]:
    metadata = version.get("metadata")
    container = metadata.get("container") if isinstance(metadata, dict) else None
    tags = container.get("tags") if isinstance(container, dict) else None
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
