"""Open the files of a layout: a folder, or an archive."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path

from imgsync.errors import LayoutError
from imgsync.oci.layout.archive import ArchiveFiles
from imgsync.oci.layout.directory import LayoutFolder
from imgsync.oci.layout.files import LayoutFiles

# How to unpack what is compressed. Reading needs the place of each blob, and imgsync writes nothing beside the archive.
_COMPRESSED = {
    b"\x1f\x8b": ("gzip", "gzip -dc"),
    b"\x28\xb5\x2f\xfd": ("zstd", "zstd -dc"),
    b"\xfd7zXZ\0": ("xz", "xz -dc"),
    b"BZh": ("bzip2", "bzip2 -dc"),
    b"\x04\x22\x4d\x18": ("lz4", "lz4 -dc"),
    b"PK\x03\x04": ("zip", ""),
}
_MAGIC_BYTES = 6


def open_files(path: str) -> LayoutFiles:
    """
    Open the folder or the archive at *path*.

    Raises:
        LayoutError: It is compressed, hostile, or no layout.
        OSError: It is not there, or cannot be read.
    """
    if Path(path).is_dir():
        return LayoutFolder(path)
    _refuse_compressed(path)
    return ArchiveFiles(path)


def _refuse_compressed(path: str) -> None:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        head = os.pread(file, _MAGIC_BYTES, 0) if stat.S_ISREG(os.fstat(file).st_mode) else b""
    finally:
        os.close(file)
    for magic, (name, command) in _COMPRESSED.items():
        if head.startswith(magic):
            base = path.removesuffix(".tgz").removesuffix(".gz").removesuffix(".zst").removesuffix(".xz").removesuffix(".bz2").removesuffix(".lz4")
            unpacked = f"{path.removesuffix('.tar')}.unpacked.tar" if base == path else base if base.endswith(".tar") else f"{base}.tar"
            hint = f"decompress it first: {command} {shlex.quote(path)} > {shlex.quote(unpacked)}" if command else "write it as a tar archive"
            raise LayoutError(f"{path} is compressed with {name}; imgsync reads blobs at their place in the archive", hint=hint)
