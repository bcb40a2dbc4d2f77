"""
Write into a layout in a folder.

A blob is written beside its place, synced and renamed. The index is written last, under a lock, after it was read again: a reader never sees half an
image, a killed run leaves a valid layout, and two runs lose nothing of each other.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Protocol, TypeVar

from imgsync.errors import LayoutError
from imgsync.oci.layout.contents import LayoutContents
from imgsync.oci.layout.directory import BLOBS, WORK, LayoutFolder
from imgsync.oci.layout.files import LAYOUT, LAYOUT_VERSION
from imgsync.oci.layout.group_commit import GroupCommit
from imgsync.oci.layout.index_json import INDEX, IndexEntry, LayoutIndex, write_index
from imgsync.oci.layout.locks import LayoutLock
from imgsync.oci.layout.names import EntryName
from imgsync.oci.layout.run_journal import RunJournal, delete_journals, read_abandoned
from imgsync.oci.layout.safe_open import open_folder
from imgsync.oci.layout.staged_file import StagedFile, delete_abandoned
from imgsync.oci.layout.sweep import delete_blobs
from imgsync.oci.spec.strict_json import dump_json
from imgsync.system.chunk import Chunk
from imgsync.system.dataclass import dataclass

Result = TypeVar("Result")

# What is written with one call; a call costs less than a hundredth of the time that a fast disk takes for this.
_PIECE_BYTES = 1 << 20
_PIECES = 256
_REREADS = 5
_MARKER = dump_json({"imageLayoutVersion": LAYOUT_VERSION})


class RunBlocking(Protocol):
    """Runs a function that blocks, while others go on."""

    def __call__(self, function: Callable[[], Result]) -> Result:
        """Return `function()`."""


@dataclass(frozen=True, slots=True)
class IndexChange:
    """
    One change of the index.

    With a name, the tag becomes *entry*, or is removed without one. Without a name, *entry* is listed as what refers to *subject*, or without one the entry
    of the digest *subject* is removed.
    """

    name: EntryName | None
    entry: IndexEntry | None
    subject: str = ""


class LayoutWriter:
    """Writes into one layout; one per run."""

    def __init__(
        self,
        files: LayoutFolder,
        *,
        run_blocking: RunBlocking,
        load: Callable[[], tuple[LayoutContents, object]],
        note: Callable[[object], None],
        fence: Callable[[], None],
    ) -> None:
        """
        Make the folder a layout if needed, and share its lock.

        Args:
            files: The folder.
            run_blocking: Runs what blocks.
            load: Returns the contents of the index on disk, and the version of it that has them.
            note: Receives the version of the index that has these contents; None if none has.
            fence: Called right before each change of the layout; what it raises forbids it.

        Raises:
            LayoutError: The folder has other content, or a link where a folder should be.
            OSError: It cannot be written.
        """
        self._files = files
        self._run_blocking = run_blocking
        self._load = load
        self._note = note
        self._fence = fence
        self._commits = GroupCommit[IndexChange](self._commit)
        self._unsynced: set[int] = set()
        # What this run wrote: others, who know no lock, may have written an index that lacks it.
        self._written: dict[EntryName | str, IndexChange] = {}
        self._own_version: object = None
        self._work = _make_folder(WORK, parent=files.folder, where=files.path)
        where = f"{files.path}/{WORK}"
        self._writers = LayoutLock("writers", work=self._work, where=where)
        self._index_lock = LayoutLock("index", work=self._work, where=where)
        self._writers.share()
        self.journal = RunJournal(self._work)
        delete_abandoned(self._work, where=where)
        self._make_layout()

    def write_blob(self, digest: str, chunks: Iterable[Chunk]) -> int:
        """
        Store a blob, and return its size in bytes.

        Errors of *chunks* pass through, and then nothing is stored.

        Raises:
            OSError: It cannot be written.
        """
        algorithm, _, name = digest.partition(":")
        folder = self._open_blobs(algorithm)
        self.journal.note_stored(digest)
        staged: StagedFile | None = None
        size = 0
        try:
            for pieces, is_last in _gather(chunks):
                size += sum(map(len, pieces))
                staged = self._change_files(_write_with(staged, self._work, pieces, (folder, name) if is_last else None))
        except BaseException:
            if staged is not None:
                staged.discard()
            raise
        self._unsynced.add(folder)
        return size

    def change_index(self, change: IndexChange) -> None:
        """
        Change the index together with what others change now.

        Raises:
            LayoutError: The index on disk is damaged.
            OSError: It cannot be written.
        """
        self._commits.add(change)

    def restore_lost(self) -> None:
        """
        Write again what a program without locks dropped.

        Raises:
            LayoutError: The index on disk is damaged.
            OSError: It cannot be written.
        """
        if self._written and self._files.read_version() != self._own_version:
            self._commit([])

    def read_abandoned(self) -> dict[str, set[str]]:
        """Return what runs that ended stored, by their journals."""
        return read_abandoned(self._work, where=f"{self._files.path}/{WORK}")

    def try_hold_alone(self) -> bool:
        """Hold the layout alone from now on; return False if others write."""
        return self._writers.try_hold()

    def delete_unused(self, digests: Iterable[str], entries: Iterable[str], journals: Iterable[str]) -> None:
        """
        Delete blobs, their entries without a name, and journals.

        Raises:
            OSError: They cannot be deleted.
        """
        removed = [IndexChange(None, None, digest) for digest in entries]
        if removed:
            self._commit(removed)
        self._change_files(partial(delete_blobs, self._files, digests))
        delete_journals(self._work, journals)

    def close(self) -> None:
        """Give the locks back, and the journal if it is still open."""
        # Kept locked, it would never be read by a later run of this process.
        self.journal.close(keep=True)
        for lock in (self._writers, self._index_lock):
            lock.close()
        os.close(self._work)

    def _change_files(self, change: Callable[[], Result]) -> Result:
        """
        Return `change()`, right after the fence allowed it.

        Whatever changes the layout goes through here.
        """
        self._fence()
        return self._run_blocking(change)

    def _make_layout(self) -> None:
        self._open_blobs("sha256")
        if not self._files.has_layout():
            with self._index_lock.hold():
                if self._files.read_version() is None:
                    self._change_files(partial(self._publish, INDEX, [write_index(LayoutIndex())]))
                self._change_files(partial(self._publish, LAYOUT, [_MARKER]))

    def _open_blobs(self, algorithm: str) -> int:
        found = self._files.open_blobs(algorithm)
        if found is None:
            self._change_files(partial(self._make_blobs, algorithm))
            found = self._files.open_blobs(algorithm)
        if found is None:
            raise FileNotFoundError(f"{self._files.path}/{BLOBS}/{algorithm} was deleted")
        return found

    def _make_blobs(self, algorithm: str) -> None:
        blobs = _make_folder(BLOBS, parent=self._files.folder, where=self._files.path)
        try:
            os.close(_make_folder(algorithm, parent=blobs, where=f"{self._files.path}/{BLOBS}"))
        finally:
            os.close(blobs)

    def _commit(self, changes: Sequence[IndexChange]) -> None:
        unsynced, self._unsynced = self._unsynced, set()
        try:
            self._run_blocking(partial(_sync, unsynced))
            with self._index_lock.hold():
                self._merge_and_write(changes)
        except BaseException:
            # The contents in memory may have what the disk has not.
            self._note(None)
            self._unsynced |= unsynced
            raise
        self._written.update((change.name or (change.entry.digest if change.entry else ""), change) for change in changes)

    def _merge_and_write(self, changes: Sequence[IndexChange]) -> None:
        for _ in range(_REREADS):
            contents, version = self._load()
            if version != self._own_version:
                _apply_missing(contents, self._written.values())
            for change in changes:
                _apply(contents, change)
            try:
                raw = write_index(contents.index)
            except LayoutError as error:
                raise LayoutError(f"{self._files.path}: {error.message}", hint=error.hint) from error
            staged = self._run_blocking(partial(self._stage, [raw]))
            try:
                # The fence is asked only now: other changes and the lock may have taken minutes.
                written = self._change_files(partial(self._replace_index, staged, version))
            finally:
                staged.discard()
            self._note(written)
            if written is not None:
                self._own_version = written
                return
        raise LayoutError(f"another program writes {self._files.path}/{INDEX} again and again", hint="let it end, then run this again")

    def _stage(self, pieces: Sequence[bytes]) -> StagedFile:
        staged = StagedFile(self._work)
        try:
            staged.write(pieces)
            staged.sync()
        except BaseException:
            staged.discard()
            raise
        return staged

    def _replace_index(self, staged: StagedFile, version: object) -> object:
        """Put the index in place; return its version, None after others."""
        # Media are exchanged while a run writes; then the index would be where the path does not lead.
        self._files.check_place()
        # skopeo and others take no lock.
        if self._files.read_version() != version:
            return None
        written = staged.read_version()
        staged.rename(self._files.folder, INDEX)
        os.fsync(self._files.folder)
        return written

    def _publish(self, name: str, pieces: Sequence[bytes]) -> None:
        staged = self._stage(pieces)
        try:
            staged.publish(self._files.folder, name)
        finally:
            staged.discard()
        os.fsync(self._files.folder)


def _apply(contents: LayoutContents, change: IndexChange) -> None:
    if change.name is None:
        if change.entry is not None:
            contents.put_unnamed(change.entry, change.subject)
        else:
            contents.remove_unnamed(change.subject)
    elif change.entry is None:
        contents.remove_tag(change.name)
    else:
        contents.put_tag(change.name, change.entry)


def _apply_missing(contents: LayoutContents, written: Iterable[IndexChange]) -> None:
    """Add what this run wrote and others dropped from the index."""
    for change in written:
        if change.name is None or (change.entry is not None and not contents.find_tag(change.name)):
            _apply(contents, change)


def _write_with(staged: StagedFile | None, work: int, pieces: Sequence[Chunk], place: tuple[int, str] | None) -> Callable[[], StagedFile]:
    """Return a function that writes *pieces*, the last ones with a *place*."""

    def write() -> StagedFile:
        file = staged or StagedFile(work)
        try:
            file.write(pieces)
            if place is not None:
                file.publish(*place)
        except BaseException:
            file.discard()
            raise
        return file

    return write


def _sync(folders: Iterable[int]) -> None:
    for folder in folders:
        os.fsync(folder)


def _gather(chunks: Iterable[Chunk]) -> Iterator[tuple[list[Chunk], bool]]:
    """Yield chunks in groups of about 1 MiB, and whether last."""
    pieces: list[Chunk] = []
    held = 0
    for chunk in chunks:
        if held >= _PIECE_BYTES or len(pieces) >= _PIECES:
            yield pieces, False
            pieces, held = [], 0
        pieces.append(chunk)
        held += len(chunk)
    yield pieces, True


def _make_folder(name: str, *, parent: int, where: str) -> int:
    """Return the open folder *name*, made if it is missing."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o777, dir_fd=parent)
        os.fsync(parent)
    opened = open_folder(name, parent=parent, where=where)
    if opened is None:
        raise FileNotFoundError(f"{where}/{name} was deleted")
    return opened
