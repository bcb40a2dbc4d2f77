"""
Parse one header of a tar archive.

Spec: POSIX.1-2017 pax, "ustar Interchange Format" and "pax Extended Header"; GNU tar "Basic Tar Format" for base-256 numbers.
"""

from __future__ import annotations

import re

from imgsync.oci.layout.archive_fault import ArchiveFaultError, show_name
from imgsync.system.dataclass import dataclass

BLOCK_BYTES = 512
SIZE_LIMIT_BYTES = (1 << 63) - 1
# The largest size that 11 octal digits can say.
OCTAL_LIMIT_BYTES = (1 << 33) - 1
_USTAR_MAGIC = b"ustar\0"
_DECIMAL = re.compile(rb"[0-9]{1,19}")
_OCTAL = re.compile(rb" *([0-7]*)[ \0]*")
# The keys that change what a member is. All others are times, owners and attributes of files, which nothing here needs.
_PAX_KEYS = frozenset({b"path", b"linkpath", b"size"})
_PAX_LENGTH_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of a header that say what a member is."""

    name: bytes
    type: bytes
    size_bytes: int
    target: bytes


def parse_header(block: bytes) -> Header:
    """
    Parse a header of 512 bytes.

    Raises:
        ArchiveFaultError: The checksum is wrong, or a number is none.
    """
    checksum = _OCTAL.fullmatch(block, 148, 156)
    # The checksum is taken with blanks in its own place.
    if checksum is None or int(checksum[1] or b"0", 8) != sum(block) - sum(block[148:156]) + 8 * 0x20:
        raise ArchiveFaultError("there is no header of a tar archive", hint="the file is damaged or not a tar archive; get it again")
    name = _cut(block[:100])
    if block[257:263] == _USTAR_MAGIC and block[345]:
        name = _cut(block[345:500]) + b"/" + name
    return Header(name, block[156:157], _parse_size(block[124:136], name), _cut(block[157:257]))


def parse_pax(content: bytes) -> dict[bytes, bytes]:
    """
    Return the path, link path and size in an extended header.

    Raises:
        ArchiveFaultError: It is malformed, gives one of them twice, or describes a sparse file.
    """
    found: dict[bytes, bytes] = {}
    place = 0
    while place < len(content):
        blank = content.find(b" ", place, place + _PAX_LENGTH_DIGITS)
        digits = content[place : max(place, blank)]
        end = place + int(digits) if _DECIMAL.fullmatch(digits) else 0
        key, equals, value = content[blank + 1 : end - 1].partition(b"=")
        if not blank < end <= len(content) or content[end - 1 : end] != b"\n" or not key or not equals:
            raise ArchiveFaultError("an extended header is malformed")
        if key.startswith(b"GNU.sparse.") or key == b"SCHILY.realsize":
            raise make_sparse_fault(found.get(b"path", b""))
        if key in _PAX_KEYS:
            if key in found:
                raise ArchiveFaultError(f"an extended header gives the {key.decode()} of a member twice")
            found[key] = value
        place = end
    return found


def parse_pax_size(value: bytes, header: Header) -> int:
    """
    Return the size in an extended header.

    It is there because the header cannot hold it. Readers that trust the header would see other members (CVE-2025-62518).

    Raises:
        ArchiveFaultError: It is not a size, or the header has another one.
    """
    size = int(value) if _DECIMAL.fullmatch(value) else -1
    if not 0 <= size <= SIZE_LIMIT_BYTES:
        raise ArchiveFaultError(f"the size of the member {show_name(header.name)} is {show_name(value)}")
    if size != header.size_bytes and size <= OCTAL_LIMIT_BYTES:
        raise ArchiveFaultError(f"the member {show_name(header.name)} has two sizes: {header.size_bytes:,} and {size:,} bytes")
    return size


def make_sparse_fault(name: bytes) -> ArchiveFaultError:
    """Return the fault of a sparse member."""
    return ArchiveFaultError(f"the member {show_name(name)} is a sparse file", hint="write the archive again without `--sparse`")


def _parse_size(field: bytes, name: bytes) -> int:
    """Return the number in *field*: octal digits, or base 256."""
    if field[0] & 0x80:
        size = int.from_bytes(field, "big") - (1 << 95)
        if field[0] & 0x40 or size > SIZE_LIMIT_BYTES:
            raise ArchiveFaultError(f"the size of the member {show_name(name)} is {'negative' if field[0] & 0x40 else 'larger than any file'}")
        return size
    digits = _OCTAL.fullmatch(field)
    if digits is None:
        raise ArchiveFaultError(f"the size of the member {show_name(name)} is not a number")
    return int(digits[1] or b"0", 8)


def _cut(field: bytes) -> bytes:
    """Return what is before the first NUL."""
    return field.partition(b"\0")[0]
