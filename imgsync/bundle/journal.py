"""
Record which blobs are finished, and where they lie.

Each line has a checksum; a torn last line does not count. Data is synced to the disk before the line that says so: of blobs noted after this
line, the bytes are verified before they count, since a power failure may have lost them.
"""

from __future__ import annotations

import errno
import json
import os
import zlib
from collections.abc import Mapping
from typing import Any

from imgsync.system.dataclass import dataclass

_LIMIT_BYTES = 512 << 20
_CHECKSUM_LENGTH = 8


@dataclass(frozen=True, slots=True)
class Piece:
    """
    Bytes of a blob in a file.

    `volume` counts from 1; 0 is a file of its own for the blob. `start` is where in the blob the piece begins.
    """

    volume: int
    offset: int
    size_bytes: int
    start: int = 0

    @property
    def end(self) -> int:
        """Return the offset after its last byte."""
        return self.offset + self.size_bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """
    Where a blob lies, and the digests of its pieces.

    A blob that is not cut has no such digests; they are "" until it is written.
    """

    pieces: tuple[Piece, ...]
    part_digests: tuple[str, ...] = ()


class Journal:
    """The journal in one file; `finished` and `unsure` follow from its lines."""

    def __init__(self, name: str, *, folder: int) -> None:
        """Open the file *name* in the open directory *folder*, and read it."""
        self._file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_APPEND, 0o600, dir_fd=folder)
        self.finished: dict[str, Stored] = {}
        self.unsure: set[str] = set()
        self.is_completing = False
        self._read()

    def add(self, digest: str, stored: Stored) -> None:
        """Note that a blob is written; it is not synced yet."""
        places = [[one.volume, one.offset, one.size_bytes, one.start] for one in stored.pieces]
        self._append({"blob": digest, "at": places, "parts": list(stored.part_digests)})
        self.finished[digest] = stored
        self.unsure.add(digest)

    def remove(self, digest: str) -> None:
        """Note that a blob must be written again."""
        self._append({"gone": digest})
        self.finished.pop(digest, None)
        self.unsure.discard(digest)

    def mark_synced(self, digests: set[str]) -> None:
        """Note, durably, that the data of *digests* is synced."""
        self.unsure -= digests
        self._append({"unsure": sorted(self.unsure)})
        self.sync()

    def mark_unsure(self) -> None:
        """Note, durably, that all blobs must be verified before they count."""
        self.unsure = set(self.finished)
        self._append({"all": "unsure"})
        self.sync()

    def mark_completing(self, *, begins: bool) -> None:
        """Note, durably, whether volumes may have their final names."""
        self.is_completing = begins
        self._append({"completing": begins})
        self.sync()

    def sync(self) -> None:
        """Write its lines to the disk."""
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _append(self, record: Mapping[str, Any]) -> None:
        text = json.dumps(record, separators=(",", ":")).encode()
        line = b"%08x %b\n" % (zlib.crc32(text), text)
        written = os.write(self._file, line)
        if written != len(line):
            # Half a line would hide those after it.
            os.ftruncate(self._file, os.fstat(self._file).st_size - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _read(self) -> None:
        size = os.fstat(self._file).st_size
        data = os.pread(self._file, size, 0) if size <= _LIMIT_BYTES else b""
        good = 0
        for line in data.splitlines(keepends=True):
            if not self._apply(line):
                break
            good += len(line)
        if good < size:
            os.ftruncate(self._file, good)

    def _apply(self, line: bytes) -> bool:
        """Take one line; return whether it was complete."""
        checksum, text = line[:_CHECKSUM_LENGTH], line[_CHECKSUM_LENGTH + 1 : -1]
        if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
            return False
        record = json.loads(text)
        if "blob" in record:
            self.finished[record["blob"]] = Stored(tuple(Piece(*place) for place in record["at"]), tuple(record["parts"]))
            self.unsure.add(record["blob"])
        elif "gone" in record:
            self.finished.pop(record["gone"], None)
            self.unsure.discard(record["gone"])
        elif "all" in record:
            self.unsure = set(self.finished)
        elif "unsure" in record:
            self.unsure = set(record["unsure"]) & set(self.finished)
        self.is_completing = record.get("completing", self.is_completing)
        return True
