"""
Quay, quay.io and one's own: repositories of a namespace, tags a page of 100 at a time with their digests.

Spec: registry-facts: "Quay". Its API knows OAuth tokens alone: `$oauthtoken` as the username makes the password one; robots see what anybody sees.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from imgsync.errors import UnexpectedResponseError
from imgsync.oci.errors import Operation
from imgsync.oci.listing.api import Api, Page, rows, text_of
from imgsync.oci.listing.model import ListedTag, RepositoryListing, TagListing
from imgsync.oci.listing.rows import RepositoryRows, TagRows, moment_of

_PAGE_SIZE = 100


@dataclass(frozen=True, slots=True)
class Quay:
    """Quay's own API."""

    api: Api

    def repositories(self, namespace: str) -> RepositoryListing:
        """Return the repositories of *namespace*, an organisation or a user, perhaps with the beginning of a path behind it."""
        operation = self.api.make_operation("list repositories of", namespace)
        if not namespace:
            raise operation.make_error(UnexpectedResponseError, "Quay lists by namespace", hint="name one: `source: {namespaces: [...]}`")
        auth_headers = self._auth_headers(operation)
        organisation = namespace.partition("/")[0]
        target = f"/api/v1/repository?namespace={organisation}{'' if auth_headers else '&public=true'}"
        found = RepositoryRows(operation)

        def after(page: Page) -> str | None:
            more = text_of(page.document, "next_page")
            return f"{target}&next_page={quote(more, safe='')}" if more else None

        for page in self.api.pages(operation, target, after, auth_headers=auth_headers):
            listed = rows(page, "repositories", operation)
            found.add(f"{text_of(row, 'namespace') or organisation}/{text_of(row, 'name')}" for row in listed if row.get("kind") in {"image", None})
        return found.listing("quay")

    def tags(self, path: str) -> TagListing:
        """Return the living tags of *path* with their digests."""
        operation = self.api.make_operation("list tags of", path)
        target = f"/api/v1/repository/{path}/tag/?limit={_PAGE_SIZE}&onlyActiveTags=true&page="
        found = TagRows(operation)
        numbers = itertools.count(2)

        def after(page: Page) -> str | None:
            return f"{target}{next(numbers)}" if page.document.get("has_additional") is True else None

        for page in self.api.pages(operation, f"{target}1", after, auth_headers=self._auth_headers(operation)):
            for row in rows(page, "tags", operation):
                found.add(_tag(row))
        return found.listing()

    def _auth_headers(self, operation: Operation) -> dict[str, str]:
        login = self.api.login(operation)
        return {"Authorization": f"Bearer {login.password}"} if login is not None and login.username == "$oauthtoken" else {}


def _tag(row: dict[str, Any]) -> ListedTag:
    # Its size is that of one manifest's layers; for an index it is none at all, so it is not taken for the image's.
    return ListedTag(text_of(row, "name"), text_of(row, "manifest_digest") or None, created_at=moment_of(row.get("last_modified")))
