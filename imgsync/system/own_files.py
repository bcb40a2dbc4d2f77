"""Tell the files that only this user can write to."""

from __future__ import annotations

import os


def has_own_writer(found: os.stat_result) -> bool:
    """Return whether this user owns *found* and alone can write it."""
    return found.st_uid == os.geteuid() and not found.st_mode & 0o022
