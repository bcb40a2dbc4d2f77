"""Write a file completely or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

_PREFIX_LENGTH = 100


def write_atomically(path: Path, pieces: Iterable[bytes], *, private: bool = True) -> None:
    """
    Replace the file at *path* by *pieces*.

    Args:
        path: The file; its folder must exist.
        pieces: The new content.
        private: Whether only the owner may read it (mode 0600); else mode 0666 minus the umask.

    Raises:
        OSError: The file cannot be written; the old one is unchanged.
    """
    # In the same folder, because only there a rename is atomic.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:_PREFIX_LENGTH]}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(handle)
        if not private:
            # FAT has no modes, and refuses to change them.
            with contextlib.suppress(PermissionError):
                Path(temporary).chmod(0o666 & ~_read_umask())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _read_umask() -> int:
    # It can only be read by setting it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
