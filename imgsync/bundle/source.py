"""A bundle in place of its source registries."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import field
from typing import TYPE_CHECKING, NoReturn, Self

from imgsync.bundle.expected_blobs import ExpectedBlobs, MissingParts
from imgsync.bundle.open_bundle import OpenBundle
from imgsync.bundle.source_index import RepositoryIndex, SourceIndex
from imgsync.concurrency.single_flight import SingleFlight
from imgsync.errors import BundleError, ContentMismatchError, NotFoundError, RejectedError, UnreachableError
from imgsync.oci.capabilities import Capabilities
from imgsync.oci.errors import Operation
from imgsync.oci.image_store import LocalStore, Resolved
from imgsync.oci.limits.retry import RetryPolicy
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.digest import DigestVerifier
from imgsync.oci.spec.manifest import MANIFEST_LIMIT, Manifest, parse_manifest
from imgsync.oci.spec.media_types import OCI_MANIFEST
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.system.chunk import Chunk
from imgsync.system.dataclass import dataclass

if TYPE_CHECKING:
    from imgsync.oci.endpoint import Credentials
    from imgsync.oci.image_store import Upload
    from imgsync.oci.limits.pull_limit import PullQuota

_DAMAGE_HINT = "nothing of it was pushed; `imgsync bundle verify` names the volumes to copy or make again"
_NO_LIMIT = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class LoadedBundle:
    """
    A bundle that is being loaded, for all of its sources.

    `expected` finds at the destinations what was left out. `missing` collects what cannot be had. With `is_signed`, the bundle is believed to have what
    its document says; else its bytes are hashed before a destination is asked to mount a blob.
    """

    index: SourceIndex
    volumes: OpenBundle
    expected: ExpectedBlobs
    missing: MissingParts
    is_signed: bool = False
    proofs: dict[str, bool] = field(default_factory=dict)
    flights: SingleFlight[str] = field(default_factory=SingleFlight)

    def has_proof(self, blob: Descriptor, check: Callable[[], None]) -> bool:
        """Return whether the bundle really has the bytes of *blob*."""
        if self.is_signed or blob.digest not in self.index.blobs:
            return True
        while blob.digest not in self.proofs:
            self.flights.run(blob.digest, lambda: self._prove(blob, check))
        return self.proofs[blob.digest]

    def _prove(self, blob: Descriptor, check: Callable[[], None]) -> None:
        verifier = DigestVerifier(blob.digest, blob.size_bytes, f"blob {blob.digest}")
        try:
            for chunk in self.volumes.read(blob.digest):
                check()
                verifier.update(chunk)
            verifier.check()
            self.proofs[blob.digest] = True
        except (ContentMismatchError, BundleError, OSError):
            # Reading it to copy it reports the same.
            self.proofs[blob.digest] = False


class BundleSource(LocalStore):
    """
    One source registry, as a bundle has it.

    Nothing is asked of the registry itself. A registry of which the bundle has no image is empty.
    """

    def __init__(self, bundle: LoadedBundle, registry: str, retry_policy: RetryPolicy) -> None:
        """Answer for *registry* from *bundle*."""
        self._bundle = bundle
        self._index = bundle.index
        self._registry = registry
        self._retry_policy = retry_policy
        self._capabilities = Capabilities()
        self._capabilities.learn_referrers(supported=True)

    @property
    def registry(self) -> str:
        """Return the name of the source registry."""
        return self._registry

    @property
    def origin(self) -> str:
        """Return "source"."""
        return "source"

    @property
    def capabilities(self) -> Capabilities:
        """Return what is known about the store: it lists referrers."""
        return self._capabilities

    @property
    def retry_policy(self) -> RetryPolicy:
        """Return how often the caller tries, and how long."""
        return self._retry_policy

    @property
    def max_blob_bytes(self) -> int:
        """Return a size that no blob exceeds."""
        return _NO_LIMIT

    @property
    def damage_hint(self) -> str:
        """Return how to find the volumes that are damaged."""
        return _DAMAGE_HINT

    @property
    def pull_quota(self) -> PullQuota | None:
        """Return None: reading is not counted."""
        return None

    def with_check(self, check: Callable[[], None]) -> Self:
        """Return a store that gives up when *check* raises."""
        return type(self)(self._bundle, self._registry, self._retry_policy.with_check(check))

    def make_operation(self, name: str, subject: object) -> Operation:
        """Return the operation *name* on *subject*, for errors."""
        return Operation(name, subject, self.origin)

    def find_login(self, path: str) -> Credentials | None:  # noqa: ARG002 - the interface
        """Return None: a bundle needs no login."""
        return None

    def open_ahead(self, requests: int, *, is_certain: bool = False) -> None:
        """Do nothing: there is nothing to connect to."""

    def reach(self) -> object:
        """Return at once: the bundle is open."""
        return None

    def iter_repositories(self) -> Iterator[str]:
        """Yield the path of every repository that the bundle has images of."""
        return iter(self._index.repositories.get(self._registry, {}))

    def iter_tags(self, path: str) -> Iterator[tuple[str, str, str | None]]:
        """
        Yield tag, digest and media type of each tag of a repository.

        Raises:
            NotFoundError: The bundle has nothing of it.
        """
        found = self._find_repository(Repository(self._registry, path), "list tags of")
        return ((tag, digest, media_type or None) for tag, (digest, media_type) in found.tags.items())

    def list_tag_names(self, repository: Repository) -> frozenset[str] | None:
        """
        Return every tag of *repository*, those of cosign too.

        Raises:
            NotFoundError: The bundle has nothing of it.
        """
        return frozenset(self._find_repository(repository, "list tags of").tags)

    def list_referrers(self, repository: Repository, digest: str) -> tuple[Descriptor, ...] | None:
        """Return the referrers of *digest* in the bundle."""
        found = self._index.find(repository)
        referrers = found.referrers.get(digest, ()) if found is not None else ()
        return tuple(Descriptor(OCI_MANIFEST, one.digest, self._size_of(one.digest)) for one in referrers)

    def resolve(self, reference: Reference) -> Resolved | None:
        """Return what *reference* names in the bundle, None for nothing."""
        found = self._index.find(reference.repository)
        if found is None:
            return None
        if reference.digest:
            media_type = found.manifests.get(reference.digest)
            return None if media_type is None else Resolved(reference.digest, media_type or None)
        digest, media_type = found.tags.get(reference.tag, ("", ""))
        return Resolved(digest, media_type or None) if digest else None

    def pull_manifest(self, reference: Reference, *, described_as: str = "") -> Manifest:
        """
        Return the manifest, checked against its digest.

        Raises:
            NotFoundError: The bundle has no such image.
            BundleError: The volume with the manifest is missing.
            ContentMismatchError: The bytes have another digest.
            UnsupportedContentError: It is not a manifest that imgsync copies.
        """
        resolved = self.resolve(reference)
        if resolved is None:
            raise self.make_operation("pull manifest", reference).make_error(NotFoundError, "the bundle does not have it")
        blob = Descriptor(described_as, resolved.digest, self._size_of(resolved.digest))
        raw = self._read_whole(reference.repository, blob, limit_bytes=MANIFEST_LIMIT, operation="pull manifest")
        manifest = parse_manifest(raw, content_type=resolved.media_type or described_as, algorithm=resolved.digest)
        if manifest.digest != resolved.digest:
            raise ContentMismatchError(f"pull manifest {reference}", expected=resolved.digest, actual=manifest.digest, hint=self.damage_hint)
        return manifest

    def name_blob(self, repository: Repository, blob: Descriptor) -> str:
        """Return the reference of the blob, with the volumes that hold it."""
        held = self._index.blobs.get(blob.digest)
        volumes = "" if held is None else " in " + ", ".join(self._index.document.volumes[number - 1].file for number in held.volumes)
        return f"{repository.with_digest(blob.digest)}{volumes}"

    def has_blob(self, repository: Repository, blob: Descriptor) -> bool:
        """
        Return whether the bundle has the blob or expects it.

        Its creator had it from this source. Without a signature, what the bundle claims to hold is read.
        """
        is_named = self._index.find(repository) is not None and self._size_of(blob.digest) == blob.size_bytes
        return is_named and self._bundle.has_proof(blob, self._retry_policy.check)

    def read_blob(self, repository: Repository, blob: Descriptor, *, limit_bytes: int) -> bytes:
        """Return a small blob, such as a signature."""
        return self._read_whole(repository, blob, limit_bytes=limit_bytes, operation="pull blob")

    def download(self, repository: Repository, blob: Descriptor, *, start: int = 0, end: int | None = None) -> Generator[Chunk, None, None]:
        """
        Yield the blob's bytes from *start* to before *end*, unchecked.

        What the bundle leaves out is read from the destination that has it.
        """
        home = None if blob.digest in self._index.blobs else self._bundle.expected.find_home(blob.digest)
        if home is not None:
            store = home.store.with_check(self._retry_policy.check)
            yield from store.download(home.repository, blob, start=start, end=end)
            return
        operation = self.make_operation("pull blob", repository.with_digest(blob.digest))
        try:
            with contextlib.closing(self._open(operation, blob, start, end)) as chunks:
                yield from chunks
        except OSError as error:
            raise operation.make_error(UnreachableError, f"cannot read the bundle: {error.strerror}") from error

    def check_push(self, repository: Repository) -> None:
        """Refuse."""
        self._refuse("push to", repository)

    def push_manifest(self, reference: Reference, manifest: Manifest) -> bool:  # noqa: ARG002 - the interface
        """Refuse."""
        self._refuse("push manifest", reference)

    def begin_upload(self, repository: Repository, blob: Descriptor, *, mount_from: str) -> Upload | None:  # noqa: ARG002 - the interface
        """Refuse."""
        self._refuse("push blob", repository.with_digest(blob.digest))

    def delete_tag(self, reference: Reference) -> bool:
        """Refuse."""
        self._refuse("delete", reference)

    def delete_manifest(self, reference: Reference) -> None:
        """Refuse."""
        self._refuse("delete", reference)

    def _refuse(self, operation: str, subject: object) -> NoReturn:
        raise self.make_operation(operation, subject).make_error(RejectedError, "a bundle is a source, and cannot be changed")

    def _find_repository(self, repository: Repository, operation: str) -> RepositoryIndex:
        found = self._index.find(repository)
        if found is None:
            raise self.make_operation(operation, repository).make_error(NotFoundError, "the bundle has no image of this repository")
        return found

    def _size_of(self, digest: str) -> int:
        """Return the size of a held or expected blob, else -1."""
        known = self._index.blobs.get(digest) or self._index.expects.get(digest)
        return -1 if known is None else known.size_bytes

    def _open(self, operation: Operation, blob: Descriptor, start: int, end: int | None) -> Generator[Chunk, None, None]:
        if blob.digest not in self._index.blobs:
            raise operation.make_error(NotFoundError, self._bundle.expected.explain(blob.digest))
        yield from self._bundle.volumes.read(blob.digest, start=start, end=end)

    def _read_whole(self, repository: Repository, blob: Descriptor, *, limit_bytes: int, operation: str) -> bytes:
        if blob.digest not in self._index.blobs:
            return b"".join(bytes(chunk) for chunk in self._limit(repository, blob, limit_bytes))
        reference = repository.with_digest(blob.digest)
        if absent := self._bundle.volumes.missing_volumes(blob.digest):
            self._bundle.missing.add_volumes(reference, absent)
            raise BundleError(f"{operation} {reference}: {', '.join(absent)} is missing", hint="add the folder that has it with --volumes")
        try:
            return self._bundle.volumes.read_whole(blob.digest, limit_bytes=limit_bytes)
        except ContentMismatchError as error:
            what = f"{operation} {self.name_blob(repository, blob)}"
            raise ContentMismatchError(what, expected=error.expected, actual=error.actual, hint=self.damage_hint) from error
        except OSError as error:
            raise self.make_operation(operation, reference).make_error(UnreachableError, f"cannot read the bundle: {error.strerror}") from error

    def _limit(self, repository: Repository, blob: Descriptor, limit_bytes: int) -> Iterator[Chunk]:
        """Yield the bytes of a blob that the bundle leaves out."""
        if blob.size_bytes > limit_bytes:
            operation = self.make_operation("pull blob", repository.with_digest(blob.digest))
            raise operation.make_error(RejectedError, f"it has more than {limit_bytes} bytes")
        with contextlib.closing(self.download(repository, blob)) as chunks:
            yield from chunks
