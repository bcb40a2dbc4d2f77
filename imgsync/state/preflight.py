"""
Is this database ours and whole? Asked on a read-only connection, before diskcache opens it.

A state directory may come from a cache that others can write: planted triggers, settings, pickles or file names must
be found before any of them can act.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterable
from pathlib import Path

from imgsync.errors import StateError

DATABASE = "cache.db"
_FOREIGN_ROWS = """
    select count(*) from Cache where raw is not 1 or mode is not 1 or filename is not null or expire_time is not null
    or typeof(key) <> 'text' or typeof(value) not in ('text', 'integer', 'blob') or length(key) > 1024 or length(value) > 1048576
"""


class DamagedError(StateError):
    """The database is not one we wrote, or no longer whole."""


def check_directory(directory: Path) -> None:
    """
    Return when *directory* is ours alone to write, or absent.

    Raises:
        StateError: It is a link, somebody else's, or others may write to it.
    """
    try:
        found = directory.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode):
        raise StateError(f"{directory} is not a directory", hint="name another with --state")
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise StateError(f"{directory} can be written by others", hint=f"chmod 700 {directory}, or name another with --state")


def check_database(path: Path, *, schema: Iterable[tuple[str, ...]], settings: Iterable[str]) -> None:
    """
    Return when the database at *path* has exactly *schema* and *settings* and plain rows alone.

    Raises:
        DamagedError: Anything else.
    """
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or found.st_uid != os.geteuid():
        raise DamagedError("it is not a plain file of ours")
    if found.st_size == 0:
        raise DamagedError("it is empty")
    try:
        _check(path, sorted(schema), sorted(settings))
    except (sqlite3.Error, UnicodeError) as error:
        # What SQLite says may quote what is no text any more.
        raise DamagedError(str(error)) from error


def describe(path: Path) -> tuple[list[tuple[str, ...]], list[str]]:
    """Return the schema and the settings' names of the database at *path*."""
    with _read_only(path) as connection:
        schema = [tuple(str(part) for part in row) for row in connection.execute("select type, name, tbl_name, sql from sqlite_master order by 1, 2, 3, 4")]
        settings = [str(row[0]) for row in connection.execute("select key from Settings order by 1")]
    connection.close()
    return schema, settings


def _check(path: Path, schema: list[tuple[str, ...]], settings: list[str]) -> None:
    connection = _read_only(path)
    try:
        # Not the quick check: an index that lies about its rows would hide a record from whoever replaces or removes it.
        if connection.execute("pragma integrity_check(1)").fetchone()[0] != "ok":
            raise DamagedError("its pages are damaged")
        found = [tuple(str(part) for part in row) for row in connection.execute("select type, name, tbl_name, sql from sqlite_master")]
        if sorted(found) != schema:
            raise DamagedError("it has another structure than ours")
        if sorted(str(row[0]) for row in connection.execute("select key from Settings")) != settings:
            raise DamagedError("it has settings that are not ours")
        if connection.execute(_FOREIGN_ROWS).fetchone()[0]:
            raise DamagedError("it holds rows that are not ours")
    finally:
        connection.close()


def _read_only(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    connection.execute("pragma trusted_schema=off")
    connection.execute("pragma cell_size_check=on")
    return connection
