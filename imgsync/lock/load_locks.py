"""Load the locks of a configuration, or report all their errors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from imgsync.config.model import Config, Mirror
from imgsync.errors import ConfigError, FileError
from imgsync.lock.check_lock import check_declaration, check_images
from imgsync.lock.model import Lock
from imgsync.lock.read_lock import read_lock
from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Locks:
    """The lock of each mirror; with `is_frozen`, no source is asked."""

    by_mirror: Mapping[str, Lock]
    is_frozen: bool


def locate_lock(folder: str, mirror: str) -> Path:
    """Return the path of the lock of *mirror*."""
    return Path(folder) / f"{mirror}.yaml"


def load_locks(config: Config, folder: str, *, frozen: bool) -> Locks:
    """
    Load the lock of each mirror of *config* that is not suspended.

    Args:
        config: The declarations.
        folder: Where the locks are.
        frozen: Take each lock as it is, even if its declaration changed since.

    Raises:
        ConfigError: A lock is missing, invalid, or does not fit its mirror.
    """
    found: dict[str, Lock] = {}
    errors: list[FileError] = []
    for mirror in config.mirrors:
        if mirror.suspend:
            continue
        try:
            lock = _load(mirror, folder)
        except ConfigError as error:
            errors += error.errors
            continue
        found[mirror.name] = lock
        outdated = [] if frozen else check_declaration(lock, mirror)
        # After another declaration was made, what it no longer selects is not an error of the lock.
        errors += outdated or check_images(lock, mirror, checks_tags=not frozen)
    if errors:
        raise ConfigError(tuple(errors))
    return Locks(found, frozen)


def _load(mirror: Mirror, folder: str) -> Lock:
    path = locate_lock(folder, mirror.name)
    try:
        return read_lock(path, mirror.name)
    except FileNotFoundError:
        hint = f"make it, and commit it: imgsync lock --only {mirror.name}"
        raise ConfigError((FileError(str(path), 0, 0, "", f"the mirror {mirror.name} has no lock", hint),)) from None
