"""
List Amazon ECR: repositories of an account, and tags with digests.

ECR Public lists repositories only to their owner, so it is not listed here. Spec: botocore's service model of ECR.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from imgsync.errors import UnexpectedResponseError
from imgsync.listing.collectors import RepositoryCollector, TagCollector
from imgsync.listing.model import ListedTag, RepositoryListing, TagListing
from imgsync.oci.auth.aws import Aws
from imgsync.oci.errors import Operation
from imgsync.system.dataclass import dataclass

_PAGE_SIZE = 1000


@dataclass(frozen=True, slots=True)
class Ecr:
    """The ECR API of one account."""

    aws: Aws

    def repositories(self, namespace: str) -> RepositoryListing:
        """Return every repository of the account."""
        operation = Operation("list repositories of", f"{self.aws.registry}/{namespace}".rstrip("/"), self.aws.origin)
        found = RepositoryCollector(operation)
        for page in self._read_pages(operation, "describe_repositories"):
            found.add(str(row.get("repositoryName", "")) for row in page.get("repositories", ()))
        return found.make_listing("ecr")

    def tags(self, path: str) -> TagListing:
        """Return the tags of *path*; skip archived images, which cannot be pulled."""
        operation = Operation("list tags of", f"{self.aws.registry}/{path}", self.aws.origin)
        found = TagCollector(operation)
        archived: list[str] = []
        for page in self._read_pages(operation, "describe_images", repositoryName=path, filter={"tagStatus": "TAGGED"}):
            for image in page.get("imageDetails", ()):
                names = [str(tag) for tag in image.get("imageTags", ())]
                if image.get("imageStatus", "ACTIVE") != "ACTIVE":
                    archived += names
                    continue
                for name in names:
                    found.add(
                        ListedTag(
                            name, image.get("imageDigest"), image.get("imageSizeInBytes"), image.get("imagePushedAt"), image.get("imageManifestMediaType")
                        )
                    )
        warnings = [f"{operation.reference} has {len(archived)} archived tags, which cannot be pulled; skipped: {', '.join(archived[:3])}"] if archived else []
        return found.make_listing(warnings=warnings)

    def _read_pages(self, operation: Operation, call: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        seen: set[str] = set()
        more: dict[str, Any] = {}
        while True:
            page = self.aws.call(operation, call, maxResults=_PAGE_SIZE, **arguments, **more)
            yield page
            token = page.get("nextToken")
            if not token:
                return
            if token in seen:
                raise operation.make_error(UnexpectedResponseError, "the listing's pages never end")
            seen.add(token)
            more = {"nextToken": token}
