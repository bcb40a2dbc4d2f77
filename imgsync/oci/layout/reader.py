"""Read a layout as the engine reads a registry."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Self, TypeVar

from imgsync.errors import ContentMismatchError, LayoutError, NotFoundError, UnexpectedResponseError, UnsupportedContentError
from imgsync.oci.capabilities import Capabilities
from imgsync.oci.errors import Operation
from imgsync.oci.image_store import Resolved
from imgsync.oci.layout.contents import LayoutContents, take_digests
from imgsync.oci.layout.faults import explain
from imgsync.oci.layout.index_json import IndexEntry
from imgsync.oci.layout.names import EntryName
from imgsync.oci.layout.open_layout import OpenLayout
from imgsync.oci.limits.retry import RetryPolicy, retry_call
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.digest import compute_digest
from imgsync.oci.spec.manifest import MANIFEST_LIMIT, Manifest, parse_manifest
from imgsync.oci.spec.media_types import read_manifest_type
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.oci.spec.referrers import is_referrers_tag
from imgsync.system.chunk import Chunk

if TYPE_CHECKING:
    from imgsync.oci.endpoint import Credentials
    from imgsync.oci.limits.pull_limit import PullQuota

Result = TypeVar("Result")

_NO_BLOB = "the image is incomplete in the layout: its manifest names this blob, but the layout does not have it; copy the image there again"
_NO_MANIFEST = "the layout does not have it; if it has only some platforms of the image, name them under `platforms`"
_AMBIGUOUS = "remove one of the two from index.json, or name the image by its digest"


class LayoutReader:
    """What a layout is asked as source or destination."""

    # Content of any size is on a disk already.
    max_blob_bytes = sys.maxsize
    pull_quota: PullQuota | None = None
    damage_hint = "the layout has damaged or changed content; nothing was pushed; check its medium, and copy the image into it again"

    def __init__(self, registry: str, origin: str, layout: OpenLayout, retry_policy: RetryPolicy) -> None:
        """Serve *layout* under the name *registry*."""
        self.registry = registry
        self.origin = origin
        self.retry_policy = retry_policy
        self.capabilities = Capabilities()
        self.capabilities.learn_referrers(supported=True)
        self._layout = layout

    def __repr__(self) -> str:
        """Return name and side."""
        return f"<LayoutStore {self.registry} ({self.origin})>"

    def with_check(self, check: Callable[[], None]) -> Self:
        """Return the same store, whose calls give up when *check* raises."""
        return type(self)(self.registry, self.origin, self._layout, self.retry_policy.with_check(check))

    def make_operation(self, name: str, subject: object) -> Operation:
        """Return the operation *name* on *subject*, for errors."""
        return Operation(name, subject, self.origin)

    def find_login(self, path: str) -> Credentials | None:  # noqa: ARG002 - as for a registry
        """Return None: files need no credentials."""
        return None

    def open_ahead(self, requests: int, *, is_certain: bool = False) -> None:
        """Do nothing: files have no connections."""

    def reach(self) -> object:
        """Check that the layout is there and can be read."""
        return self._call(self.make_operation("open", self.registry), self._read)

    def resolve(self, reference: Reference) -> Resolved | None:
        """Return what *reference* names now, None if it does not exist."""
        operation = self.make_operation("resolve", reference)
        if reference.digest:
            try:
                manifest = self.pull_manifest(reference)
            except NotFoundError:
                return None
            return Resolved(manifest.digest, manifest.media_type, manifest)
        entry = self._call(operation, lambda: self._find_entry(reference))
        if entry is None or (self.origin == "destination" and self._call(operation, lambda: self._read_whole(entry.digest, entry.size_bytes)) is None):
            return None
        return Resolved(entry.digest, read_manifest_type(entry.media_type) or None)

    def pull_manifest(self, reference: Reference, *, described_as: str = "") -> Manifest:
        """
        Return the manifest, checked against its digest.

        Raises:
            NotFoundError: The manifest does not exist.
            ContentMismatchError: The bytes have another digest or size.
            UnsupportedContentError: The manifest is larger than 4 MiB, ambiguous, or schema 1.
        """
        operation = self.make_operation("pull manifest", reference)
        entry = None if reference.digest else self._call(operation, lambda: self._find_entry(reference))
        digest = reference.digest if entry is None else entry.digest
        raw = self._call(operation, lambda: self._read_member(reference.repository.path, digest)) if digest else None
        actual = "" if raw is None else compute_digest(raw, like=digest)
        # At a destination, it is as if it were missing, so that it is brought again: no registry would have taken it.
        if raw is None or (actual != digest and self.origin == "destination"):
            # A tag of the source is not gone because its content is: nothing must be pruned for it.
            is_listed = entry is not None and self.origin == "source"
            detail = f"the layout lists it, but does not have {digest}" if is_listed else "the layout does not have it"
            raise operation.make_error(UnexpectedResponseError if is_listed else NotFoundError, detail, hint=_NO_MANIFEST)
        if actual != digest and len(raw) <= MANIFEST_LIMIT:
            raise self._make_mismatch(reference, expected=digest, actual=actual)
        manifest = self._parse(operation, reference, raw, entry.media_type if entry is not None else described_as, digest)
        if entry is not None and entry.size_bytes != len(raw):
            raise self._make_mismatch(reference, expected=f"{entry.size_bytes} bytes", actual=f"{len(raw)} bytes")
        contents = self._call(operation, self._read)
        if contents is not None:
            contents.learn(reference.repository.path, manifest)
        return manifest

    def list_referrers(self, repository: Repository, digest: str) -> tuple[Descriptor, ...] | None:
        """Return the referrers of *digest*."""

        def list_them() -> tuple[IndexEntry, ...]:
            contents = self._read()
            return () if contents is None else contents.list_referrers(repository.path, digest)

        found = self._call(self.make_operation("list referrers of", repository.with_digest(digest)), list_them)
        return tuple(Descriptor(entry.media_type, entry.digest, entry.size_bytes) for entry in found)

    def list_tag_names(self, repository: Repository) -> frozenset[str] | None:
        """
        Return every tag of *repository*.

        Raises:
            NotFoundError: The repository does not exist.
        """
        return frozenset(tag for tag, _, _ in self.iter_tags(repository.path))

    def name_blob(self, repository: Repository, blob: Descriptor) -> str:
        """Return the reference of the blob, for errors."""
        return str(repository.with_digest(blob.digest))

    def has_blob(self, repository: Repository, blob: Descriptor) -> bool:
        """Return whether *repository* has the blob, with its size."""
        operation = self.make_operation("check blob", repository.with_digest(blob.digest))
        return self._call(operation, lambda: self._has(repository.path, blob.digest) and self._layout.open().find_blob(blob.digest) == blob.size_bytes)

    def read_blob(self, repository: Repository, blob: Descriptor, *, limit_bytes: int) -> bytes:
        """
        Return a small blob, such as a config, unchecked.

        Raises:
            RegistryError: The blob is larger than *limit_bytes*, or not there.
        """
        operation = self._blob_operation(repository, blob)
        raw = self._call(operation, lambda: self._read_member(repository.path, blob.digest, limit_bytes))
        if raw is None:
            raise operation.make_error(NotFoundError, "the layout does not have it", hint=_NO_BLOB)
        if len(raw) > limit_bytes:
            raise operation.make_error(UnexpectedResponseError, f"the blob is larger than {limit_bytes >> 10} KiB")
        return raw

    def download(self, repository: Repository, blob: Descriptor, *, start: int = 0, end: int | None = None) -> Generator[Chunk, None, None]:
        """
        Yield the blob's bytes from *start* to before *end*, unchecked.

        Raises:
            NotFoundError: The repository does not have the blob.
        """
        operation = self._blob_operation(repository, blob)
        if not self._call(operation, lambda: self._has(repository.path, blob.digest) and self._layout.open().find_blob(blob.digest) is not None):
            raise operation.make_error(NotFoundError, "the layout does not have it", hint=_NO_BLOB)
        pieces = self._layout.open().read_blob(blob.digest, start=start, end=end)
        while True:
            with explain(operation, self._layout.path):
                piece = self._layout.run_blocking(lambda: next(pieces, None))
            if piece is None:
                return
            yield piece

    def iter_repositories(self) -> Iterator[str]:
        """Yield the path of every repository that has a tag."""
        contents = self._call(self.make_operation("list repositories of", self.registry), self._read)
        return iter(()) if contents is None else contents.iter_paths()

    def iter_tags(self, path: str) -> Iterator[tuple[str, str | None, str | None]]:
        """
        Yield tag, digest and media type of each tag of a repository.

        A tag of two images has no digest; who asks for it is told.

        Raises:
            NotFoundError: There is no such repository.
        """
        operation = self.make_operation("list tags of", Repository(self.registry, path))
        contents = self._call(operation, self._read)
        repository = None if contents is None else contents.get(path)
        if repository is None or not repository.tags:
            raise operation.make_error(NotFoundError, "the layout has no such repository", hint=f"`imgsync list {self.registry}` lists those that it has")
        return (_describe(tag, take_digests(entries)) for tag, entries in list(repository.tags.items()))

    def _read(self) -> LayoutContents | None:
        """Return the contents; None for a destination that is to be made."""
        return self._layout.read() if self.origin == "source" else self._layout.read_if_any()

    def _find_entry(self, reference: Reference) -> IndexEntry | None:
        contents = self._read()
        found = [] if contents is None else contents.find_tag(EntryName(reference.repository.path, reference.tag))
        if len(found) > 1 and self.origin == "source":
            raise LayoutError(f"the layout {self._layout.path} has two images named {reference}: {found[0].digest} and {found[1].digest}", hint=_AMBIGUOUS)
        # At a destination, the next push of the tag replaces both.
        return found[0] if len(found) == 1 else None

    def _read_whole(self, digest: str, size_bytes: int) -> bytes | None:
        """Return a manifest, None if it is not whole."""
        raw = self._layout.read_small(digest, MANIFEST_LIMIT)
        return raw if raw is not None and len(raw) == size_bytes and compute_digest(raw, like=digest) == digest else None

    def _has(self, path: str, digest: str) -> bool:
        if digest in self._layout.brought.get(path, ()):
            return True
        contents = self._read()
        return contents is not None and contents.has(path, digest)

    def _read_member(self, path: str, digest: str, limit: int = MANIFEST_LIMIT) -> bytes | None:
        return self._layout.read_small(digest, limit) if self._has(path, digest) else None

    def _parse(self, operation: Operation, reference: Reference, raw: bytes, described_as: str, digest: str) -> Manifest:
        try:
            return parse_manifest(raw, content_type=read_manifest_type(described_as), algorithm=digest)
        except UnsupportedContentError as error:
            # Reports name the tag at the source only.
            is_named = self.origin == "source" and not reference.digest and not is_referrers_tag(reference.name)
            message = error.message if is_named else f"{operation.name} {reference} ({self.origin}): {error.message}"
            raise UnsupportedContentError(message, hint=error.hint) from error

    def _make_mismatch(self, reference: Reference, *, expected: str, actual: str) -> ContentMismatchError:
        return ContentMismatchError(f"pull manifest {reference}", expected=expected, actual=actual, origin=self.origin, hint=self.damage_hint)

    def _blob_operation(self, repository: Repository, blob: Descriptor) -> Operation:
        return Operation("pull blob", repository.with_digest(blob.digest), self.origin, hint_if_missing=_NO_BLOB)

    def _call(self, operation: Operation, function: Callable[[], Result]) -> Result:
        """Return `function()`, with errors of files as those of *operation*, and retries."""

        def attempt() -> Result:
            with explain(operation, self._layout.path):
                return function()

        return retry_call(attempt, self.retry_policy, operation=operation.name, reference=operation.subject)


def _describe(tag: str, entries: Sequence[IndexEntry]) -> tuple[str, str | None, str | None]:
    if len(entries) > 1:
        return tag, None, None
    return tag, entries[0].digest, read_manifest_type(entries[0].media_type) or None
