"""
GHCR: packages of an organisation or a user, their versions with digests and tags, by GitHub's REST API.

Spec: registry-facts: "GHCR". The API wants a token even for what is public; without one, tags come from `tags/list`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from imgsync.errors import AuthenticationError, NotFoundError, UnexpectedResponseError
from imgsync.oci.errors import Operation
from imgsync.oci.listing.api import Api, Page, rows, text_of
from imgsync.oci.listing.distribution import list_tags
from imgsync.oci.listing.model import ListedTag, RepositoryListing, TagListing
from imgsync.oci.listing.rows import RepositoryRows, TagRows, moment_of
from imgsync.oci.registry import RegistryClient

URL = "https://api.github.com"
_HOST = "api.github.com"
_PAGE_SIZE = 100


@dataclass(frozen=True, slots=True)
class Ghcr:
    """GitHub's API for packages."""

    api: Api
    client: RegistryClient

    def repositories(self, namespace: str) -> RepositoryListing:
        """Return the container packages of *namespace*, an organisation or a user."""
        operation = self.api.make_operation("list repositories of", namespace)
        owner = namespace.partition("/")[0]
        if not owner:
            raise operation.make_error(UnexpectedResponseError, "GitHub lists by owner", hint="name one: `source: {namespaces: [...]}`")
        auth_headers = self._auth_headers(operation)
        if not auth_headers:
            raise operation.make_error(
                AuthenticationError,
                "GitHub lists packages only to who has a token, even public ones",
                hint=f"give credentials for {self.api.registry} whose password is a classic token with read:packages, or name the repositories",
            )
        found = RepositoryRows(operation)
        for page in self._owned(operation, owner, "packages", "package_type=container", auth_headers):
            found.add(f"{owner}/{text_of(row, 'name')}".lower() for row in rows(page, None, operation))
        return found.listing("ghcr")

    def tags(self, path: str) -> TagListing:
        """Return the tags of *path*, with digests where there is a token."""
        operation = self.api.make_operation("list tags of", path)
        auth_headers = self._auth_headers(operation)
        if not auth_headers:
            return list_tags(self.client, path)
        owner, _, name = path.partition("/")
        found = TagRows(operation)
        for page in self._owned(operation, owner, f"packages/container/{quote(name, safe='')}/versions", "state=active", auth_headers):
            for row in rows(page, None, operation):
                for tag in _tags_of(row):
                    # Untagged versions are children of indexes and attestations.
                    found.add(ListedTag(tag, text_of(row, "name") or None, created_at=moment_of(row.get("created_at"))))
        return found.listing()

    def _owned(self, operation: Operation, owner: str, what: str, query: str, auth_headers: dict[str, str]) -> Iterator[Page]:
        """Yield pages of *what* the organisation *owner* has, or the user of that name."""
        try:
            yield from list(self._pages(operation, f"/orgs/{owner}/{what}?{query}", auth_headers))
        except NotFoundError:
            yield from self._pages(operation, f"/users/{owner}/{what}?{query}", auth_headers)

    def _pages(self, operation: Operation, target: str, auth_headers: dict[str, str]) -> Iterator[Page]:
        def after(page: Page) -> str | None:
            return None if page.following is None else self.api.own_url(operation, page.following, also=_HOST)

        return self.api.pages(operation, f"{target}&per_page={_PAGE_SIZE}&page=1", after, auth_headers=auth_headers)

    def _auth_headers(self, operation: Operation) -> dict[str, str]:
        login = self.api.login(operation)
        return {} if login is None else {"Authorization": f"Bearer {login.password}"}


def _tags_of(version: dict[str, Any]) -> list[str]:
    metadata = version.get("metadata")
    container = metadata.get("container") if isinstance(metadata, dict) else None
    tags = container.get("tags") if isinstance(container, dict) else None
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
