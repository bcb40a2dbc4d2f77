"""Check archives of images that others made."""

from __future__ import annotations

import contextlib

from fuzz.laws.shared import make_folder
from imgsync.errors import LayoutError
from imgsync.oci.layout.files import LayoutFiles
from imgsync.oci.layout.index_json import parse_index, write_index
from imgsync.oci.layout.names import find_name
from imgsync.oci.layout.open_files import open_files
from imgsync.oci.layout.tar_header import BLOCK_BYTES
from imgsync.oci.spec.digest import is_digest
from imgsync.oci.spec.reference import is_repository_path

_CHECKSUM = slice(148, 156)
# What is read of one archive; the index may name a blob many times.
_BLOBS = 50


def archives(data: bytes) -> None:
    """
    Check archives of layouts and of `docker save`.

    Each is refused, or each of its blobs is read within the archive. The first byte says whether the checksums of headers are made right, since no random
    change would get past them.
    """
    path = make_folder() / "image.tar"
    content = correct_checksums(bytearray(data[1:])) if data[:1] == b"c" else data[1:]
    path.write_bytes(content)
    before = set(make_folder().iterdir())
    with contextlib.suppress(LayoutError):
        files = open_files(str(path))
        try:
            _read(files, len(content))
        finally:
            files.close()
    assert set(make_folder().iterdir()) == before


def _read(files: LayoutFiles, size_bytes: int) -> None:
    raw = files.read_index()
    index = parse_index(raw, where="image.tar")
    written = write_index(index)
    # What others wrote stays, also if its lines are not parsed again.
    for known in ({}, {entry.raw: entry for entry in index.entries}):
        assert parse_index(written, where="image.tar", known=known) == index
    for entry in index.entries[:_BLOBS]:
        name = find_name(entry, "own", is_own_declared=False)
        assert name if isinstance(name, str) else is_repository_path(name.path)
        size = files.find_blob(entry.digest)
        if size is not None:
            assert is_digest(entry.digest)
            assert len(b"".join(files.read_blob(entry.digest))) == size
            # A manifest that was made is not in the archive.
            assert size <= size_bytes + 1000
    assert files.read_index() == raw


def correct_checksums(content: bytearray) -> bytes:
    """Give each block that looks like a header its checksum."""
    for start in range(0, len(content) - BLOCK_BYTES + 1, BLOCK_BYTES):
        block = content[start : start + BLOCK_BYTES]
        if block[257:262] == b"ustar":
            block[_CHECKSUM] = b" " * 8
            content[start + 148 : start + 156] = b"%06o\0 " % sum(block)
    return bytes(content)
