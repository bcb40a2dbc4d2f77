"""
Read the members of a volume that is not trusted.

Only what imgsync writes is accepted: each header must be, byte for byte, the one that imgsync makes for this name and size. So there are no links,
devices, sparse or overlapping members, and no names outside the layout.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from imgsync.bundle.piece_files import read_exactly
from imgsync.bundle.tar_format import BLOCK_BYTES, make_header
from imgsync.bundle.volume_document import BLOB_MEMBER
from imgsync.bundle.volume_layout import INDEX_MEMBER, LAYOUT_MEMBER, VOLUME_MEMBER, Member
from imgsync.errors import BundleError

_OWN = {LAYOUT_MEMBER, INDEX_MEMBER, VOLUME_MEMBER}
_EXTENDED = b"x"
_OCTAL = re.compile(rb"[0-7]{11}")
_PAX = re.compile(rb"(?:[0-9]{1,3} path=([!-~]{1,200})\n)?(?:[0-9]{1,3} size=([0-9]{1,19})\n)?")
# More would take much memory, to find names that occur twice.
MEMBERS_LIMIT = 250_000


def iter_members(file: int, size_bytes: int, *, name: str) -> Iterator[Member]:
    """
    Yield the members of the volume in *file*, up to its end.

    What lies between the headers is not read: not the content, and not the padding.

    Raises:
        BundleError: A header is not as imgsync writes it, a name occurs twice, or a member does not fit in *size_bytes*.
    """
    seen: set[int] = set()
    offset = 0
    while (block := read_exactly(file, offset, BLOCK_BYTES)) != bytes(BLOCK_BYTES):
        try:
            member = _parse(file, block, offset)
            if member.end > size_bytes:
                raise ValueError(f"{member.name} does not fit")  # noqa: TRY301 - one message for all
        except ValueError as error:
            raise BundleError(f"{name} is not a volume of a bundle, or damaged at byte {offset:,}: {error}") from error
        # A number takes less memory than a name.
        if hash(member.name) in seen:
            raise BundleError(f"{name} has {member.name} twice")
        if len(seen) >= MEMBERS_LIMIT:
            raise BundleError(f"{name} has more than {MEMBERS_LIMIT:,} members")
        seen.add(hash(member.name))
        yield member
        offset = member.end


def _parse(file: int, block: bytes, offset: int) -> Member:
    """Return the member whose header begins with *block*, or raise ValueError."""
    if len(block) < BLOCK_BYTES:
        raise ValueError("it ends here")
    header = block
    member, size = block[:100].rstrip(b"\x00"), _parse_size(block)
    if block[156:157] == _EXTENDED:
        header = read_exactly(file, offset, 3 * BLOCK_BYTES)
        found = _PAX.fullmatch(header[BLOCK_BYTES : 2 * BLOCK_BYTES].rstrip(b"\x00"))
        if found is None or len(header) < 3 * BLOCK_BYTES:
            raise ValueError("its pax header is not one that imgsync writes")
        last = header[2 * BLOCK_BYTES :]
        member = found[1] or last[:100].rstrip(b"\x00")
        size = int(found[2]) if found[2] else _parse_size(last)
    text = member.decode("ascii", errors="replace")
    blob = BLOB_MEMBER.fullmatch(text)
    if text not in _OWN and blob is None:
        raise ValueError(f"{text[:100]!a} is not a member of a volume")
    if make_header(text, size) != header:
        raise ValueError("its header is not one that imgsync writes")
    return Member(text, offset, size, digest="" if blob is None else blob[1].replace("/", ":"))


def _parse_size(block: bytes) -> int:
    field = block[124:135]
    if _OCTAL.fullmatch(field) is None:
        raise ValueError("its size is not a number")
    return int(field, 8)
