"""
Compare every byte of a volume with what the document says.

Headers, padding and the end follow from the document, so they are compared; blobs and parts are hashed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

from imgsync.bundle.piece_files import read_exactly, read_range
from imgsync.bundle.tar_format import END
from imgsync.bundle.volume_layout import Member, VolumeLayout
from imgsync.system.dataclass import dataclass
from imgsync.text.units import format_bytes


@dataclass(frozen=True, slots=True)
class Problem:
    """
    What is wrong with a volume or a blob.

    `digest` is the blob that is lost, "" if only bytes around blobs are damaged. `offset` is where the damaged member begins.
    """

    message: str
    digest: str = ""
    offset: int = 0


def check_volume(
    file: int, layout: VolumeLayout, on_part: Callable[[Member, int, bytes], None] | None = None, *, blobs: bool = True
) -> Iterator[int | Problem]:
    """
    Check the volume *layout* in the open *file*.

    Yields the number of bytes read, and problems as they are found. Blobs that do not match cost their images; damage elsewhere does not.
    *on_part* takes the bytes of parts, with their place in the part. Without *blobs*, only what lies around them is checked.
    """
    for member in layout.members:
        try:
            yield from _check_member(file, member, on_part if member.part_digest else None, blobs=blobs)
        except OSError as error:
            yield Problem(f"{member.name} cannot be read: {error.strerror}", member.digest, member.offset)
    end = layout.size_bytes - len(END)
    try:
        if read_exactly(file, end, len(END) + 1) != END:
            yield Problem("the end is damaged", offset=end)
    except OSError as error:
        yield Problem(f"the end cannot be read: {error.strerror}", offset=end)


def _check_member(file: int, member: Member, on_part: Callable[[Member, int, bytes], None] | None, *, blobs: bool) -> Iterator[int | Problem]:
    header = member.header
    if read_exactly(file, member.offset, len(header)) != header:
        yield Problem(f"the header of {member.name} is damaged", offset=member.offset)
    if member.content is not None:
        if read_exactly(file, member.data_offset, member.size_bytes) != member.content:
            yield Problem(f"{member.name} is damaged", offset=member.offset)
    elif blobs:
        yield from _check_blob(file, member, on_part)
    if not has_padding(file, member):
        yield Problem(f"the padding after {member.name} is damaged", offset=member.offset)


def has_padding(file: int, member: Member) -> bool:
    """Return whether zeros follow the content of *member*."""
    return read_exactly(file, member.padding_offset, len(member.padding)) == member.padding


def _check_blob(file: int, member: Member, on_part: Callable[[Member, int, bytes], None] | None) -> Iterator[int | Problem]:
    hasher = hashlib.new(member.own_digest.partition(":")[0])
    seen = 0
    for chunk in read_range(file, member.data_offset, member.size_bytes):
        hasher.update(chunk)
        if on_part is not None:
            on_part(member, seen, chunk)
        seen += len(chunk)
        yield len(chunk)
    if seen < member.size_bytes:
        yield Problem(f"{member.name} is cut off after {format_bytes(seen)}", member.digest, member.offset)
    elif f"{hasher.name}:{hasher.hexdigest()}" != member.own_digest:
        yield Problem(f"{member.name} does not match its digest", member.digest, member.offset)
