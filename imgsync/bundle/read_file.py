"""Open files of a folder that is not trusted."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

# Without O_NONBLOCK, a named pipe would block.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def open_regular(folder: Path, name: str) -> int:
    """
    Return a descriptor of the regular file *name* in *folder*.

    Raises:
        FileNotFoundError: There is none.
        OSError: It is a link, a folder, a device or a pipe, or cannot be opened.
    """
    if "/" in name or name in {"", ".", ".."}:
        raise OSError(errno.EINVAL, "it is not the name of a file")
    try:
        file = os.open(folder / name, _FLAGS)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a link; links are not followed") from error
        raise
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return file


def read_limited(folder: Path, name: str, *, limit_bytes: int) -> bytes:
    """
    Return a regular file, at most one byte more than *limit_bytes*.

    Raises:
        OSError: As in `open_regular`.
    """
    with os.fdopen(open_regular(folder, name), "rb") as file:
        return file.read(limit_bytes + 1)


def drop_cache(file: int) -> None:
    """Have the file read from the medium, where that is possible."""
    # macOS has no such call.
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
