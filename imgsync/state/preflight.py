"""
Check a state database on a read-only connection, before diskcache opens it.

A state directory may come from a CI cache that others can write. Planted triggers, settings, pickles and file names
must be found before they can act.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from pathlib import Path

from imgsync.errors import StateError
from imgsync.system.own_files import has_own_writer

DATABASE = "cache.db"
# File locks may not reach other machines here, and SQLite's shared memory does not.
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "fuse.ceph", "glusterfs", "fuse.glusterfs", "fuse.sshfs", "fuse.s3fs", "lustre"}
_MOUNTS = Path("/proc/self/mountinfo")
_INVALID_ROWS = """
    select count(*) from Cache where raw is not 1 or mode is not 1 or filename is not null or expire_time is not null
    or typeof(key) <> 'text' or typeof(value) not in ('text', 'integer', 'blob') or length(key) > 1024 or length(value) > 1048576
"""
_SETTINGS = "select key, typeof(value) = 'integer' or (typeof(value) = 'text' and value not glob '*[^a-z-]*') from Settings"


class DamagedError(StateError):
    """The database is damaged, or imgsync did not write it."""


def check_directory(directory: Path) -> None:
    """
    Check that only this user can write to *directory*, if it exists.

    Raises:
        StateError: It is a link, or others own it or can write to it, or the name is invalid.
    """
    try:
        found = directory.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise StateError(f"cannot use {directory} as a state directory: {error.strerror}", hint="name another with --state") from error
    if not stat.S_ISDIR(found.st_mode):
        raise StateError(f"the state {directory} is not a directory", hint="name another with --state")
    if not has_own_writer(found):
        raise StateError(f"others can write to {directory}", hint=f"chmod 700 {directory}, or name another with --state")


def find_network_filesystem(directory: Path) -> str:
    """Return the type of a network file system, else ""."""
    try:
        device = directory.stat().st_dev
        lines = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    # "36 35 98:0 /root /mount options … - type source options"
    mounts = [(line.split()[2], line.partition(" - ")[2].partition(" ")[0]) for line in lines]
    return next((kind for number, kind in mounts if number == f"{os.major(device)}:{os.minor(device)}" and kind in _NETWORK), "")


def list_database_files(directory: Path) -> list[Path]:
    """
    Return the database files in *directory*, main file first.

    Broken links are included.
    """
    return [part for suffix in ("", "-wal", "-shm", "-journal") if os.path.lexists(part := directory / f"{DATABASE}{suffix}")]


def check_files(directory: Path) -> None:
    """
    Check that only this user can write the database files.

    Raises:
        DamagedError: A file is a link (SQLite would write to its target), a journal (it names files to delete) or empty,
            or others own it or can write to it.
    """
    for part in list_database_files(directory):
        found = part.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or not has_own_writer(found):
            raise DamagedError(f"{part.name} is not a regular file that only this user can write")
        if part.name.endswith("-journal"):
            raise DamagedError(f"unexpected file {part.name}")
        if part.name == DATABASE and found.st_size == 0:
            raise DamagedError("the file is empty")


def check_database(path: Path, *, like: Path) -> None:
    """
    Check the schema, settings and rows of a database.

    Schema and settings must equal those of *like*. Every row must be a plain value.

    Raises:
        DamagedError: It differs, or cannot be read.
    """
    try:
        with contextlib.closing(connect_read_only(like)) as ours:
            schema, settings = _read_schema(ours), _read_settings(ours)
        with contextlib.closing(connect_read_only(path)) as connection:
            _check(connection, schema, settings)
    except (sqlite3.Error, UnicodeError) as error:
        # UnicodeError: SQLite may quote damaged text in its message.
        raise DamagedError(str(error)) from error


def connect_read_only(path: Path) -> sqlite3.Connection:
    """Connect to *path* without writing or running its schema."""
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    connection.execute("pragma trusted_schema=off")
    connection.execute("pragma cell_size_check=on")
    return connection


def _check(connection: sqlite3.Connection, schema: list[tuple[str, ...]], settings: list[str]) -> None:
    # Not quick_check: a damaged index would hide rows from updates and deletes.
    if connection.execute("pragma integrity_check(1)").fetchone()[0] != "ok":
        raise DamagedError("its pages are damaged")
    if _read_schema(connection) != schema:
        raise DamagedError("its schema differs")
    if _read_settings(connection) != settings:
        raise DamagedError("its settings differ")
    if connection.execute(_INVALID_ROWS).fetchone()[0]:
        raise DamagedError("it has rows that imgsync did not write")


def _read_schema(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
    return sorted(tuple(str(part) for part in row) for row in connection.execute("select type, name, tbl_name, sql from sqlite_master"))


def _read_settings(connection: sqlite3.Connection) -> list[str]:
    """
    Return the names of the settings, "" for unsafe values.

    diskcache puts some values into pragmas.
    """
    return sorted(str(name) if sound else "" for name, sound in connection.execute(_SETTINGS))
