"""
Read the blobs of a bundle.

The folder is not trusted: only regular files with the names and sizes in the document are opened, and links are not followed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType

from imgsync.bundle.document import LIMIT_BYTES, decode_bundle
from imgsync.bundle.model import DOCUMENT_NAME, Bundle, BundleBlob
from imgsync.bundle.piece_files import READ_BYTES
from imgsync.bundle.read_file import open_regular, read_limited
from imgsync.bundle.volume_layout import Member, lay_out_volumes
from imgsync.concurrency.native_thread import NativeThread
from imgsync.errors import BundleError
from imgsync.oci.spec.digest import DigestVerifier
from imgsync.system.chunk import Chunk
from imgsync.text.units import format_bytes

# A bundle may have thousands of volumes.
_OPEN_FILES = 32


class OpenBundle:
    """The volumes of a bundle, opened when they are needed."""

    def __init__(self, folders: Sequence[Path], document: Bundle) -> None:
        """Read each volume of *document* in the first folder that has it."""
        self._folders = tuple(folders)
        self.document = document
        self._blobs = {blob.digest: blob for blob in document.blobs}
        self._members = _list_members(document)
        self._missing = {number: self._find(volume.file) is None for number, volume in enumerate(document.volumes, 1)}
        self._files: dict[int, int] = {}
        self._thread = NativeThread()

    def __enter__(self) -> OpenBundle:
        """Return the bundle."""
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None) -> None:
        """Close the files."""
        self.close()

    def has(self, digest: str) -> bool:
        """Return whether the bundle holds a blob whose volumes are there."""
        return digest in self._blobs and not self.missing_volumes(digest)

    def missing_volumes(self, digest: str) -> tuple[str, ...]:
        """Return the absent volumes that a blob needs, by file name."""
        blob = self._blobs.get(digest)
        numbers = sorted(set(blob.volumes)) if blob is not None else ()
        return tuple(self.document.volumes[number - 1].file for number in numbers if self._missing[number])

    def read(self, digest: str, *, start: int = 0, end: int | None = None) -> Iterator[Chunk]:
        """
        Yield the bytes of a blob from *start* to *end*, unchecked.

        Raises:
            BundleError: The bundle does not hold it, or its volume is missing or has another size.
            OSError: The volume cannot be read.
        """
        stop = self._require(digest).size_bytes if end is None else end
        for number, member in self._members[digest]:
            begin, finish = max(start, member.start), min(stop, member.start + member.size_bytes)
            while begin < finish:
                count = min(READ_BYTES, finish - begin)
                chunk = self._thread.run(partial(self._read_chunk, number, member.data_offset + begin - member.start, count))
                if not chunk:
                    raise BundleError(f"{self.document.volumes[number - 1].file} ended while it was read")
                yield chunk
                begin += len(chunk)

    def read_whole(self, digest: str, *, limit_bytes: int) -> bytes:
        """
        Return the bytes of a small blob, such as a manifest, checked.

        Raises:
            BundleError: As in `read`, or it is larger than *limit_bytes*.
            ContentMismatchError: The bytes do not match the digest.
        """
        size = self._require(digest).size_bytes
        if size > limit_bytes:
            raise BundleError(f"{digest} has {format_bytes(size)}; at most {format_bytes(limit_bytes)} are read")
        data = b"".join(self.read(digest))
        verifier = DigestVerifier(digest, size, f"blob {digest} of the bundle")
        verifier.update(data)
        verifier.check()
        return data

    def close(self) -> None:
        """Close the files."""
        self._thread.close()
        while self._files:
            os.close(self._files.popitem()[1])

    def _require(self, digest: str) -> BundleBlob:
        blob = self._blobs.get(digest)
        if blob is None:
            raise BundleError(f"the bundle does not hold {digest}")
        return blob

    def _read_chunk(self, number: int, offset: int, count: int) -> bytes:
        """Return up to *count* bytes of a volume; runs in the thread."""
        file = self._files.pop(number, None)
        if file is None:
            if len(self._files) >= _OPEN_FILES:
                os.close(self._files.pop(next(iter(self._files))))
            file = self._open(number)
        # The last one was used last.
        self._files[number] = file
        return os.pread(file, count, offset)

    def _open(self, number: int) -> int:
        volume = self.document.volumes[number - 1]
        folder = self._find(volume.file)
        if folder is None:
            raise BundleError(f"{volume.file} is missing", hint="give each folder that has a volume of the bundle")
        file = open_regular(folder, volume.file)
        size = os.fstat(file).st_size
        if size != volume.size_bytes:
            os.close(file)
            raise BundleError(f"{folder / volume.file} has {size:,} bytes, not {volume.size_bytes:,}")
        return file

    def _find(self, name: str) -> Path | None:
        """Return the folder that has the file *name*."""
        return next((folder for folder in self._folders if os.path.lexists(folder / name)), None)


def find_document(folders: Sequence[Path]) -> tuple[Path, bytes]:
    """
    Return the first of *folders* with a document, and its bytes.

    Raises:
        BundleError: None has one, or it is not a regular file.
    """
    for folder in folders:
        try:
            return folder, read_limited(folder, DOCUMENT_NAME, limit_bytes=LIMIT_BYTES)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise BundleError(f"{folder / DOCUMENT_NAME} cannot be read: {error.strerror}") from error
    unfinished = any(path for folder in folders for path in folder.glob(".*.partial"))
    hint = "it is not complete: run `imgsync bundle create` again, as before" if unfinished else "name the folder that `imgsync bundle create` wrote"
    raise BundleError(f"there is no {DOCUMENT_NAME} in {', '.join(map(str, folders))}", hint=hint)


def read_document(folders: Sequence[Path]) -> Bundle:
    """
    Return the bundle in *folders*, without checking its signature.

    Raises:
        BundleError: There is none, or it is damaged.
    """
    folder, raw = find_document(folders)
    return decode_bundle(raw, name=str(folder / DOCUMENT_NAME))


def _list_members(document: Bundle) -> dict[str, list[tuple[int, Member]]]:
    """Return the members of each blob with their volumes, in order."""
    found: dict[str, list[tuple[int, Member]]] = {blob.digest: [] for blob in document.blobs}
    for layout in lay_out_volumes(document):
        for member in layout.members:
            if member.content is None:
                found[member.digest].append((layout.number, member))
    for members in found.values():
        members.sort(key=lambda one: one[1].start)
    return found
