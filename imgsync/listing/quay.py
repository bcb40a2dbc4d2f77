"""
List Quay: repositories of a namespace, tags with digests.

The API accepts OAuth tokens only, which have the username `$oauthtoken`; with other credentials it is asked anonymously. Spec: quay/quay
`endpoints/api`.
"""

from __future__ import annotations

import itertools
from typing import Any
from urllib.parse import quote

from imgsync.errors import UnexpectedResponseError
from imgsync.listing.collectors import RepositoryCollector, TagCollector
from imgsync.listing.json_api import ApiPage, JsonApi
from imgsync.listing.json_fields import parse_timestamp, read_cursor, read_rows, read_text
from imgsync.listing.model import ListedTag, RepositoryListing, TagListing
from imgsync.oci.errors import Operation
from imgsync.system.dataclass import dataclass

_PAGE_SIZE = 100


@dataclass(frozen=True, slots=True)
class Quay:
    """Quay's API."""

    api: JsonApi

    def repositories(self, namespace: str) -> RepositoryListing:
        """Return the repositories of an organisation or user."""
        operation = self.api.make_operation("list repositories of", namespace)
        if not namespace:
            raise operation.make_error(UnexpectedResponseError, "Quay lists repositories by namespace", hint="name one: `source: {namespaces: [...]}`")
        auth_headers = self._make_auth_headers(operation)
        organisation = namespace.partition("/")[0]
        target = f"/api/v1/repository?namespace={organisation}{'' if auth_headers else '&public=true'}"
        found = RepositoryCollector(operation)

        def find_next(page: ApiPage) -> str | None:
            more = read_cursor(page.document, "next_page", operation)
            return f"{target}&next_page={quote(more, safe='')}" if more else None

        for page in self.api.read_pages(operation, target, find_next, auth_headers=auth_headers):
            listed = read_rows(page.document, "repositories", operation)
            found.add(f"{read_text(row, 'namespace') or organisation}/{read_text(row, 'name')}" for row in listed if row.get("kind") in {"image", None})
        return found.make_listing("quay")

    def tags(self, path: str) -> TagListing:
        """Return the active tags of *path* with digests."""
        operation = self.api.make_operation("list tags of", path)
        target = f"/api/v1/repository/{path}/tag/?limit={_PAGE_SIZE}&onlyActiveTags=true&page="
        found = TagCollector(operation)
        numbers = itertools.count(2)

        def find_next(page: ApiPage) -> str | None:
            return f"{target}{next(numbers)}" if page.document.get("has_additional") else None

        for page in self.api.read_pages(operation, f"{target}1", find_next, auth_headers=self._make_auth_headers(operation)):
            for row in read_rows(page.document, "tags", operation):
                found.add(_make_tag(row))
        return found.make_listing()

    def _make_auth_headers(self, operation: Operation) -> dict[str, str]:
        login = self.api.find_login(operation)
        return {"Authorization": f"Bearer {login.password}"} if login is not None and login.username == "$oauthtoken" else {}


def _make_tag(row: dict[str, Any]) -> ListedTag:
    # The size in the row counts one manifest's layers, and is missing for an index, so it is not used.
    return ListedTag(read_text(row, "name"), read_text(row, "manifest_digest") or None, created_at=parse_timestamp(row.get("last_modified")))
