"""
Write headers of tar members, without times, owners and links.

The same name and size always give the same bytes.

Spec: POSIX.1-2017 pax, "ustar Interchange Format" and "pax Extended Header".
"""

from __future__ import annotations

BLOCK_BYTES = 512
# Two blocks of zeros. Tools that pad to 10,240 bytes do so for tapes.
END = bytes(2 * BLOCK_BYTES)

_NAME_BYTES = 100
# Eleven octal digits.
_USTAR_SIZE_LIMIT = (8 << 30) - 1
_PAX_NAME = "PaxHeaders/member"
_REGULAR, _EXTENDED = b"0", b"x"


def make_header(name: str, size_bytes: int) -> bytes:
    """
    Return what precedes the bytes of the member *name*.

    One block; three for a name of more than 100 bytes (a sha512 digest) or 8 GiB and more, with a pax header.
    """
    records = _list_records(name, size_bytes)
    if not records:
        return _make_block(name, size_bytes, _REGULAR)
    body = b"".join(_make_record(key, value) for key, value in records)
    short = name[:_NAME_BYTES]
    size = 0 if size_bytes > _USTAR_SIZE_LIMIT else size_bytes
    return _make_block(_PAX_NAME, len(body), _EXTENDED) + body + make_padding(len(body)) + _make_block(short, size, _REGULAR)


def count_header_bytes(name: str, size_bytes: int) -> int:
    """Return the length of `make_header`."""
    return 3 * BLOCK_BYTES if _list_records(name, size_bytes) else BLOCK_BYTES


def count_member_bytes(name: str, size_bytes: int) -> int:
    """Return how many bytes a member takes in the volume."""
    return count_header_bytes(name, size_bytes) + size_bytes + count_padding(size_bytes)


def count_padding(size_bytes: int) -> int:
    """Return how many zeros follow *size_bytes*."""
    return -size_bytes % BLOCK_BYTES


def make_padding(size_bytes: int) -> bytes:
    """Return the zeros that follow *size_bytes*."""
    return bytes(count_padding(size_bytes))


def _list_records(name: str, size_bytes: int) -> list[tuple[str, str]]:
    """Return the records that ustar lacks, sorted."""
    records = [("path", name)] if len(name) > _NAME_BYTES else []
    return [*records, ("size", str(size_bytes))] if size_bytes > _USTAR_SIZE_LIMIT else records


def _make_record(key: str, value: str) -> bytes:
    """Return `LENGTH KEY=VALUE` and a newline; the length counts itself."""
    rest = f" {key}={value}\n"
    length = len(rest) + 2
    while len(f"{length}{rest}") != length:
        length = len(f"{length}{rest}")
    return f"{length}{rest}".encode("ascii")


def _make_block(name: str, size_bytes: int, kind: bytes) -> bytes:
    fields = (
        (name.encode("ascii"), _NAME_BYTES),
        (b"0000644", 8),
        (b"0000000", 8),  # owner
        (b"0000000", 8),  # group
        (b"%011o" % size_bytes, 12),
        (b"00000000000", 12),  # time
        (b" " * 8, 8),  # the checksum, counted as spaces
        (kind, 1),
        (b"", 100),  # target of a link
        (b"ustar\x0000", 8),
        (b"", 32),  # name of the owner
        (b"", 32),  # name of the group
        (b"", 16),  # numbers of a device
        (b"", 155),
    )
    block = b"".join(value.ljust(width, b"\x00") for value, width in fields).ljust(BLOCK_BYTES, b"\x00")
    return block[:148] + b"%06o\x00 " % sum(block) + block[156:]
