"""
List GitLab: repositories of a group or project.

GitLab's tag lists have no digests, so tags come from `tags/list`. A personal, group or project access token is valid for the API too. Spec:
docs.gitlab.com/api/container_registry.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from imgsync.errors import NotFoundError, UnexpectedResponseError
from imgsync.listing.collectors import RepositoryCollector
from imgsync.listing.distribution import list_tags
from imgsync.listing.json_api import ApiPage, JsonApi
from imgsync.listing.json_fields import read_rows, read_text
from imgsync.listing.model import RepositoryListing, TagListing
from imgsync.oci.errors import Operation
from imgsync.oci.registry import RegistryClient
from imgsync.system.dataclass import dataclass
from imgsync.text.units import parse_integer

_PAGE_SIZE = 100
_JOB_USER = "gitlab-ci-token"


@dataclass(frozen=True, slots=True)
class GitLab:
    """GitLab's API."""

    api: JsonApi
    client: RegistryClient

    def repositories(self, namespace: str) -> RepositoryListing:
        """Return the repositories of a whole group, or of a project."""
        operation = self.api.make_operation("list repositories of", namespace)
        if not namespace:
            raise operation.make_error(UnexpectedResponseError, "GitLab lists repositories by group or project", hint="name one: `source: {namespaces: [...]}`")
        whole = quote(namespace, safe="")
        found = RepositoryCollector(operation)
        try:
            pages = list(self._read_pages(operation, f"/api/v4/groups/{whole}/registry/repositories"))
        except NotFoundError:
            pages = list(self._read_pages(operation, f"/api/v4/projects/{whole}/registry/repositories"))
        for page in pages:
            found.add(read_text(row, "path") for row in read_rows(page.document, None, operation))
        return found.make_listing("gitlab")

    def tags(self, path: str) -> TagListing:
        """Return the tags by `tags/list`."""
        return list_tags(self.client, path)

    def _read_pages(self, operation: Operation, target: str) -> Iterator[ApiPage]:
        login = self.api.find_login(operation)
        auth_headers = {} if login is None else {"JOB-TOKEN" if login.username == _JOB_USER else "PRIVATE-TOKEN": login.password}
        whole = f"{target}?per_page={_PAGE_SIZE}&page="

        def find_next(page: ApiPage) -> str | None:
            following = page.headers.get("x-next-page")
            if following is None:
                return None if page.next_link is None else self.api.check_next_link(operation, page.next_link)
            if following and parse_integer(following) is None:
                raise operation.make_error(UnexpectedResponseError, "the listing's X-Next-Page is not a number", status=200)
            return f"{whole}{following}" if following else None

        return self.api.read_pages(operation, f"{whole}1", find_next, auth_headers=auth_headers)
