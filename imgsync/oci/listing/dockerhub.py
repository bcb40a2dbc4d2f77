"""
Docker Hub: repositories of a namespace, tags a page of 100 at a time with digest, sizes and date.

Spec: registry-facts: "Docker Hub"; Hub's API is on a host of its own, and a password or access token gets a bearer token there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from imgsync.errors import AuthenticationError, UnexpectedResponseError
from imgsync.oci.errors import Operation
from imgsync.oci.listing.api import Api, Page, count_of, numbers_behind, rows, text_of
from imgsync.oci.listing.model import ListedTag, RepositoryListing, TagListing
from imgsync.oci.listing.rows import RepositoryRows, TagRows, moment_of

URL = "https://hub.docker.com"
_HOST = "hub.docker.com"
_PAGE_SIZE = 100
# Its tokens live ten minutes.
_TOKEN_SECONDS = 480.0


@dataclass(frozen=True, slots=True)
class DockerHub:
    """Docker Hub's own API."""

    api: Api

    def repositories(self, namespace: str) -> RepositoryListing:
        """Return the repositories of *namespace*, an organisation or a user."""
        operation = self.api.make_operation("list repositories of", namespace)
        if not namespace or "/" in namespace:
            raise operation.make_error(UnexpectedResponseError, "Docker Hub lists by namespace, which is one word, such as library")
        found = RepositoryRows(operation)
        for page in self._pages(operation, f"/v2/namespaces/{namespace}/repositories"):
            found.add(f"{namespace}/{text_of(row, 'name')}" for row in rows(page, "results", operation) if row.get("repository_type") in {"image", None})
        return found.listing("dockerhub")

    def tags(self, path: str) -> TagListing:
        """Return the tags of *path* with their digests; very old ones may have none."""
        operation = self.api.make_operation("list tags of", path)
        namespace, _, name = path.partition("/")
        found = TagRows(operation)
        count = None
        for page in self._pages(operation, f"/v2/namespaces/{quote(namespace)}/repositories/{quote(name, safe='')}/tags"):
            for row in rows(page, "results", operation):
                found.add(_tag(row))
            count = count_of(page.document.get("count"))
        short = count is not None and len(found) < count
        return found.listing(warnings=[f"{operation.reference} changed while its tags were listed: {len(found)} of {count} were seen"] if short else [])

    def _pages(self, operation: Operation, target: str) -> Iterator[Page]:
        def after(page: Page) -> str | None:
            following = page.document.get("next")
            return self.api.own_url(operation, following, also=_HOST) if isinstance(following, str) and following else None

        def known(first: Page) -> Iterator[str]:
            count = count_of(first.document.get("count")) if first.document.get("next") else None
            numbers = numbers_behind(len(rows(first, "results", operation)), count)
            return (f"{target}?page={number}&page_size={_PAGE_SIZE}" for number in numbers)

        return self.api.pages(operation, f"{target}?page=1&page_size={_PAGE_SIZE}", after, auth_headers=self._auth_headers(operation), known=known)

    def _auth_headers(self, operation: Operation) -> dict[str, str]:
        login = self.api.login(operation)
        if login is None:
            return {}

        def log_in() -> str:
            asked = Operation("log in to the API of", operation.reference.partition("/")[0], operation.origin)
            body = {"identifier": login.username, "secret": login.password}
            page = self.api.post(asked, "/v2/auth/token", body, accept_statuses=frozenset({200}))
            token = text_of(page.document, "access_token") if isinstance(page.document, dict) else ""
            if not token.isascii() or not token.isprintable() or not token:
                raise asked.make_error(AuthenticationError, "the answer holds no token", status=200)
            return token

        return {"Authorization": f"Bearer {self.api.access.token(log_in, life_seconds=_TOKEN_SECONDS)}"}


def _tag(row: dict[str, Any]) -> ListedTag:
    images = row.get("images")
    sizes = [count_of(image.get("size")) for image in images if isinstance(image, dict)] if isinstance(images, list) else []
    known = [size for size in sizes if size is not None]
    return ListedTag(
        name=text_of(row, "name"),
        digest=text_of(row, "digest") or None,
        # `full_size` is that of one platform alone.
        size_bytes=sum(known) if known and len(known) == len(sizes) else None,
        created_at=moment_of(row.get("last_updated")) or moment_of(row.get("tag_last_pushed")),
        media_type=text_of(row, "media_type") or None,
    )
