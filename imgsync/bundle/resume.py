"""Continue a bundle that an earlier run left."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping

from imgsync.bundle.journal import Journal, Stored
from imgsync.bundle.piece_files import PieceFiles
from imgsync.bundle.placement import FAT_LIMIT_BYTES
from imgsync.bundle.relocate import Relocation
from imgsync.bundle.work_folder import WorkFolder
from imgsync.errors import OutputError, UsageError
from imgsync.text.units import format_bytes


def resume(work: WorkFolder, journal: Journal, files: PieceFiles, wanted: Mapping[str, Stored], volumes: Mapping[str, int], *, replaces: bool) -> Iterator[int]:
    """
    Keep finished blobs of an earlier run, at their new places.

    *wanted* are their places. *volumes* are the sizes of the volumes to write, by file name. With *replaces*, they are there already. Yields after each step.

    Raises:
        UsageError: Such a volume is there, and not of this bundle.
        OutputError: The file system has too little space, or takes no files of this size.
    """
    if journal.is_completing:
        _take_back(work, journal, files)
    if not replaces and (known := next((name for name in volumes if (work.target / name).exists()), None)):
        raise UsageError(f"{work.target / known} exists already, and no bundle that it belongs to", hint="name an empty folder")
    yield from _verify_unsure(journal, files)
    yield from Relocation(journal, files, wanted).run()
    for name in work.list_names():
        if (name.endswith(".tar") and name not in volumes) or name.startswith("blob-"):
            work.remove(name)
    _check_space(work, volumes)
    _check_file_sizes(work, volumes)


def _take_back(work: WorkFolder, journal: Journal, files: PieceFiles) -> None:
    """Take back the volumes that got their final names before a kill."""
    for name in sorted({files.name_file(digest, piece) for digest, stored in journal.finished.items() for piece in stored.pieces}):
        work.take_back(name)
    work.sync_target()
    journal.mark_completing(begins=False)


def _verify_unsure(journal: Journal, files: PieceFiles) -> Iterator[int]:
    for digest in sorted(journal.unsure):
        if not files.is_intact(digest, journal.finished[digest]):
            journal.remove(digest)
        yield 1


def _check_space(work: WorkFolder, volumes: Mapping[str, int]) -> None:
    needed, free = sum(volumes.values()) - work.count_allocated_bytes(), work.count_free_bytes()
    if needed > free:
        raise OutputError(
            f"{work.target} has too little space: {format_bytes(needed)} more are needed, {format_bytes(free)} are free",
            hint="free some space, or name a folder on a larger medium",
        )


def _check_file_sizes(work: WorkFolder, volumes: Mapping[str, int]) -> None:
    """Refuse volumes that are too large for the file system."""
    for name, size in volumes.items():
        if size >= FAT_LIMIT_BYTES:
            file = work.files.open(name)
            before = os.fstat(file).st_size
            try:
                os.ftruncate(file, max(before, size))
            except OSError as error:
                if error.errno != errno.EFBIG:
                    raise
                raise OutputError(
                    f"{work.target} takes no files of {format_bytes(size)}", hint="FAT takes files below 4 GiB: use --volume-size 4GiB or less"
                ) from error
            os.ftruncate(file, before)
