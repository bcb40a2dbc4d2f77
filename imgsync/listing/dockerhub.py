"""
List Docker Hub: repositories of a namespace, and tags with digests.

Hub's API has its own host, which exchanges a password or access token for a bearer token. Spec: Docker's `content/reference/api/hub/latest.yaml`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from imgsync.errors import AuthenticationError, UnexpectedResponseError
from imgsync.listing.collectors import RepositoryCollector, TagCollector
from imgsync.listing.json_api import ApiPage, JsonApi, number_further_pages
from imgsync.listing.json_fields import parse_timestamp, read_count, read_cursor, read_rows, read_text
from imgsync.listing.model import ListedTag, RepositoryListing, TagListing
from imgsync.oci.errors import Operation
from imgsync.system.dataclass import dataclass

URL = "https://hub.docker.com"
_HOST = "hub.docker.com"
_PAGE_SIZE = 100
# Tokens are valid for ten minutes.
_TOKEN_SECONDS = 480.0


@dataclass(frozen=True, slots=True)
class DockerHub:
    """Docker Hub's API."""

    api: JsonApi

    def repositories(self, namespace: str) -> RepositoryListing:
        """Return the repositories of an organisation or user."""
        operation = self.api.make_operation("list repositories of", namespace)
        if not namespace or "/" in namespace:
            raise operation.make_error(UnexpectedResponseError, "Docker Hub lists namespaces, which have one part, such as library")
        found = RepositoryCollector(operation)
        for page in self._read_pages(operation, f"/v2/namespaces/{namespace}/repositories"):
            found.add(
                f"{namespace}/{read_text(row, 'name')}"
                for row in read_rows(page.document, "results", operation)
                if row.get("repository_type") in {"image", None}
            )
        return found.make_listing("dockerhub")

    def tags(self, path: str) -> TagListing:
        """Return the tags of *path* with digests, which very old tags lack."""
        operation = self.api.make_operation("list tags of", path)
        namespace, _, name = path.partition("/")
        found = TagCollector(operation)
        count = None
        for page in self._read_pages(operation, f"/v2/namespaces/{quote(namespace)}/repositories/{quote(name, safe='')}/tags"):
            for row in read_rows(page.document, "results", operation):
                found.add(_make_tag(row))
            count = read_count(page.document.get("count"))
        short = count is not None and len(found) < count
        return found.make_listing(warnings=[f"{operation.reference} changed while its tags were listed: {len(found)} of {count} were found"] if short else [])

    def _read_pages(self, operation: Operation, target: str) -> Iterator[ApiPage]:
        def find_next(page: ApiPage) -> str | None:
            following = read_cursor(page.document, "next", operation)
            return self.api.check_next_link(operation, following, alias=_HOST) if following else None

        def list_known(first: ApiPage) -> Iterator[str]:
            count = read_count(first.document.get("count")) if first.document.get("next") else None
            numbers = number_further_pages(len(read_rows(first.document, "results", operation)), count)
            return (f"{target}?page={number}&page_size={_PAGE_SIZE}" for number in numbers)

        return self.api.read_pages(
            operation, f"{target}?page=1&page_size={_PAGE_SIZE}", find_next, auth_headers=self._make_auth_headers(operation), list_known=list_known
        )

    def _make_auth_headers(self, operation: Operation) -> dict[str, str]:
        login = self.api.find_login(operation)
        if login is None:
            return {}

        def log_in() -> str:
            log_in_operation = Operation("log in to the API of", operation.reference.partition("/")[0], operation.origin)
            body = {"identifier": login.username, "secret": login.password}
            with self.api.try_login(login, log_in_operation):
                page = self.api.post(log_in_operation, "/v2/auth/token", body, accept_statuses=frozenset({200}))
            token = read_text(page.document, "access_token") if isinstance(page.document, dict) else ""
            if not token.isascii() or not token.isprintable() or not token:
                raise log_in_operation.make_error(AuthenticationError, "the response has no token", status=200)
            return token

        return {"Authorization": f"Bearer {self.api.session.get_token(log_in, life_seconds=_TOKEN_SECONDS)}"}


def _make_tag(row: dict[str, Any]) -> ListedTag:
    images = row.get("images")
    sizes = [read_count(image.get("size")) for image in images if isinstance(image, dict)] if isinstance(images, list) else []
    known = [size for size in sizes if size is not None]
    return ListedTag(
        name=read_text(row, "name"),
        digest=read_text(row, "digest") or None,
        # `full_size` counts one platform only.
        size_bytes=sum(known) if known and len(known) == len(sizes) else None,
        created_at=parse_timestamp(row.get("last_updated")) or parse_timestamp(row.get("tag_last_pushed")),
        media_type=read_text(row, "media_type") or None,
    )
