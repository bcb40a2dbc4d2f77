"""Complete the volumes of a bundle, and read them back."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from imgsync.bundle.check_volume import Problem, check_volume
from imgsync.bundle.document import encode_bundle, with_id
from imgsync.bundle.journal import Stored
from imgsync.bundle.model import DOCUMENT_NAME, Bundle, BundleBlob
from imgsync.bundle.piece_files import write_all
from imgsync.bundle.read_file import drop_cache
from imgsync.bundle.tar_format import END
from imgsync.bundle.volume_layout import VolumeLayout
from imgsync.bundle.work_folder import WorkFolder
from imgsync.errors import OutputError


def with_part_digests(draft: Bundle, finished: Mapping[str, Stored], existing: Bundle | None) -> Bundle:
    """
    Return *draft* with the digests of parts and its id.

    Parts that were not written now have the digests of *existing*.
    """
    known = {blob.digest: blob for blob in existing.blobs} if existing is not None else {}
    return with_id(replace(draft, blobs=tuple(_fill(blob, finished, known.get(blob.digest)) if blob.parts else blob for blob in draft.blobs)))


def _fill(blob: BundleBlob, finished: Mapping[str, Stored], known: BundleBlob | None) -> BundleBlob:
    stored = finished.get(blob.digest)
    written = dict(zip((piece.start for piece in stored.pieces), stored.part_digests, strict=True)) if stored is not None else {}
    parts, start = [], 0
    for index, part in enumerate(blob.parts):
        parts.append(replace(part, digest=written.get(start) or (known.parts[index].digest if known is not None else "")))
        start += part.size_bytes
    return replace(blob, parts=tuple(parts))


def complete_volumes(work: WorkFolder, bundle: Bundle, layouts: Sequence[VolumeLayout]) -> Iterator[int]:
    """
    Write the rest of each volume, sync it, and read it back.

    Yields after each step.

    Raises:
        OutputError: A volume is read back with other bytes.
        OSError: It cannot be written.
    """
    for layout in layouts:
        file = work.files.open(bundle.volumes[layout.number - 1].file)
        for member in layout.members:
            write_all(file, member.header + (member.content or b""), member.offset)
            write_all(file, member.padding, member.padding_offset)
        write_all(file, END, layout.size_bytes - len(END))
        os.ftruncate(file, layout.size_bytes)
        os.fsync(file)
        yield 1
    for layout in layouts:
        file = work.files.open(bundle.volumes[layout.number - 1].file)
        yield from _read_back(file, layout, bundle.volumes[layout.number - 1].file)


def publish(work: WorkFolder, bundle: Bundle, layouts: Sequence[VolumeLayout], *, with_document: bool) -> None:
    """
    Give the volumes their final names; write the document last.

    Raises:
        OSError: It cannot be written.
    """
    if with_document and (work.target / DOCUMENT_NAME).exists():
        raise FileExistsError(errno.EEXIST, f"another bundle was written there, {DOCUMENT_NAME}")
    work.publish([bundle.volumes[layout.number - 1].file for layout in layouts])
    if with_document:
        # Not by a temporary file of its own: FAT refuses to change the mode that such a file has.
        content, file = encode_bundle(bundle), work.files.open(DOCUMENT_NAME)
        write_all(file, content, 0)
        os.ftruncate(file, len(content))
        os.fsync(file)
        work.publish([DOCUMENT_NAME])
    work.delete()


def _read_back(file: int, layout: VolumeLayout, name: str) -> Iterator[int]:
    drop_cache(file)
    for found in check_volume(file, layout, blobs=False):
        if isinstance(found, Problem):
            raise make_damage_error(name, found.message)
        yield found


def make_damage_error(name: str, what: str) -> OutputError:
    """Return the error of a file that is read back wrong."""
    return OutputError(f"{name} was read back with other bytes: {what}", hint="the medium may be failing; run it again, or use another one")
