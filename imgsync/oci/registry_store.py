"""A registry as the engine uses it."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from imgsync.oci.referrers_api import list_referrers
from imgsync.oci.registry import RegistryClient
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.reference import Repository
from imgsync.oci.tag_names import list_tags_in_one_page
from imgsync.system.chunk import Chunk

if TYPE_CHECKING:
    from imgsync.oci.endpoint import Credentials
    from imgsync.oci.limits.pull_limit import PullQuota
    from imgsync.oci.upload import UploadSession


class RegistryStore(RegistryClient):
    """One registry as source or destination; see `ImageStore`."""

    damage_hint = ""

    @property
    def max_blob_bytes(self) -> int:
        """Return the size of the largest blob to copy from here."""
        return self.transport.endpoint.max_blob_bytes

    @property
    def pull_quota(self) -> PullQuota | None:
        """Return the pulls that are left, None if they are not counted."""
        return self.transport.pull_limit.quota

    def find_login(self, path: str) -> Credentials | None:
        """Return the credentials for the repository *path*, None for anonymous."""
        return self.transport.endpoint.credentials.find(path)

    def open_ahead(self, requests: int, *, is_certain: bool = False) -> None:
        """Open connections, as `Transport.open_ahead`."""
        self.transport.open_ahead(requests, is_certain=is_certain)

    def reach(self) -> object:
        """Check that the registry is there, and return its challenge."""
        return self.fetch_challenge()

    def list_referrers(self, repository: Repository, digest: str) -> tuple[Descriptor, ...] | None:
        """Return the referrers of *digest*, as `list_referrers`."""
        return list_referrers(self, repository, digest)

    def list_tag_names(self, repository: Repository) -> frozenset[str] | None:
        """Return every tag of *repository*, as `list_tags_in_one_page`."""
        return list_tags_in_one_page(self, repository)

    def name_blob(self, repository: Repository, blob: Descriptor) -> str:
        """Return the reference of the blob, for errors."""
        return str(repository.with_digest(blob.digest))

    # A run without changes moves no blob; docs/decisions/0006.

    def download(self, repository: Repository, blob: Descriptor, *, start: int = 0, end: int | None = None) -> Generator[Chunk, None, None]:
        """Yield the blob's bytes, as `download`."""
        from imgsync.oci.download import download

        return download(self, repository, blob, start=start, end=end)

    def begin_upload(self, repository: Repository, blob: Descriptor, *, mount_from: str) -> UploadSession | None:
        """Begin an upload or mount, as `begin_upload`."""
        from imgsync.oci.upload import begin_upload

        return begin_upload(self, repository, blob, mount_from=mount_from)
