"""A layout as source and destination, as the engine sees it."""

from __future__ import annotations

from collections.abc import Iterable

from imgsync.errors import NotFoundError, RejectedError
from imgsync.oci.errors import Operation
from imgsync.oci.layout.faults import explain
from imgsync.oci.layout.index_json import make_entry
from imgsync.oci.layout.names import EntryName
from imgsync.oci.layout.reader import LayoutReader
from imgsync.oci.layout.writer import IndexChange
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.manifest import MANIFEST_LIMIT, Manifest
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.system.chunk import Chunk
from imgsync.system.dataclass import dataclass

_NOT_FOUND = 404


class LayoutStore(LayoutReader):
    """One layout as source or destination; see `LocalStore`."""

    def check_push(self, repository: Repository) -> None:
        """Check that the layout can be written, without a change."""
        self._call(self.make_operation("push to", repository), self._layout.check_write)

    def push_manifest(self, reference: Reference, manifest: Manifest) -> bool:
        """
        Store *manifest*; return whether the layout lists it as a referrer.

        Everything that the manifest references must be there already.

        Raises:
            RejectedError: Something is missing.
        """
        operation = self.make_operation("push manifest", reference)
        digest = reference.digest or manifest.digest
        self._call(operation, lambda: self._store_manifest(operation, digest, manifest))
        self._note_brought(reference.repository, digest)
        name = None if reference.digest else EntryName(reference.repository.path, reference.tag)
        if name is None and manifest.subject is None:
            # What references it is listed later.
            return False
        subject = "" if manifest.subject is None else manifest.subject.digest
        written = "" if name is None else f"{name.path}:{name.tag}"
        artifact_type = manifest.artifact_type if name is None else ""
        owner = "" if name is not None else reference.repository.path
        entry = make_entry(manifest.content_type, digest, manifest.size_bytes, name=written, artifact_type=artifact_type, repository=owner)
        self._change_index(operation, IndexChange(name, entry, subject))
        self._layout.write().journal.note_referenced([digest])
        return manifest.subject is not None

    def begin_upload(self, repository: Repository, blob: Descriptor, *, mount_from: str) -> LayoutUpload | None:
        """
        Begin an upload, or return None if the blob was mounted.

        A mount costs nothing: all repositories share the blobs.
        """
        if mount_from and self.has_blob(Repository(self.registry, mount_from), blob):
            self._note_brought(repository, blob.digest)
            return None
        return LayoutUpload(self, repository, blob, _NOT_FOUND if mount_from else 0)

    def store_blob(self, repository: Repository, blob: Descriptor, chunks: Iterable[Chunk]) -> None:
        """Store the blob; nothing is stored if *chunks* raises."""
        operation = self.make_operation("push blob", repository.with_digest(blob.digest))
        with explain(operation, self._layout.path):
            self._layout.write().write_blob(blob.digest, chunks)
        self._note_brought(repository, blob.digest)

    def delete_tag(self, reference: Reference) -> bool:
        """
        Delete the tag.

        Raises:
            NotFoundError: The tag does not exist.
        """
        operation = self.make_operation("delete the tag", reference)
        contents = self._call(operation, self._read)
        name = EntryName(reference.repository.path, reference.tag)
        if contents is None or not contents.find_tag(name):
            raise operation.make_error(NotFoundError, "the layout does not have it")
        self._call(operation, lambda: self._layout.write().journal.note_doomed(entry.digest for entry in contents.find_tag(name)))
        self._change_index(operation, IndexChange(name, None))
        return True

    def delete_manifest(self, reference: Reference) -> None:
        """
        Delete every tag that names this digest.

        Raises:
            NotFoundError: No tag names it.
        """
        named = [tag for tag, digest, _ in self.iter_tags(reference.repository.path) if digest == reference.digest]
        if not named:
            raise self.make_operation("delete the manifest", reference).make_error(NotFoundError, "no tag names it")
        for tag in named:
            self.delete_tag(reference.repository.with_tag(tag))

    def _store_manifest(self, operation: Operation, digest: str, manifest: Manifest) -> None:
        writer, files = self._layout.write(), self._layout.open()
        sizes = [(one, files.find_blob(one.digest)) for one in (*manifest.children, *manifest.blobs)]
        missing = [one.digest for one, size in sizes if size != one.size_bytes and not (size is None and one.is_external)]
        if missing:
            error = operation.make_error(RejectedError, f"the layout does not have {missing[0]}", code="MANIFEST_BLOB_UNKNOWN")
            error.codes, error.digests = (error.code,), frozenset(missing)
            raise error
        if self._layout.read_small(digest, MANIFEST_LIMIT) != manifest.raw:
            writer.write_blob(digest, [manifest.raw])
        writer.journal.note_referenced(one.digest for one in (*manifest.children, *manifest.blobs))

    def _change_index(self, operation: Operation, change: IndexChange) -> None:
        self._call(operation, lambda: self._layout.write().change_index(change))

    def _note_brought(self, repository: Repository, digest: str) -> None:
        self._layout.brought.setdefault(repository.path, set()).add(digest)


@dataclass(frozen=True, slots=True)
class LayoutUpload:
    """The upload of one blob; see `Upload`."""

    store: LayoutStore
    repository: Repository
    blob: Descriptor
    mount_status: int = 0

    def put(self, chunks: Iterable[Chunk]) -> None:
        """Store the blob; errors of *chunks* pass through."""
        self.store.store_blob(self.repository, self.blob, chunks)

    def cancel(self) -> None:
        """Do nothing: what was not stored whole was deleted."""
