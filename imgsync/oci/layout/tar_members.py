"""
Read the members of a tar archive, which may be hostile.

Python's tarfile sets no limits on names, extended headers and members, and accepts archives that other programs read differently. Here each member has
one reading, or the archive is refused. Nothing is extracted, and the content of members is not read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from imgsync.oci.layout.archive_fault import ArchiveFaultError, show_name
from imgsync.oci.layout.tar_header import BLOCK_BYTES, Header, make_sparse_fault, parse_header, parse_pax, parse_pax_size
from imgsync.system.dataclass import dataclass

# Of one archive, extended headers included.
MEMBER_LIMIT = 250_000
NAME_LIMIT_BYTES = 1024
EXTENDED_HEADER_LIMIT_BYTES = 64 << 10
# Headers of small members come with one read.
_WINDOW_BYTES = 4096
_END = bytes(BLOCK_BYTES)
_KINDS = {b"0": "file", b"\0": "file", b"5": "folder", b"1": "hard link", b"2": "link"}
_REFUSED = {b"3": "device", b"4": "device", b"6": "named pipe"}
_EXTENSIONS = frozenset({b"x", b"g", b"L", b"K"})
_FLATTEN = "extract it, and put the files of the layout alone into a new archive: `tar -C FOLDER -cf image.tar .`"

# Returns up to SIZE bytes from an OFFSET.
ReadAt = Callable[[int, int], bytes]


@dataclass(frozen=True, slots=True)
class Member:
    """
    One member of an archive.

    `name` has no `.` and no empty part. `kind` is "file", "folder", "link" or "hard link". The content is at `offset`. `target` is that of a link.
    """

    name: str
    kind: str
    offset: int
    size_bytes: int
    target: str = ""


@dataclass(slots=True)
class _Extension:
    """What extended headers say about the next member."""

    name: bytes | None = None
    target: bytes | None = None
    size: bytes | None = None
    is_there: bool = False

    def take(self, kind: bytes, content: bytes) -> None:
        """Take an extended header into account."""
        if kind == b"g":
            if parse_pax(content):
                raise ArchiveFaultError("a global extended header changes the path or size of all members")
            return
        given = {b"path": content.rstrip(b"\0")} if kind == b"L" else {b"linkpath": content.rstrip(b"\0")} if kind == b"K" else parse_pax(content)
        for value, known in ((given.get(b"path"), self.name), (given.get(b"linkpath"), self.target), (given.get(b"size"), self.size)):
            if value is not None and known is not None:
                raise ArchiveFaultError("two extended headers of one member contradict each other")
        self.name = given.get(b"path", self.name)
        self.target = given.get(b"linkpath", self.target)
        self.size = given.get(b"size", self.size)
        self.is_there = True


def read_members(read_at: ReadAt, size_bytes: int) -> Iterator[Member]:
    """
    Yield the members of an archive of *size_bytes*, in order.

    Raises:
        ArchiveFaultError: The archive is damaged, hostile, too large, or not a tar archive.
    """
    window = _Window(read_at)
    extension = _Extension()
    offset = count = 0
    while (block := window.read(offset)) != _END:
        if len(block) < BLOCK_BYTES:
            raise ArchiveFaultError(f"the archive ends at byte {size_bytes:,} without an end mark: it is truncated", hint="copy or download it again")
        count += 1
        if count > MEMBER_LIMIT:
            raise ArchiveFaultError(f"the archive has more than {MEMBER_LIMIT:,} members", hint="extract it into a folder, and name the folder")
        try:
            header = parse_header(block)
        except ArchiveFaultError as error:
            raise ArchiveFaultError(f"at byte {offset:,}, {error}", hint=error.hint) from error
        content = offset + BLOCK_BYTES
        if header.type in _EXTENSIONS:
            extension.take(header.type, _read_extended_header(read_at, header, content, size_bytes))
            offset = _find_next(content, header.size_bytes)
            continue
        member = _make_member(header, extension, content, size_bytes)
        offset = _find_next(content, member.size_bytes)
        extension = _Extension() if extension.is_there else extension
        yield member
    if extension.is_there:
        raise ArchiveFaultError("the archive ends after an extended header, without its member: it is truncated", hint="copy or download it again")
    if window.read(offset + BLOCK_BYTES) not in {_END, b""}:
        raise ArchiveFaultError(f"at byte {offset:,}, an empty block is in the middle of the archive", hint="copy or download it again")


class _Window:
    """Reads blocks, several at once."""

    def __init__(self, read_at: ReadAt) -> None:
        self._read_at = read_at
        self._start = 0
        self._content = b""

    def read(self, offset: int) -> bytes:
        """Return the block at *offset*, shorter at the end of the file."""
        place = offset - self._start
        if not 0 <= place <= len(self._content) - BLOCK_BYTES:
            self._start, self._content, place = offset, self._read_at(_WINDOW_BYTES, offset), 0
        return self._content[place : place + BLOCK_BYTES]


def _read_extended_header(read_at: ReadAt, header: Header, offset: int, archive_bytes: int) -> bytes:
    if header.size_bytes > EXTENDED_HEADER_LIMIT_BYTES:
        raise ArchiveFaultError(f"an extended header has {header.size_bytes:,} bytes; the limit is {EXTENDED_HEADER_LIMIT_BYTES:,}", hint=_FLATTEN)
    _check_end(header.name, offset, header.size_bytes, archive_bytes)
    return read_at(header.size_bytes, offset)


def _make_member(header: Header, extension: _Extension, offset: int, archive_bytes: int) -> Member:
    raw_name = header.name if extension.name is None else extension.name
    kind = _find_kind(header.type, raw_name)
    size = header.size_bytes if extension.size is None else parse_pax_size(extension.size, header)
    if kind != "file" and size:
        raise ArchiveFaultError(f"the member {show_name(raw_name)} is a {kind} with {size:,} bytes of content")
    _check_end(raw_name, offset, size, archive_bytes)
    target = header.target if extension.target is None else extension.target
    return Member(clean_name(raw_name), kind, offset, size, decode_name(target) if "link" in kind else "")


def _find_kind(kind: bytes, name: bytes) -> str:
    if kind == b"S":
        raise make_sparse_fault(name)
    if kind in _REFUSED:
        raise ArchiveFaultError(f"the member {show_name(name)} is a {_REFUSED[kind]}", hint=_FLATTEN)
    if kind not in _KINDS:
        raise ArchiveFaultError(f"the member {show_name(name)} is of the unknown type {show_name(kind)}", hint=_FLATTEN)
    return "folder" if _KINDS[kind] == "file" and name.endswith(b"/") else _KINDS[kind]


def _check_end(name: bytes, offset: int, size: int, archive_bytes: int) -> None:
    if offset + size > archive_bytes:
        raise ArchiveFaultError(
            f"the member {show_name(name)} has {size:,} bytes from byte {offset:,} on, but the archive ends at byte {archive_bytes:,}",
            hint="the archive is truncated, or its sizes are false; copy or download it again",
        )


def _find_next(offset: int, size: int) -> int:
    return offset + (size + BLOCK_BYTES - 1) // BLOCK_BYTES * BLOCK_BYTES


def clean_name(raw: bytes) -> str:
    """
    Return the name of a member without `.` and empty parts.

    The archive's top folder is "".

    Raises:
        ArchiveFaultError: It is empty, too long, absolute, or leaves the archive.
    """
    if not raw or b"\0" in raw or len(raw) > NAME_LIMIT_BYTES:
        raise ArchiveFaultError(
            f"the name of the member {show_name(raw)} {'is empty' if not raw else f'has {len(raw):,} bytes' if len(raw) > NAME_LIMIT_BYTES else 'has a NUL'}"
        )
    if raw.startswith(b"/"):
        raise ArchiveFaultError(f"the member {show_name(raw)} has an absolute path")
    parts = decode_name(raw).split("/")
    if ".." in parts:
        raise ArchiveFaultError(f"the member {show_name(raw)} leaves the archive by `..`")
    return "/".join(part for part in parts if part not in {"", "."})


def decode_name(raw: bytes) -> str:
    """Return a name as text; bytes outside UTF-8 become surrogates."""
    return raw.decode("utf-8", "surrogateescape")
