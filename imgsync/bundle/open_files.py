"""Keep some files of one folder open, those that were used last."""

from __future__ import annotations

import os

_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
# A bundle may have thousands of volumes.
_LIMIT = 64


class OpenFiles:
    """Descriptors of files in an open folder, for one thread."""

    def __init__(self, folder: int) -> None:
        """Open files in the folder with the descriptor *folder*."""
        self._folder = folder
        self._files: dict[str, int] = {}

    def open(self, name: str) -> int:
        """Return the descriptor of the file *name*, valid until the next call."""
        found = self._files.pop(name, None)
        if found is None:
            if len(self._files) >= _LIMIT:
                os.close(self._files.pop(next(iter(self._files))))
            found = os.open(name, _FLAGS | os.O_CREAT, 0o666, dir_fd=self._folder)
        # The last one was used last.
        self._files[name] = found
        return found

    def close(self, name: str = "") -> None:
        """Close the file *name*, or all."""
        for one in [name] if name else list(self._files):
            if one in self._files:
                os.close(self._files.pop(one))
