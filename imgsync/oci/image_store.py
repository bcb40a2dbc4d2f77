"""
What holds images: the one interface of registries, layouts and bundles.

The engine plans and copies by it, and does not know which of them it talks to. `oci/registry_store.py` is a registry, `oci/layout/store.py` a layout.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Protocol, Self

from imgsync.errors import UnexpectedResponseError
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.manifest import Manifest
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.system.chunk import Chunk
from imgsync.system.dataclass import dataclass

if TYPE_CHECKING:
    from imgsync.oci.capabilities import Capabilities
    from imgsync.oci.endpoint import Credentials
    from imgsync.oci.errors import Operation
    from imgsync.oci.limits.pull_limit import PullQuota
    from imgsync.oci.limits.retry import RetryPolicy


class WrongRangeError(UnexpectedResponseError):
    """The response is not the requested range."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a tag names now; the manifest only if it was pulled."""

    digest: str
    media_type: str | None = None
    manifest: Manifest | None = None


class Upload(Protocol):
    """
    The upload of one blob.

    `mount_status` is the HTTP status of a refused mount, 0 if none was tried.
    """

    @property
    def mount_status(self) -> int:
        """Return the HTTP status of a refused mount, 0 without one."""

    def put(self, chunks: Iterable[Chunk]) -> None:
        """
        Store the blob; it is there once this returns.

        *chunks* raises an error instead of giving its last one if the bytes are not those of the digest, so that no store has to check them again.

        Raises:
            RegistryError: The store refuses or fails. Errors of *chunks* pass through, and then nothing is stored.
        """

    def cancel(self) -> None:
        """Give up what was stored so far, and ignore failures."""


class ImageStore(Protocol):
    """
    A store of images as source or destination, for one caller.

    Every method that reads or writes raises a `RegistryError` if the store refuses or fails.
    """

    @property
    def registry(self) -> str:
        """Return the store's name, which references begin with."""

    @property
    def origin(self) -> str:
        """Return "source" or "destination"."""

    @property
    def capabilities(self) -> Capabilities:
        """Return what is known about the store."""

    @property
    def retry_policy(self) -> RetryPolicy:
        """Return how often the caller tries, and how long."""

    @property
    def max_blob_bytes(self) -> int:
        """Return the size of the largest blob to copy from here."""

    @property
    def damage_hint(self) -> str:
        """Return what to do about wrong bytes, "" for a registry."""

    @property
    def pull_quota(self) -> PullQuota | None:
        """Return the pulls that are left, None if they are not counted."""

    def with_check(self, check: Callable[[], None]) -> Self:
        """Return this store for a caller that ends when *check* raises."""

    def make_operation(self, name: str, subject: object) -> Operation:
        """Return the operation *name* on *subject*, for errors."""

    def find_login(self, path: str) -> Credentials | None:
        """Return the credentials for the repository *path*, None for anonymous."""

    def open_ahead(self, requests: int, *, is_certain: bool = False) -> None:
        """Prepare for *requests* parallel requests to come."""

    def reach(self) -> object:
        """Check that the store is there."""

    def check_push(self, repository: Repository) -> None:
        """Check that *repository* can be written, without a change."""

    def resolve(self, reference: Reference) -> Resolved | None:
        """Return what *reference* names now, None if it does not exist."""

    def pull_manifest(self, reference: Reference, *, described_as: str = "") -> Manifest:
        """
        Return the manifest, checked against its digest.

        *described_as* is its media type if nothing else names one.

        Raises:
            NotFoundError: The manifest does not exist.
            ContentMismatchError: The bytes have another digest.
            UnsupportedContentError: The manifest is larger than 4 MiB, ambiguous, or schema 1.
        """

    def push_manifest(self, reference: Reference, manifest: Manifest) -> bool:
        """
        Store *manifest*; return whether the store lists it as a referrer.

        Everything that the manifest references must be there already.
        """

    def list_referrers(self, repository: Repository, digest: str) -> tuple[Descriptor, ...] | None:
        """Return the referrers of *digest*, None if they are not listed."""

    def list_tag_names(self, repository: Repository) -> frozenset[str] | None:
        """
        Return every tag of *repository*, None if that takes many requests.

        Raises:
            NotFoundError: The repository does not exist.
        """

    def name_blob(self, repository: Repository, blob: Descriptor) -> str:
        """Return what errors call the blob."""
        return str(repository.with_digest(blob.digest))

    def has_blob(self, repository: Repository, blob: Descriptor) -> bool:
        """Return whether *repository* has the blob, with its size."""

    def read_blob(self, repository: Repository, blob: Descriptor, *, limit_bytes: int) -> bytes:
        """Return a small blob, such as a config, unchecked."""

    def download(self, repository: Repository, blob: Descriptor, *, start: int = 0, end: int | None = None) -> Generator[Chunk, None, None]:
        """
        Yield the blob's bytes from *start* to before *end*, unchecked.

        Raises:
            WrongRangeError: The store does not serve this range.
        """

    def begin_upload(self, repository: Repository, blob: Descriptor, *, mount_from: str) -> Upload | None:
        """
        Begin an upload, or return None if the blob was mounted.

        *mount_from* is the path of a repository that has the blob, "" for none.
        """

    def delete_tag(self, reference: Reference) -> bool:
        """
        Delete the tag; return False if the store cannot.

        Raises:
            NotFoundError: The tag does not exist.
        """

    def delete_manifest(self, reference: Reference) -> None:
        """
        Delete a manifest by digest, and every tag that names it.

        Raises:
            NotFoundError: The manifest does not exist.
        """


class LocalStore(ImageStore, Protocol):
    """A store of files, which lists all that it has."""

    def iter_repositories(self) -> Iterator[str]:
        """Yield the path of every repository that has a tag."""

    def iter_tags(self, path: str) -> Iterator[tuple[str, str | None, str | None]]:
        """
        Yield tag, digest and media type of each tag of a repository.

        A tag without a digest is to be resolved.

        Raises:
            NotFoundError: There is no such repository.
        """
