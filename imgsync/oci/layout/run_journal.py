"""
Note which blobs a run stored, to delete unused ones later.

A run holds a lock on its journal. One without a lock is of a run that ended: it was killed, or left something to do.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterable, Iterator

from imgsync.errors import LayoutError
from imgsync.oci.layout.safe_open import open_file
from imgsync.oci.spec.digest import is_digest

_PREFIX = "stored-"
_LIMIT_BYTES = 64 << 20


class RunJournal:
    """
    The journal of this run, made with its first line.

    It is not synced: what a power failure takes of it is only not deleted.
    """

    def __init__(self, work: int) -> None:
        """Prepare a journal in the folder *work*."""
        self._work = work
        self._name = f"{_PREFIX}{secrets.token_hex(8)}"
        self._file = -1
        # What is stored, and not referenced yet.
        self.loose: set[str] = set()
        # What deleted tags named.
        self.doomed: set[str] = set()

    def note_stored(self, digest: str) -> None:
        """Note a blob before it is in its place."""
        self._write([digest])
        self.loose.add(digest)

    def note_doomed(self, digests: Iterable[str]) -> None:
        """Note manifests whose tags are deleted."""
        found = set(digests)
        self._write(found)
        self.doomed |= found

    def note_referenced(self, digests: Iterable[str]) -> None:
        """Note that a manifest or the index references *digests* now."""
        self.loose.difference_update(digests)

    def close(self, *, keep: bool) -> None:
        """Give the journal up; a later run reads what is kept."""
        if self._file >= 0:
            if not keep:
                with contextlib.suppress(OSError):
                    os.unlink(self._name, dir_fd=self._work)
            os.close(self._file)
            self._file = -1

    def _write(self, digests: Iterable[str]) -> None:
        if self._file < 0:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.open(self._name, flags, 0o666, dir_fd=self._work)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(self._file, "".join(f"{digest}\n" for digest in digests).encode())


def read_abandoned(work: int, *, where: str) -> dict[str, set[str]]:
    """
    Return the digests in journals of ended runs, by file name.

    What is more than 64 MiB together is left to later runs. *where* is the folder *work*, for errors.
    """
    with os.scandir(work) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(_PREFIX)]
    return dict(_iter_abandoned(work, names, where))


def delete_journals(work: int, names: Iterable[str]) -> None:
    """Delete the journals *names*."""
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=work)


def _iter_abandoned(work: int, names: Iterable[str], where: str) -> Iterator[tuple[str, set[str]]]:
    left = _LIMIT_BYTES
    for name in names:
        try:
            file = open_file(name, parent=work, where=where)
        except (OSError, LayoutError):
            continue
        if file is None:
            continue
        with os.fdopen(file, "rb") as opened:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            raw = opened.read(_LIMIT_BYTES)
        left -= len(raw)
        if left < 0:
            return
        yield name, {line for line in raw.decode("ascii", "replace").split() if is_digest(line)}
