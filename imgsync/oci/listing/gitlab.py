"""
GitLab: the repositories of a group or a project. Its tag lists hold no digests, so tags come from `tags/list`.

Spec: registry-facts: "GitLab" (`/api/v4`). A password that is a personal, group or project access token is one for the API too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from imgsync.errors import NotFoundError, UnexpectedResponseError
from imgsync.oci.errors import Operation
from imgsync.oci.listing.api import Api, Page, rows, text_of
from imgsync.oci.listing.distribution import list_tags
from imgsync.oci.listing.model import RepositoryListing, TagListing
from imgsync.oci.listing.rows import RepositoryRows
from imgsync.oci.registry import RegistryClient
from imgsync.text.units import parse_integer

_PAGE_SIZE = 100
_JOB_USER = "gitlab-ci-token"


@dataclass(frozen=True, slots=True)
class GitLab:
    """GitLab's own API."""

    api: Api
    client: RegistryClient

    def repositories(self, namespace: str) -> RepositoryListing:
        """Return the repositories of *namespace*: a group with all below it, or a project."""
        operation = self.api.make_operation("list repositories of", namespace)
        if not namespace:
            raise operation.make_error(UnexpectedResponseError, "GitLab lists by group or project", hint="name one: `source: {namespaces: [...]}`")
        whole = quote(namespace, safe="")
        found = RepositoryRows(operation)
        try:
            pages = list(self._pages(operation, f"/api/v4/groups/{whole}/registry/repositories"))
        except NotFoundError:
            pages = list(self._pages(operation, f"/api/v4/projects/{whole}/registry/repositories"))
        for page in pages:
            found.add(text_of(row, "path") for row in rows(page, None, operation))
        return found.listing("gitlab")

    def tags(self, path: str) -> TagListing:
        """Return the tags by `tags/list`: the API would want a request for each to tell its digest."""
        return list_tags(self.client, path)

    def _pages(self, operation: Operation, target: str) -> Iterator[Page]:
        login = self.api.login(operation)
        auth_headers = {} if login is None else {"JOB-TOKEN" if login.username == _JOB_USER else "PRIVATE-TOKEN": login.password}
        whole = f"{target}?per_page={_PAGE_SIZE}&page="

        def after(page: Page) -> str | None:
            number = parse_integer(page.headers.get("x-next-page", ""))
            return None if number is None else f"{whole}{number}"

        return self.api.pages(operation, f"{whole}1", after, auth_headers=auth_headers)
