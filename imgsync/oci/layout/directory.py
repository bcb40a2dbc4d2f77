"""
Read a layout in a folder.

Spec: image-spec 1.1, "OCI Image Layout Specification".
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

from imgsync.errors import LayoutError
from imgsync.oci.layout.files import LAYOUT, LAYOUT_LIMIT_BYTES, LAYOUT_VERSION
from imgsync.oci.layout.index_json import INDEX, INDEX_LIMIT_BYTES
from imgsync.oci.layout.safe_open import find_size, open_file, open_folder, open_top
from imgsync.oci.layout.staged_file import make_version
from imgsync.oci.spec.digest import is_digest
from imgsync.system.chunk import Chunk
from imgsync.text.sanitize import sanitize_message

BLOBS = "blobs"
# What imgsync needs beside the layout: locks, and files that are being written.
WORK = ".imgsync"
_PIECE_BYTES = 1 << 20
# What new file systems and desktops make on their own.
_NO_CONTENT = frozenset({WORK, "lost+found", ".DS_Store", "System Volume Information", ".Trashes", ".fseventsd", ".Spotlight-V100"})


class LayoutFolder:
    """The files of a layout in a folder; see `LayoutFiles`."""

    def __init__(self, path: str) -> None:
        """
        Open the folder at *path*.

        Raises:
            OSError: It is not there, no folder, or cannot be opened.
        """
        self.path = path
        self.folder = open_top(path)
        self._blobs: dict[str, int] = {}

    def read_version(self) -> object:
        """Return a value that changes whenever `index.json` is written."""
        try:
            return make_version(os.stat(INDEX, dir_fd=self.folder, follow_symlinks=False))
        except FileNotFoundError:
            return None

    def check_place(self) -> None:
        """
        Check that the path still names the folder that is open.

        Raises:
            OSError: It names another one, or none.
        """
        found, opened = Path(self.path).stat(), os.fstat(self.folder)
        if (found.st_dev, found.st_ino) != (opened.st_dev, opened.st_ino):
            raise OSError(errno.ESTALE, "another folder took its place meanwhile")

    def has_layout(self) -> bool:
        """
        Return whether there is a layout; False for a folder without content.

        Raises:
            LayoutError: The folder has other content, or a layout of an unknown version.
        """
        marker = open_file(LAYOUT, parent=self.folder, where=self.path)
        if marker is None:
            with os.scandir(self.folder) as entries:
                found = {entry.name for entry in entries}
            # A run that was killed while it made the layout leaves some of them.
            unfinished = {INDEX, BLOBS} if WORK in found else set()
            if found - _NO_CONTENT - unfinished:
                hint = "name the folder of a layout, or a new folder for one; `skopeo` and others write `dir:` folders too, which are no layouts"
                raise LayoutError(f"{self.path} is not an OCI layout: it has other files, and no file {LAYOUT}", hint=hint)
            return False
        with contextlib.closing(_Closing(marker)):
            self._check_marker(os.read(marker, LAYOUT_LIMIT_BYTES))
        return True

    def read_index(self) -> bytes:
        """
        Return `index.json`.

        Raises:
            LayoutError: There is none, it is too large, or the layout is hostile.
        """
        if not self.has_layout():
            raise LayoutError(f"{self.path} has no OCI layout: the folder is empty", hint="check that the medium is mounted, and `path` in registries.yaml")
        raw = self._read_small(INDEX, INDEX_LIMIT_BYTES)
        if raw is None:
            raise LayoutError(f"{self.path} is not a whole OCI layout: it has no {INDEX}", hint="write it again; what wrote it was interrupted")
        return raw

    def find_blob(self, digest: str) -> int | None:
        """Return the size of a blob in bytes, None without it."""
        algorithm, _, name = digest.partition(":")
        folder = self.open_blobs(algorithm) if is_digest(digest) else None
        return None if folder is None else find_size(name, parent=folder, where=f"{self.path}/{BLOBS}/{algorithm}")

    def read_blob(self, digest: str, *, start: int = 0, end: int | None = None) -> Iterator[Chunk]:
        """
        Yield the bytes of a blob, unchecked, from *start* to before *end*.

        Raises:
            LayoutError: The blob is not there, or is not a regular file.
            OSError: It cannot be read.
        """
        algorithm, _, name = digest.partition(":")
        folder = self.open_blobs(algorithm) if is_digest(digest) else None
        where = f"{self.path}/{BLOBS}/{algorithm}"
        file = None if folder is None else open_file(name, parent=folder, where=where)
        if file is None:
            raise LayoutError(f"{self.path} has no blob {digest}", hint="copy the image into the layout again")
        with contextlib.closing(_Closing(file)):
            reached = start
            while end is None or reached < end:
                piece = os.pread(file, _PIECE_BYTES if end is None else min(_PIECE_BYTES, end - reached), reached)
                if not piece:
                    return
                reached += len(piece)
                yield piece

    def open_blobs(self, algorithm: str) -> int | None:
        """Return the open folder of blobs with this algorithm, if any."""
        if algorithm not in self._blobs:
            blobs = open_folder(BLOBS, parent=self.folder, where=self.path)
            if blobs is None:
                return None
            with contextlib.closing(_Closing(blobs)):
                opened = open_folder(algorithm, parent=blobs, where=f"{self.path}/{BLOBS}")
            if opened is None:
                return None
            self._blobs[algorithm] = opened
        return self._blobs[algorithm]

    def close(self) -> None:
        """Close what is open."""
        opened = [*self._blobs.values(), *([self.folder] if self.folder >= 0 else [])]
        self._blobs, self.folder = {}, -1
        for one in opened:
            os.close(one)

    def _check_marker(self, raw: bytes) -> None:
        try:
            found = json.loads(raw)
            version = found.get("imageLayoutVersion") if isinstance(found, dict) else None
        except (ValueError, RecursionError):
            version = None
        if version != LAYOUT_VERSION:
            shown = sanitize_message(str(version), limit=40)
            raise LayoutError(f"{self.path} is an OCI layout of version {shown!r}; imgsync knows {LAYOUT_VERSION}", hint=f"check {self.path}/{LAYOUT}")

    def _read_small(self, name: str, limit: int) -> bytes | None:
        file = open_file(name, parent=self.folder, where=self.path)
        if file is None:
            return None
        with os.fdopen(file, "rb") as opened:
            raw = opened.read(limit + 1)
        if len(raw) > limit:
            raise LayoutError(f"{self.path}/{name} is larger than {limit >> 20} MiB", hint="split the layout into several")
        return raw


class _Closing:
    """A descriptor that `contextlib.closing` closes."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)
