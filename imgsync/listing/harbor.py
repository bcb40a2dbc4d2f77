"""
List Harbor: repositories, and tags with digests; create projects.

Pages have at most 100 rows, and the slashes of a repository are encoded twice. Spec: Harbor's API 2.0.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from imgsync.listing.collectors import RepositoryCollector, TagCollector
from imgsync.listing.json_api import ApiPage, JsonApi, number_further_pages
from imgsync.listing.json_fields import parse_timestamp, read_count, read_rows, read_text
from imgsync.listing.model import ListedTag, RepositoryListing, TagListing
from imgsync.oci.errors import Operation
from imgsync.system.dataclass import dataclass
from imgsync.text.units import parse_integer

_PAGE_SIZE = 100


@dataclass(frozen=True, slots=True)
class Harbor:
    """Harbor's API."""

    api: JsonApi

    def repositories(self, namespace: str) -> RepositoryListing:
        """Return the repositories of one project, or of all for ""."""
        operation = self.api.make_operation("list repositories of", namespace)
        projects = [namespace.partition("/")[0]] if namespace else self._list_projects(operation)
        found = RepositoryCollector(operation)
        for project in projects:
            for page in self._read_pages(operation, f"/api/v2.0/projects/{quote(project, safe='')}/repositories"):
                found.add(read_text(row, "name") for row in read_rows(page.document, None, operation))
        return found.make_listing("harbor")

    def tags(self, path: str) -> TagListing:
        """Return the tags with digests, sizes and dates."""
        operation = self.api.make_operation("list tags of", path)
        project, _, repository = path.partition("/")
        name = quote(quote(repository, safe=""), safe="")
        found = TagCollector(operation)
        for page in self._read_pages(operation, f"/api/v2.0/projects/{project}/repositories/{name}/artifacts", "with_tag=true"):
            for row in read_rows(page.document, None, operation):
                for tag in row.get("tags") or ():
                    if isinstance(tag, dict):
                        found.add(_make_tag(row, read_text(tag, "name")))
        return found.make_listing()

    def create_project(self, path: str) -> None:
        """
        Create the private project of the repository *path* unless it exists.

        Raises:
            RegistryError: The account lacks permission, or the API fails.
        """
        project = path.partition("/")[0]
        operation = self.api.make_operation("create the project of", path)
        document = {"project_name": project, "metadata": {"public": "false"}}
        self.api.post(operation, "/api/v2.0/projects", document, accept_statuses=frozenset({201, 409}), auth_headers=self._make_auth_headers(operation))

    def _list_projects(self, operation: Operation) -> list[str]:
        return [read_text(row, "name") for page in self._read_pages(operation, "/api/v2.0/projects") for row in read_rows(page.document, None, operation)]

    def _read_pages(self, operation: Operation, target: str, query: str = "") -> Iterator[ApiPage]:
        whole = f"{target}?{query}{'&' if query else ''}page_size={_PAGE_SIZE}&page="
        numbers = itertools.count(2)
        read = 0

        def find_next(page: ApiPage) -> str | None:
            nonlocal read
            listed = read_rows(page.document, None, operation)
            read += len(listed)
            total = _read_total(page)
            # Without a total count, the `Link` decides.
            more = read < total if total is not None else page.next_link is not None
            return f"{whole}{next(numbers)}" if listed and more else None

        def list_known(first: ApiPage) -> Iterator[str]:
            return (f"{whole}{number}" for number in number_further_pages(len(read_rows(first.document, None, operation)), _read_total(first)))

        return self.api.read_pages(operation, f"{whole}1", find_next, auth_headers=self._make_auth_headers(operation), list_known=list_known)

    def _make_auth_headers(self, operation: Operation) -> dict[str, str]:
        login = self.api.find_login(operation)
        return {} if login is None else {"Authorization": "Basic " + base64.b64encode(f"{login.username}:{login.password}".encode()).decode()}


def _read_total(page: ApiPage) -> int | None:
    """Return the number of rows on all pages, None if unknown."""
    return parse_integer(page.headers.get("x-total-count", ""))


def _make_tag(artifact: dict[str, Any], name: str) -> ListedTag:
    more = artifact.get("extra_attrs")
    created = parse_timestamp(more.get("created")) if isinstance(more, dict) else None
    return ListedTag(
        name=name,
        digest=read_text(artifact, "digest") or None,
        size_bytes=read_count(artifact.get("size")) or None,
        created_at=created or parse_timestamp(artifact.get("push_time")),
        media_type=read_text(artifact, "manifest_media_type") or None,
    )
