"""
Harbor: projects, repositories and artifacts, with digests, sizes and dates; and the making of projects.

Spec: registry-facts: "Harbor" (`/api/v2.0`): at most 100 a page; a repository's slashes are encoded twice.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from imgsync.oci.errors import Operation
from imgsync.oci.listing.api import Api, Page, count_of, numbers_behind, rows, text_of
from imgsync.oci.listing.model import ListedTag, RepositoryListing, TagListing
from imgsync.oci.listing.rows import RepositoryRows, TagRows, moment_of
from imgsync.text.units import parse_integer

_PAGE_SIZE = 100


@dataclass(frozen=True, slots=True)
class Harbor:
    """Harbor's own API."""

    api: Api

    def repositories(self, namespace: str) -> RepositoryListing:
        """Return the repositories of a project, its name perhaps with the beginning of a path behind it; of all projects for ""."""
        operation = self.api.make_operation("list repositories of", namespace)
        projects = [namespace.partition("/")[0]] if namespace else self._projects(operation)
        found = RepositoryRows(operation)
        for project in projects:
            for page in self._pages(operation, f"/api/v2.0/projects/{quote(project, safe='')}/repositories"):
                found.add(text_of(row, "name") for row in rows(page, None, operation))
        return found.listing("harbor")

    def tags(self, path: str) -> TagListing:
        """Return the tags of *path* with digests, sizes and dates."""
        operation = self.api.make_operation("list tags of", path)
        project, _, repository = path.partition("/")
        name = quote(quote(repository, safe=""), safe="")
        found = TagRows(operation)
        for page in self._pages(operation, f"/api/v2.0/projects/{project}/repositories/{name}/artifacts", "with_tag=true"):
            for row in rows(page, None, operation):
                for tag in row.get("tags") or ():
                    if isinstance(tag, dict):
                        found.add(_tag(row, text_of(tag, "name")))
        return found.listing()

    def create_project(self, path: str) -> None:
        """
        Make the project that the repository *path* belongs to, private; one that is there stays as it is.

        Raises:
            RegistryError: The account may not.
        """
        project = path.partition("/")[0]
        operation = self.api.make_operation("create the project of", path)
        document = {"project_name": project, "metadata": {"public": "false"}}
        self.api.post(operation, "/api/v2.0/projects", document, accept_statuses=frozenset({201, 409}), auth_headers=self._auth_headers(operation))

    def _projects(self, operation: Operation) -> list[str]:
        return [text_of(row, "name") for page in self._pages(operation, "/api/v2.0/projects") for row in rows(page, None, operation)]

    def _pages(self, operation: Operation, target: str, query: str = "") -> Iterator[Page]:
        whole = f"{target}?{query}{'&' if query else ''}page_size={_PAGE_SIZE}&page="
        numbers = itertools.count(2)
        read = 0

        def after(page: Page) -> str | None:
            nonlocal read
            listed = rows(page, None, operation)
            read += len(listed)
            total = _total(page)
            # Where it tells how many there are, that decides; else whether it names a next page.
            more = read < total if total is not None else page.following is not None
            return f"{whole}{next(numbers)}" if listed and more else None

        def known(first: Page) -> Iterator[str]:
            return (f"{whole}{number}" for number in numbers_behind(len(rows(first, None, operation)), _total(first)))

        return self.api.pages(operation, f"{whole}1", after, auth_headers=self._auth_headers(operation), known=known)

    def _auth_headers(self, operation: Operation) -> dict[str, str]:
        login = self.api.login(operation)
        return {} if login is None else {"Authorization": "Basic " + base64.b64encode(f"{login.username}:{login.password}".encode()).decode()}


def _total(page: Page) -> int | None:
    """Return how many rows there are in all, None where the answer does not say."""
    return parse_integer(page.headers.get("x-total-count", ""))


def _tag(artifact: dict[str, Any], name: str) -> ListedTag:
    more = artifact.get("extra_attrs")
    created = moment_of(more.get("created")) if isinstance(more, dict) else None
    return ListedTag(
        name=name,
        digest=text_of(artifact, "digest") or None,
        size_bytes=count_of(artifact.get("size")) or None,
        created_at=created or moment_of(artifact.get("push_time")),
        media_type=text_of(artifact, "manifest_media_type") or None,
    )
