"""
The folder in which a bundle is written: lock and files.

It is opened once, and each file in it without following links.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from imgsync.bundle.open_files import OpenFiles
from imgsync.errors import LockedError, OutputError
from imgsync.oci.spec.digest import require_digest

_LOCK = "lock"
JOURNAL = "journal"
_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
# FUSE and some network file systems do not sync folders.
_UNSUPPORTED = {errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.ENOSYS}


class WorkFolder:
    """`OUT/.NAME.partial`, locked while it is open."""

    def __init__(self, target: Path, name: str) -> None:
        """
        Open the folder *name* in *target*, and lock it.

        Raises:
            LockedError: Another process has it.
            OutputError: It cannot be made.
        """
        self.path = target / name
        self.target = target
        self._lock_file = -1
        try:
            target.mkdir(parents=True, exist_ok=True)
            self._lock()
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written: {error.strerror}") from error
        self.files = OpenFiles(self.number)

    def _lock(self) -> None:
        while True:
            with contextlib.suppress(FileExistsError):
                self.path.mkdir(mode=0o700)
            self.number = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            lock = os.open(_LOCK, _FLAGS | os.O_CREAT, 0o600, dir_fd=self.number)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                os.close(self.number)
                raise LockedError(f"another process writes a bundle in {self.target}", hint="wait until it ends, or name another folder") from None
            if self._is_current(lock):
                self._lock_file = lock
                return
            # The process that had the lock finished, and removed the folder.
            os.close(lock)
            os.close(self.number)

    def _is_current(self, lock: int) -> bool:
        try:
            return os.path.samestat(os.fstat(lock), (self.path / _LOCK).lstat())
        except FileNotFoundError:
            return False

    def list_names(self) -> Sequence[str]:
        """Return the names of its files."""
        return sorted(os.listdir(self.number))  # noqa: PTH208 - by its descriptor

    def remove(self, name: str) -> None:
        """Delete the file *name*, if it is there."""
        self.files.close(name)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.number)

    def take_back(self, name: str) -> None:
        """Move a volume back that has its final name."""
        if name not in self.list_names():
            with contextlib.suppress(FileNotFoundError):
                os.rename(self.target / name, name, dst_dir_fd=self.number)

    def publish(self, names: Sequence[str]) -> None:
        """Give *names* their final place, durably."""
        for name in names:
            os.rename(name, self.target / name, src_dir_fd=self.number)
        self.sync_target()

    def sync_target(self) -> None:
        """Write the names of the final files to the disk."""
        with _open_folder(self.target) as number:
            try:
                os.fsync(number)
            except OSError as error:
                if error.errno not in _UNSUPPORTED:
                    raise

    def count_free_bytes(self) -> int:
        """Return how many more bytes the file system takes."""
        system = os.fstatvfs(self.number)
        return system.f_bavail * system.f_frsize

    def count_allocated_bytes(self) -> int:
        """Return how many bytes its files take on the disk."""
        return sum(os.stat(name, dir_fd=self.number, follow_symlinks=False).st_blocks * 512 for name in self.list_names())

    def delete(self) -> None:
        """Delete the folder with all its files; the lock goes last."""
        for name in self.list_names():
            if name != _LOCK:
                self.remove(name)
        os.unlink(_LOCK, dir_fd=self.number)
        self.path.rmdir()

    def close(self) -> None:
        """Close all files, and let other processes write."""
        self.files.close()
        for number in (self.number, self._lock_file):
            if number >= 0:
                os.close(number)
        self.number = self._lock_file = -1


def name_spill(digest: str) -> str:
    """Return the name of a file for the blob *digest* alone."""
    return f"blob-{require_digest(digest).replace(':', '-')}"


def find_room(target: Path, name: str) -> int | None:
    """
    Return the most bytes that the volumes *name* in *target* can have.

    The file system's free bytes, and what they take already. None if the folder cannot be read; writing to it names the reason.
    """
    try:
        existing = next(one for one in (target.absolute(), *target.absolute().parents) if one.exists())
        system = os.statvfs(existing)
        taken = [file for file in (*target.glob("*.tar"), *target.glob(".*.partial/*")) if file.name.startswith(f"{name}.")]
        return system.f_bavail * system.f_frsize + sum(file.lstat().st_blocks * 512 for file in taken)
    except OSError:
        return None


@contextlib.contextmanager
def _open_folder(path: Path) -> Iterator[int]:
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield number
    finally:
        os.close(number)
