"""
Write a bundle: each blob at its place, in any order.

Work in progress lies in `OUT/.NAME.partial/`: volumes under way, and a journal of finished blobs. A killed run loses the blobs that were
under way, nothing else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import TracebackType

from imgsync.bundle.blob_sink import BlobSink
from imgsync.bundle.complete_volumes import complete_volumes, make_damage_error, publish, with_part_digests
from imgsync.bundle.existing_bundle import read_existing
from imgsync.bundle.journal import Journal, Piece, Stored
from imgsync.bundle.model import DOCUMENT_NAME, Bundle
from imgsync.bundle.piece_files import PieceFiles
from imgsync.bundle.placement import Placement
from imgsync.bundle.read_back import ReadBack
from imgsync.bundle.resume import resume
from imgsync.bundle.volume_layout import lay_out_volumes
from imgsync.bundle.work_folder import JOURNAL, WorkFolder
from imgsync.concurrency.native_thread import NativeThread
from imgsync.errors import OutputError
from imgsync.oci.spec.descriptor import Descriptor


class BundleWriter:
    """
    Writes a bundle, and continues what an earlier run left.

    One process at a time. A context manager; leaving it without `finish` keeps what was written for the next run.
    """

    def __init__(self, folder: Path, placement: Placement, *, only_volume: int | None = None) -> None:
        """
        Open *folder* for the bundle of *placement*.

        Finished blobs of an earlier run are kept, and moved if their place changed. With *only_volume*, make only this volume of the bundle in
        *folder* again.

        Raises:
            UsageError: The folder holds another bundle, or *only_volume* is given and it does not hold this one.
            LockedError: Another process writes there.
            OutputError: The folder cannot be written, or has too little space.
        """
        self._placement = placement
        self._only = only_volume
        self._existing = read_existing(folder, placement.draft, only_volume=only_volume)
        self._wanted = _list_pieces(placement.draft, only_volume)
        self._under_way: set[str] = set()
        self._is_closed = False
        self._thread = NativeThread()
        self._work = WorkFolder(folder, f".{placement.name}.partial" if only_volume is None else f".{placement.name}.{only_volume:03}.partial")
        self._journal = _open_journal(self._work)
        self._files = PieceFiles(self._work.files, placement.name)
        self._read_back = ReadBack(self._work.number, placement.name, self._files, self._journal, self._thread)
        try:
            self._open()
        except OSError as error:
            self._abandon()
            raise OutputError(f"{self._work.path} cannot be used: {error.strerror}") from error
        except BaseException:
            self._abandon()
            raise

    def _open(self) -> None:
        if not self.is_complete:
            volumes = {volume.file: volume.size_bytes for number, volume in enumerate(self._placement.draft.volumes, 1) if self._only in {None, number}}
            self._thread.run_steps(resume(self._work, self._journal, self._files, self._wanted, volumes, replaces=self._only is not None))

    def __enter__(self) -> BundleWriter:
        """Return the writer."""
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None) -> None:
        """Close the files, and let other processes write."""
        self.close()

    @property
    def is_complete(self) -> bool:
        """Return whether the folder already holds exactly this bundle."""
        return self._existing is not None and self._only is None

    def has(self, digest: str) -> bool:
        """Return whether a blob is finished, in this or an earlier run."""
        return digest in self._journal.finished or (self.is_complete and digest in self._wanted)

    def is_placed(self, digest: str) -> bool:
        """Return whether a blob lies in what is made."""
        return digest in self._wanted

    def begin(self, blob: Descriptor) -> BlobSink:
        """
        Return a sink for a blob that is placed and not finished.

        One sink at a time for a blob: callers share the work on a blob that several images have, such as with `SingleFlight`.

        Raises:
            ValueError: It is not placed, is finished, or has a sink already.
        """
        stored = self._wanted.get(blob.digest)
        if stored is None or self.has(blob.digest) or blob.digest in self._under_way:
            raise ValueError(f"{blob.digest} is not placed, is finished, or has a sink already")
        self._under_way.add(blob.digest)
        leave = partial(self._under_way.discard, blob.digest)
        return BlobSink(blob, stored, files=self._files, journal=self._journal, read_back=self._read_back, thread=self._thread, leave=leave)

    def write_whole(self, digest: str, data: bytes) -> None:
        """
        Write a small blob, unless it is finished.

        Raises:
            ValueError: It is not placed.
            OSError: It cannot be written.
        """
        if self.has(digest) or digest in self._under_way:
            return
        sink = self.begin(Descriptor("", digest, len(data)))
        try:
            sink.write(data)
            sink.commit()
        finally:
            sink.abort()

    def missing(self) -> Iterator[str]:
        """Yield the digests of blobs that are placed and not finished."""
        return (digest for digest in self._wanted if not self.has(digest))

    def finish(self) -> Bundle:
        """
        Complete the volumes, read them back, and write the document last.

        Raises:
            ValueError: A blob is missing.
            OutputError: A volume cannot be written, or is read back with other bytes.
        """
        if self._existing is not None and self.is_complete:
            self._work.delete()
            return self._existing
        try:
            self._read_back.run()
            left = next(self.missing(), None)
            if left is not None and left in self._read_back.damaged:
                raise make_damage_error(str(self._work.path), left)
            if left is not None:
                raise ValueError(f"{left} is missing")
            return self._complete()
        except OSError as error:
            raise OutputError(f"the bundle in {self._work.target} cannot be written: {error.strerror}", hint="run it again to continue") from error

    def close(self) -> None:
        """Close the files, and let other processes write."""
        if self._is_closed:
            return
        try:
            if self._journal.unsure:
                self._read_back.run()
        except OSError:
            # The next run verifies what was not synced.
            pass
        finally:
            self._abandon()

    def _complete(self) -> Bundle:
        bundle = with_part_digests(self._placement.draft, self._journal.finished, self._existing)
        if self._existing is not None and bundle != self._existing:
            raise OutputError(
                f"the parts of blobs differ from those in {self._work.target / DOCUMENT_NAME}", hint="make the whole bundle again in an empty folder"
            )
        layouts = [layout for layout in lay_out_volumes(bundle) if self._only in {None, layout.number}]
        self._thread.run_steps(complete_volumes(self._work, bundle, layouts))
        # What the next run takes back, if this one is killed before the document is there.
        self._thread.run(partial(self._journal.mark_completing, begins=True))
        self._thread.run(partial(publish, self._work, bundle, layouts, with_document=self._only is None))
        self._release()
        return bundle

    def _abandon(self) -> None:
        """Close the files, and leave no folder without a finished blob."""
        self._read_back.close()
        if self.is_complete or not (self._journal.finished or self._journal.is_completing):
            with contextlib.suppress(OSError):
                self._work.delete()
        self._release()

    def _release(self) -> None:
        self._is_closed = True
        self._read_back.close()
        self._journal.close()
        self._work.close()
        self._thread.close()


def _open_journal(work: WorkFolder) -> Journal:
    try:
        return Journal(JOURNAL, folder=work.number)
    except OSError as error:
        work.close()
        raise OutputError(f"{work.path / JOURNAL} cannot be used: {error.strerror}") from error


def _list_pieces(draft: Bundle, only_volume: int | None) -> dict[str, Stored]:
    """Return the pieces of each blob, of all volumes or of one."""
    pieces: dict[str, list[Piece]] = {}
    for layout in lay_out_volumes(draft):
        if only_volume in {None, layout.number}:
            for member in layout.members:
                if member.content is None:
                    pieces.setdefault(member.digest, []).append(Piece(layout.number, member.data_offset, member.size_bytes, member.start))
    cut = {blob.digest for blob in draft.blobs if blob.parts}
    found = {digest: tuple(sorted(places, key=lambda piece: piece.start)) for digest, places in pieces.items()}
    return {digest: Stored(places, ("",) * len(places) if digest in cut else ()) for digest, places in found.items()}
