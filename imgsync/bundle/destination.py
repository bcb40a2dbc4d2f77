"""
A bundle in place of the destination registries.

Planning sees the tags and the content that the other side holds. Copying sees that, and what was written into the bundle: a blob is there for the
repository that holds it, as at a registry.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Self

from imgsync.bundle.holdings import Holdings
from imgsync.concurrency.single_flight import SingleFlight
from imgsync.errors import ImgsyncError, NotFoundError, OutputError, RegistryError, RejectedError, UnreachableError
from imgsync.oci.capabilities import Capabilities
from imgsync.oci.errors import Operation
from imgsync.oci.image_store import Resolved
from imgsync.oci.limits.retry import RetryPolicy
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.manifest import Manifest
from imgsync.oci.spec.media_types import OCI_MANIFEST
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.system.chunk import Chunk

if TYPE_CHECKING:
    from imgsync.bundle.writer import BundleWriter

_NOT_LAID_OUT = "it has no place in the bundle: its image could not be read when the bundle was laid out"
_ACCEPTED = 202


class BundleContents:
    """
    What a bundle has in place of all destination registries.

    Attributes:
        holdings: What the other side holds.
        writer: Takes blobs; None while only a plan is made.
        fault: The first error that writing met; then nothing more can be written.
        on_fault: Called with `fault`.
        takes_only_placed: Whether what the writer does not want counts as there, such as what lies in other volumes.
        unplaced: Why what a repository would get has no place, and what to do about it.
    """

    def __init__(self, holdings: Holdings) -> None:
        """Begin without a writer."""
        self.holdings = holdings
        self.writer: BundleWriter | None = None
        self.fault: ImgsyncError | None = None
        self.on_fault: Callable[[ImgsyncError], object] = lambda _: None
        self.takes_only_placed = False
        self.unplaced: dict[tuple[Repository, str], tuple[str, str]] = {}
        self.capabilities = Capabilities()
        self.capabilities.learn_referrers(supported=True)
        self.written: dict[Repository, set[str]] = {}
        self.tags: dict[Reference, str] = {}
        self.referrers: dict[tuple[Repository, str], dict[str, Descriptor]] = {}
        self.writes: SingleFlight[str] = SingleFlight()

    def has(self, repository: Repository, digest: str) -> bool:
        """Return whether *repository* holds *digest*, or gets it with the bundle."""
        return self.holdings.has(repository, digest) or digest in self.written.get(repository, ())

    def note(self, repository: Repository, digest: str) -> None:
        """Note that *repository* gets *digest* with the bundle."""
        self.written.setdefault(repository, set()).add(digest)

    def fail(self, error: OSError | OutputError) -> ImgsyncError:
        """Return *error* as one that ends the run."""
        found = error if isinstance(error, OutputError) else OutputError(f"the bundle cannot be written: {error.strerror}", hint="run it again to continue")
        if self.fault is None:
            self.fault = found
            self.on_fault(found)
        return found

    def find_store(self, registry: str, origin: str, retry_policy: RetryPolicy) -> BundleDestination | None:
        """Return the store in place of a destination, None for a source."""
        return BundleDestination(self, registry, retry_policy) if origin == "destination" else None


class BundleDestination:
    """A bundle in place of one destination registry; see `ImageStore`."""

    origin = "destination"
    max_blob_bytes = (1 << 63) - 1
    pull_quota = None
    damage_hint = ""

    def __init__(self, contents: BundleContents, registry: str, retry_policy: RetryPolicy) -> None:
        """Stand for *registry*."""
        self._contents = contents
        self.registry = registry
        self.retry_policy = retry_policy

    @property
    def capabilities(self) -> Capabilities:
        """Return what is known about the store."""
        return self._contents.capabilities

    def with_check(self, check: Callable[[], None]) -> Self:
        """Return this store for a caller that ends when *check* raises."""
        return type(self)(self._contents, self.registry, self.retry_policy.with_check(check))

    def make_operation(self, name: str, subject: object) -> Operation:
        """Return the operation *name* on *subject*, for errors."""
        return Operation(name, subject, self.origin)

    def name_blob(self, repository: Repository, blob: Descriptor) -> str:
        """Return the reference of the blob, for errors."""
        return str(repository.with_digest(blob.digest))

    def find_login(self, path: str) -> None:
        """Return None: a bundle needs no login for *path*."""

    def open_ahead(self, requests: int, *, is_certain: bool = False) -> None:
        """Do nothing: there are no connections to open."""

    def reach(self) -> None:
        """Do nothing: the writer finds out whether the folder is there."""

    def check_push(self, repository: Repository) -> None:
        """Do nothing: every repository of a bundle can be written."""

    def resolve(self, reference: Reference) -> Resolved | None:
        """Return what *reference* names on the other side, None if unknown."""
        repository = reference.repository
        if reference.digest:
            return Resolved(reference.digest) if self._contents.has(repository, reference.digest) else None
        digest = self._contents.tags.get(reference) or self._contents.holdings.find_tag(repository, reference.tag)
        return Resolved(digest) if digest else None

    def pull_manifest(self, reference: Reference, *, described_as: str = "") -> Manifest:  # noqa: ARG002 - the interface
        """
        Never return: a bundle gives no manifests back.

        Raises:
            NotFoundError: Always.
        """
        raise self.make_operation("pull manifest", reference).make_error(NotFoundError, "only its digest is known")

    def push_manifest(self, reference: Reference, manifest: Manifest) -> bool:
        """Store *manifest* for a repository; return True, as it is listed."""
        repository, contents = reference.repository, self._contents
        writer = contents.writer
        if writer is not None and writer.is_placed(manifest.digest):
            try:
                writer.write_whole(manifest.digest, manifest.raw)
            except (OSError, OutputError) as error:
                raise contents.fail(error) from error
        elif not contents.has(repository, manifest.digest) and not contents.takes_only_placed:
            raise self._refuse_place(self.make_operation("push manifest", reference), repository, manifest.digest)
        contents.note(repository, manifest.digest)
        if reference.tag:
            contents.tags[reference] = manifest.digest
        if manifest.subject is not None:
            listed = contents.referrers.setdefault((repository, manifest.subject.digest), {})
            listed[manifest.digest] = Descriptor(manifest.media_type, manifest.digest, manifest.size_bytes)
        return True

    def list_referrers(self, repository: Repository, digest: str) -> tuple[Descriptor, ...]:
        """Return the referrers of *digest* that the repository has, or gets."""
        held = {one: Descriptor(OCI_MANIFEST, one, 0) for one in self._contents.holdings.list_referrers(repository, digest)}
        return tuple((held | self._contents.referrers.get((repository, digest), {})).values())

    def list_tag_names(self, repository: Repository) -> frozenset[str]:
        """Return the tags that *repository* has on the other side."""
        tags = self._contents.holdings.list_tags(repository)
        if tags is None:
            raise self.make_operation("list tags of", repository).make_error(NotFoundError, "nothing is known of it")
        return tags

    def has_blob(self, repository: Repository, blob: Descriptor) -> bool:
        """Return whether *repository* has the blob, or gets it."""
        held = self._contents.holdings.find(self.registry, blob.digest)
        return self._contents.has(repository, blob.digest) and (held is None or held.size_bytes in {None, blob.size_bytes})

    def read_blob(self, repository: Repository, blob: Descriptor, *, limit_bytes: int) -> bytes:  # noqa: ARG002 - the interface
        """
        Never return: a bundle gives no blobs back.

        Raises:
            NotFoundError: Always.
        """
        raise self._refuse_read(repository, blob)

    def download(
        self,
        repository: Repository,
        blob: Descriptor,
        *,
        start: int = 0,  # noqa: ARG002 - the interface
        end: int | None = None,  # noqa: ARG002 - the interface
    ) -> Generator[Chunk, None, None]:
        """
        Never return: a bundle gives no blobs back.

        Raises:
            NotFoundError: Always.
        """
        raise self._refuse_read(repository, blob)

    def begin_upload(self, repository: Repository, blob: Descriptor, *, mount_from: str) -> BundleUpload | None:
        """
        Return where to write the blob, None if it is there.

        The caller has made sure that the source has what it asks to mount.
        """
        contents = self._contents
        if contents.has(repository, blob.digest):
            return None
        if mount_from and contents.has(Repository(self.registry, mount_from), blob.digest):
            contents.note(repository, blob.digest)
            return None
        if contents.writer is None or not contents.writer.is_placed(blob.digest):
            if contents.takes_only_placed:
                return None
            operation = self.make_operation("push blob", repository.with_digest(blob.digest))
            raise self._refuse_place(operation, repository, blob.digest)
        return BundleUpload(self, contents, contents.writer, repository, blob, _ACCEPTED if mount_from else 0)

    def delete_tag(self, reference: Reference) -> bool:  # noqa: ARG002 - the interface
        """Return False: a bundle carries no deletions."""
        return False

    def delete_manifest(self, reference: Reference) -> None:
        """
        Delete nothing.

        Raises:
            RejectedError: Always.
        """
        raise self.make_operation("delete", reference).make_error(RejectedError, "a bundle carries no deletions")

    def iter_repositories(self) -> Iterator[str]:
        """Yield nothing: what is planned is never listed from a bundle."""
        return iter(())

    def iter_tags(self, path: str) -> Iterator[tuple[str, str, str | None]]:  # noqa: ARG002 - the interface
        """Yield nothing: what is planned is never listed from a bundle."""
        return iter(())

    def _refuse_place(self, operation: Operation, repository: Repository, digest: str) -> RegistryError:
        reason, hint = self._contents.unplaced.get((repository, digest), (_NOT_LAID_OUT, "run it again"))
        return operation.make_error(RejectedError, reason, hint=hint)

    def _refuse_read(self, repository: Repository, blob: Descriptor) -> RegistryError:
        return self.make_operation("pull blob", repository.with_digest(blob.digest)).make_error(NotFoundError, "a bundle gives nothing back")


class BundleUpload:
    """
    Writes one blob into the bundle.

    Of several uploads of one blob, for several registries, one writes and the others compare.
    """

    def __init__(
        self, store: BundleDestination, contents: BundleContents, writer: BundleWriter, repository: Repository, blob: Descriptor, mount_status: int
    ) -> None:
        """Write *blob* for *repository*."""
        self.mount_status = mount_status
        self._store = store
        self._contents = contents
        self._writer = writer
        self._repository = repository
        self._blob = blob

    def put(self, chunks: Iterable[Chunk]) -> None:
        """
        Write *chunks*, which the caller has checked.

        Raises:
            UnreachableError: Another upload of the same blob failed.
            OutputError: They cannot be written.
        """
        digest, writes = self._blob.digest, self._contents.writes
        if self._writer.has(digest) or writes.is_running(digest):
            # Who only names the digest of another image's layer must have it too: so its bytes are read.
            for _ in chunks:
                pass
            writes.wait(digest)
        else:
            writes.run(digest, lambda: self._write(chunks))
        if not self._writer.has(digest):
            operation = self._store.make_operation("push blob", self._repository.with_digest(digest))
            raise operation.make_error(UnreachableError, "another copy of it failed")
        self._contents.note(self._repository, digest)

    def cancel(self) -> None:
        """Do nothing: what failed was given up at once."""

    def _write(self, chunks: Iterable[Chunk]) -> None:
        try:
            sink = self._writer.begin(self._blob)
        except OSError as error:
            raise self._contents.fail(error) from error
        try:
            for chunk in chunks:
                try:
                    sink.write(chunk)
                except (OSError, OutputError) as error:
                    raise self._contents.fail(error) from error
            try:
                sink.commit()
            except (OSError, OutputError) as error:
                raise self._contents.fail(error) from error
        finally:
            sink.abort()
