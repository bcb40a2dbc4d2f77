"""Ask what a path is, whatever its text."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def is_folder(path: str | Path) -> bool:
    """Return whether *path* is a folder."""
    return stat.S_ISDIR(_read_mode(path))


def is_file(path: str | Path) -> bool:
    """Return whether *path* is a file."""
    return stat.S_ISREG(_read_mode(path))


def is_there(path: str | Path) -> bool:
    """Return whether *path* exists."""
    return _read_mode(path) != 0


def is_link_out_of(file: str | Path, folder: str) -> bool:
    """Return whether *file* is a link that leads out of *folder*."""
    return Path(file).is_symlink() and not Path(os.path.realpath(file)).is_relative_to(os.path.realpath(folder))


def _read_mode(path: str | Path) -> int:
    try:
        return Path(path).stat().st_mode
    except (OSError, ValueError):
        # A name that is too long or has a NUL, which pathlib raises for.
        return 0
