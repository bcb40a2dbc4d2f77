"""A file that is there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

_NAME_SHOWN = 100


def write_whole(path: Path, pieces: Iterable[bytes], *, for_owner_alone: bool = True) -> None:
    """
    Put *pieces* at *path* in place of what is there: mode 0600, or unless *for_owner_alone* what the umask leaves of 0666.

    Raises:
        OSError: It cannot be written; what was there is as it was.
    """
    # In the same folder, so that the last step is a renaming.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:_NAME_SHOWN]}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(handle)
        if not for_owner_alone:
            Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    # There is no other way to ask.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
