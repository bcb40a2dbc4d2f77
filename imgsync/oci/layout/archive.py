"""
Read a layout in a tar archive.

One pass finds where each member is; nothing is extracted, and blobs are read at their place. Layouts (`skopeo copy … oci-archive:`, `ctr image export`,
`docker save` since Docker 25, a volume of a bundle) have an `index.json`. Of what `docker save` wrote before, an index is made in memory.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator

from imgsync.errors import LayoutError, UnsupportedContentError
from imgsync.oci.layout.archive_fault import ArchiveFaultError, show_name
from imgsync.oci.layout.archive_index import DOCKER_MANIFEST, DOCKER_REPOSITORIES, ArchiveIndex
from imgsync.oci.layout.blob_table import Place
from imgsync.oci.layout.docker_archive import DOCKER_MANIFEST_LIMIT_BYTES, ManifestMaker, read_docker_images, read_exactly, read_pieces
from imgsync.oci.layout.files import LAYOUT, LAYOUT_LIMIT_BYTES, LAYOUT_VERSION
from imgsync.oci.layout.index_json import INDEX, INDEX_LIMIT_BYTES
from imgsync.oci.layout.mend_index import mend_index
from imgsync.oci.layout.tar_members import read_members
from imgsync.oci.spec.strict_json import parse_object
from imgsync.system.chunk import Chunk


class ArchiveFiles:
    """The files of a layout in a tar archive; read only."""

    def __init__(self, path: str) -> None:
        """
        Open the archive at *path*, and find its members.

        Raises:
            LayoutError: It is damaged, hostile, too large, or no layout.
            OSError: It cannot be read.
        """
        self.path = path
        # A named pipe would wait for a writer.
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            with self._explain():
                self._index = ArchiveIndex(read_members(self._read_at, _find_size(self._file)))
                self._maker = ManifestMaker(self._index, self._read_at)
                self._check_kind()
                # Now, since a manifest that is made can be asked for by its digest.
                self._made_index = self._make_index()
        except BaseException:
            self.close()
            raise

    def read_version(self) -> object:
        """Return None: an archive stays as it is."""
        return None

    def has_layout(self) -> bool:
        """Return True, as it was opened."""
        return True

    def read_index(self) -> bytes:
        """
        Return `index.json`, or what stands for it.

        Of an archive of `docker save`, the images are as `manifest.json` has them.

        Raises:
            LayoutError: It is too large.
            OSError: It cannot be read.
        """
        if self._made_index is not None:
            return self._made_index
        with self._explain():
            return self._read_own_index() or b""

    def find_blob(self, digest: str) -> int | None:
        """Return the size of a blob in bytes, None if missing."""
        made = self._maker.manifests.get(digest)
        if made is not None:
            return len(made)
        place = self._find_place(digest)
        return None if place is None else place.size_bytes

    def read_blob(self, digest: str, *, start: int = 0, end: int | None = None) -> Iterator[Chunk]:
        """
        Yield the bytes of a blob, unchecked, from *start* to before *end*.

        Raises:
            LayoutError: The blob is not there, or the archive has become shorter.
            OSError: It cannot be read.
        """
        made = self._maker.manifests.get(digest)
        if made is not None:
            yield from filter(None, [made[start:end]])
            return
        place = self._find_place(digest)
        if place is None:
            raise LayoutError(f"{self.path} has no blob {digest}", hint="copy or download the archive again")
        with self._explain():
            yield from read_pieces(self._read_at, place, start=start, end=end)

    def close(self) -> None:
        """Close the archive."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def _read_at(self, size: int, offset: int) -> bytes:
        return os.pread(self._file, size, offset)

    def _find_place(self, digest: str) -> Place | None:
        return self._maker.places.get(digest) or self._index.find_blob(digest)

    def _check_kind(self) -> None:
        """Refuse archives that are not of images, and unknown layouts."""
        layout = self._index.find_file(LAYOUT)
        if layout is not None:
            version = parse_object(self._read_small(LAYOUT, layout, LAYOUT_LIMIT_BYTES), what=LAYOUT).get("imageLayoutVersion")
            if version != LAYOUT_VERSION:
                raise ArchiveFaultError(f"the layout has the version {show_name(str(version))}; imgsync reads {LAYOUT_VERSION}")
        if self._index.find_file(INDEX) is not None or self._index.find_file(DOCKER_MANIFEST) is not None:
            return
        folder = self._index.find_folder_of(INDEX) or self._index.find_folder_of(DOCKER_MANIFEST)
        if folder:
            raise ArchiveFaultError(
                f"the layout is in the folder {show_name(folder)} of the archive, not at its top",
                hint="extract it, and pack what is in the folder: `tar -C FOLDER -cf image.tar .`",
            )
        if self._index.find_file(DOCKER_REPOSITORIES) is not None:
            raise ArchiveFaultError("a Docker before 1.10 wrote the archive", hint="load it into Docker, and save it again")
        raise ArchiveFaultError(
            f"the archive has neither {INDEX} nor {DOCKER_MANIFEST}, so it has no images", hint="`docker export` writes none; use `docker save`"
        )

    def _make_index(self) -> bytes | None:
        """Return an index by `manifest.json`, None without one."""
        docker = self._index.find_file(DOCKER_MANIFEST)
        if docker is None:
            return None
        images = read_docker_images(self._read_small(DOCKER_MANIFEST, docker, DOCKER_MANIFEST_LIMIT_BYTES))
        own = self._read_own_index()
        return self._maker.make_index(images) if own is None else mend_index(own, images, self._maker, self._index, self._read_at)

    def _read_own_index(self) -> bytes | None:
        """Return `index.json`, None if there is none."""
        place = self._index.find_file(INDEX)
        return None if place is None else self._read_small(INDEX, place, INDEX_LIMIT_BYTES)

    def _read_small(self, name: str, place: Place, limit: int) -> bytes:
        if place.size_bytes > limit:
            raise ArchiveFaultError(f"{name} has {place.size_bytes:,} bytes; the limit is {limit:,}", hint="split the layout into several")
        return read_exactly(self._read_at, place)

    @contextlib.contextmanager
    def _explain(self) -> Iterator[None]:
        """Name the archive in errors about its content."""
        try:
            yield
        except ArchiveFaultError as error:
            raise LayoutError(f"{self.path}: {error}", hint=error.hint) from error
        except UnsupportedContentError as error:
            raise LayoutError(f"{self.path}: {error.message}", hint=error.hint) from error


def _find_size(file: int) -> int:
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode):
        raise ArchiveFaultError("it is not a regular file", hint="name a folder or a tar archive")
    return found.st_size
