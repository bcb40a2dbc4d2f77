"""Ask what a path is, whatever its text."""

from __future__ import annotations

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


def _read_mode(path: str | Path) -> int:
    try:
        return Path(path).stat().st_mode
    except (OSError, ValueError):
        # A name that is too long or has a NUL, which pathlib raises for.
        return 0
