"""One layout of a run: its files, its contents, what was written."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from imgsync.errors import ImgsyncError, LayoutError, UnsupportedContentError
from imgsync.oci.layout.contents import LayoutContents
from imgsync.oci.layout.directory import LayoutFolder
from imgsync.oci.layout.files import LayoutFiles
from imgsync.oci.layout.index_json import IndexEntry, LayoutIndex, parse_index
from imgsync.oci.layout.open_files import open_files
from imgsync.oci.layout.sweep import find_unused
from imgsync.oci.layout.writer import LayoutWriter, RunBlocking
from imgsync.oci.spec.manifest import MANIFEST_LIMIT, Manifest, parse_manifest
from imgsync.oci.spec.media_types import read_manifest_type

# Programs that know no lock may be writing the index.
_REREADS = 5
_REREAD_PAUSE_SECONDS = 0.02


class OpenLayout:
    """
    A layout that a run reads and writes, from both sides.

    It is opened when it is first needed. Errors are those of files.
    """

    def __init__(
        self,
        name: str,
        path: str,
        *,
        repository: str | None,
        run_blocking: RunBlocking,
        on_warning: Callable[[str], None],
        fence: Callable[[], None] | None = None,
    ) -> None:
        """
        Open nothing yet.

        Args:
            name: The name of the layout.
            path: Its folder or archive.
            repository: The repository of images that are named by a tag only; None for *name*.
            run_blocking: Runs what blocks.
            on_warning: Receives what is skipped, each once.
            fence: Called right before each change of the layout; what it raises forbids it.
        """
        self.path = path
        self.run_blocking = run_blocking
        self._own_repository = repository or name
        self._is_own_declared = repository is not None
        self._on_warning = on_warning
        self._fence = fence or (lambda: None)
        self._files: LayoutFiles | None = None
        self._writer: LayoutWriter | None = None
        self._opening = threading.Lock()
        # Reading the index pauses, and others are not to read it too.
        self._reading = threading.Lock()
        self._contents: LayoutContents | None = None
        self._version: object = None
        # What stays as it is when the index changes: the subject of each manifest, and the entries while the index is read again.
        self._subjects: dict[str, str] = {}
        self._entries: dict[bytes, IndexEntry] = {}
        # What this run brought into each repository, by path.
        self.brought: dict[str, set[str]] = {}

    def open(self) -> LayoutFiles:
        """
        Return the files of the layout.

        Raises:
            LayoutError: It is hostile, or no layout.
            OSError: It is not there, or cannot be read.
        """
        if self._files is None:
            self._files = open_files(self.path)
        return self._files

    def read(self) -> LayoutContents:
        """
        Return the contents as they are now.

        Raises:
            LayoutError: There is no layout, or it is damaged or hostile.
            OSError: It is not there, or cannot be read.
        """
        files = self.open()
        contents = self._contents if self._version == files.read_version() else None
        if contents is None:
            with self._reading:
                contents = self._read_changed(files)
        return contents

    def _read_changed(self, files: LayoutFiles) -> LayoutContents:
        """Return the contents, read again unless another caller just did."""
        version = files.read_version()
        if self._contents is not None and version == self._version:
            return self._contents
        self._forget()
        contents = self._load(files)
        self._contents, self._version, self._entries = contents, version, {}
        for reason in contents.skipped:
            self._on_warning(f"{self.path}: skipped an image: {reason}")
        return contents

    def read_if_any(self) -> LayoutContents | None:
        """
        Return the contents, None if there is no layout yet.

        Raises:
            LayoutError: It is not a layout, or it is damaged or hostile.
            OSError: It cannot be read, or the folder above it is not there.
        """
        try:
            files = self.open()
        except FileNotFoundError:
            if not Path(self.path).absolute().parent.is_dir():
                # Where a medium is not mounted, nothing is to be made.
                raise
            return None
        return self.read() if files.has_layout() else None

    def write(self) -> LayoutWriter:
        """
        Return the writer; the folder is made if it is missing.

        Raises:
            LayoutError: It is not a layout, or it is an archive.
            OSError: It cannot be written.
        """
        # Opening may wait for a lock, and the layout has one writer.
        with self._opening:
            if self._writer is None:
                self._writer = self._open_writer()
        return self._writer

    def _open_writer(self) -> LayoutWriter:
        self._fence()
        with contextlib.suppress(FileExistsError):
            # Not those above it: where a medium is not mounted, nothing must be written instead.
            Path(self.path).mkdir()
        files = self.open()
        if not isinstance(files, LayoutFolder):
            raise LayoutError(f"{self.path} is an archive, which imgsync only reads", hint="write into a folder; `imgsync bundle create` writes archives")
        return LayoutWriter(files, run_blocking=self.run_blocking, load=lambda: (self.read(), self._version), note=self._note_version, fence=self._fence)

    def check_write(self) -> None:
        """
        Check that the layout can be written, without a change.

        Raises:
            LayoutError: It is not a layout, or it is an archive.
            OSError: It cannot be written.
        """
        folder = Path(self.path)
        folder = folder if os.path.lexists(folder) else folder.absolute().parent
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, f"{folder} cannot be written") if folder.is_dir() else FileNotFoundError(errno.ENOENT, f"no folder {folder}")
        self.read_if_any()

    def find_manifest(self, digest: str, media_type: str) -> Manifest | None:
        """
        Return a manifest, None if there is none of this digest.

        Raises:
            LayoutError: It is not a regular file.
            OSError: It cannot be read.
        """
        # A layer of an unknown kind is not read as a manifest.
        is_other = not media_type and self.read_small(digest, 0) != b"{"
        raw = None if is_other else self.read_small(digest, MANIFEST_LIMIT)
        if raw is None:
            return None
        try:
            manifest = parse_manifest(raw, content_type=read_manifest_type(media_type), algorithm=digest)
        except UnsupportedContentError:
            return None
        return manifest if manifest.digest == digest else None

    def read_small(self, digest: str, limit: int) -> bytes | None:
        """Return at most *limit* + 1 bytes of a blob, if any."""
        files = self.open()
        if files.find_blob(digest) is None:
            return None
        return b"".join(files.read_blob(digest, end=limit + 1))

    def close(self) -> None:
        """Delete what nothing uses any more, and close what is open."""
        if self._writer is not None:
            try:
                self._sweep(self._writer)
            except (OSError, ImgsyncError) as error:
                self._on_warning(f"{self.path}: the layout was not tidied up: {error}")
        writer, files = self._writer, self._files
        self._writer = self._files = self._contents = None
        if writer is not None:
            writer.close()
        if files is not None:
            files.close()

    def _sweep(self, writer: LayoutWriter) -> None:
        writer.restore_lost()
        journal, abandoned = writer.journal, writer.read_abandoned()
        if (journal.doomed or abandoned) and writer.try_hold_alone():
            candidates = journal.doomed.union(*abandoned.values())
            unused, entries = find_unused(self.read(), candidates, self._read_used)
            # If this run is killed now, the next one may find the blobs without the manifests that name them.
            journal.note_doomed(unused)
            writer.delete_unused(unused, entries, abandoned)
            journal.doomed.clear()
        # What failed images brought is deleted after the next run, which may need it.
        journal.close(keep=bool(journal.loose or journal.doomed))

    def _read_used(self, digest: str, media_type: str) -> Manifest | None:
        manifest = self.find_manifest(digest, media_type)
        if manifest is None and read_manifest_type(media_type) and self.open().find_blob(digest) is not None:
            raise LayoutError(f"the manifest {digest} cannot be read, so that its blobs are not known", hint="copy the image again")
        return manifest

    def _load(self, files: LayoutFiles) -> LayoutContents:
        return LayoutContents(
            self._read_index(files), self.find_manifest, own_repository=self._own_repository, is_own_declared=self._is_own_declared, subjects=self._subjects
        )

    def _read_index(self, files: LayoutFiles) -> LayoutIndex:
        for left in range(_REREADS, -1, -1):
            raw = files.read_index()
            try:
                return parse_index(raw, where=self.path, known=self._entries)
            except LayoutError:
                if not left or files.read_version() is None:
                    raise
                time.sleep(_REREAD_PAUSE_SECONDS)
        raise AssertionError

    def _forget(self) -> None:
        """Forget the contents, but for what helps to read them again."""
        if self._contents is not None:
            self._entries = {entry.raw: entry for entry in self._contents.index.entries}
        self._contents = None

    def _note_version(self, version: object) -> None:
        self._version = version
        if version is None:
            self._forget()
