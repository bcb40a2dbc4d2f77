"""
Is this database ours and whole? Asked on a read-only connection, before diskcache opens it.

A state directory may come from a cache that others can write: planted triggers, settings, pickles or file names must
be found before any of them can act.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from pathlib import Path

from imgsync.errors import StateError

DATABASE = "cache.db"
# Where a lock may not be seen from another machine, and SQLite's shared memory is not shared.
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "fuse.ceph", "glusterfs", "fuse.glusterfs", "fuse.sshfs", "fuse.s3fs", "lustre"}
_MOUNTS = Path("/proc/self/mountinfo")
_FOREIGN_ROWS = """
    select count(*) from Cache where raw is not 1 or mode is not 1 or filename is not null or expire_time is not null
    or typeof(key) <> 'text' or typeof(value) not in ('text', 'integer', 'blob') or length(key) > 1024 or length(value) > 1048576
"""
_SETTINGS = "select key, typeof(value) = 'integer' or (typeof(value) = 'text' and value not glob '*[^a-z-]*') from Settings"


class DamagedError(StateError):
    """The database is not one we wrote, or no longer whole."""


def check_directory(directory: Path) -> None:
    """
    Return when *directory* is ours alone to write, or absent.

    Raises:
        StateError: It is a link, somebody else's, or others may write to it; or there can be none of that name.
    """
    try:
        found = directory.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise StateError(f"{directory} cannot be a state's directory: {error.strerror}", hint="name another with --state") from error
    if not stat.S_ISDIR(found.st_mode):
        raise StateError(f"{directory} is not a directory", hint="name another with --state")
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise StateError(f"{directory} can be written by others", hint=f"chmod 700 {directory}, or name another with --state")


def network_of(directory: Path) -> str:
    """Return the type of the network file system that *directory* lies on, "" for none, or where nobody can tell."""
    try:
        device = directory.stat().st_dev
        lines = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    # "36 35 98:0 /root /mount options … - type source options"
    mounts = [(line.split()[2], line.partition(" - ")[2].partition(" ")[0]) for line in lines]
    return next((kind for number, kind in mounts if number == f"{os.major(device)}:{os.minor(device)}" and kind in _NETWORK), "")


def parts(directory: Path) -> list[Path]:
    """Return those files of a database in *directory* that are there, be they links to nowhere, the database itself first."""
    return [part for suffix in ("", "-wal", "-shm", "-journal") if os.path.lexists(part := directory / f"{DATABASE}{suffix}")]


def check_files(directory: Path) -> None:
    """
    Return when the files of the database in *directory* are plain ones of ours alone, none that SQLite would take for something else.

    Raises:
        DamagedError: Anything else; a link of any kind would have SQLite write into another file, and a journal names files to delete.
    """
    for part in parts(directory):
        found = part.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise DamagedError(f"{part.name} is not a plain file of ours alone")
        if part.name.endswith("-journal"):
            raise DamagedError(f"{part.name} is not ours")
        if part.name == DATABASE and found.st_size == 0:
            raise DamagedError("it is empty")


def check_database(path: Path, *, like: Path) -> None:
    """
    Return when the database at *path* has exactly the schema and settings of the one at *like*, and plain rows alone.

    Raises:
        DamagedError: Anything else.
    """
    try:
        with contextlib.closing(read_only(like)) as ours:
            schema, settings = _schema(ours), _settings(ours)
        with contextlib.closing(read_only(path)) as connection:
            _check(connection, schema, settings)
    except (sqlite3.Error, UnicodeError) as error:
        # What SQLite says may quote what is no text any more.
        raise DamagedError(str(error)) from error


def read_only(path: Path) -> sqlite3.Connection:
    """Return a connection to the database at *path* that writes nothing, and in which a planted schema cannot act."""
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    connection.execute("pragma trusted_schema=off")
    connection.execute("pragma cell_size_check=on")
    return connection


def _check(connection: sqlite3.Connection, schema: list[tuple[str, ...]], settings: list[str]) -> None:
    # Not the quick check: an index that lies about its rows would hide a record from whoever replaces or removes it.
    if connection.execute("pragma integrity_check(1)").fetchone()[0] != "ok":
        raise DamagedError("its pages are damaged")
    if _schema(connection) != schema:
        raise DamagedError("it has another structure than ours")
    if _settings(connection) != settings:
        raise DamagedError("it has settings that are not ours")
    if connection.execute(_FOREIGN_ROWS).fetchone()[0]:
        raise DamagedError("it holds rows that are not ours")


def _schema(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
    return sorted(tuple(str(part) for part in row) for row in connection.execute("select type, name, tbl_name, sql from sqlite_master"))


def _settings(connection: sqlite3.Connection) -> list[str]:
    """Return the names of the settings; diskcache makes pragmas of some values, so anything but a number or a word gets a name that is none."""
    return sorted(str(name) if sound else "" for name, sound in connection.execute(_SETTINGS))
