"""
The only things a state may hold: text keys, and text, integers or bytes as values, all within the database row.

diskcache's own disks unpickle what a planted row tells them to, and read and delete whatever file it names
(CVE-2025-69872); this one refuses both, in both directions.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from diskcache import core

from imgsync.errors import StateError

_KEY_LIMIT = 1024
_VALUE_LIMIT = 1 << 20


class PlainDisk(core.Disk):  # type: ignore[misc]  # diskcache has no types
    """A diskcache disk that can hold no pickle and no file."""

    def put(self, key: Any) -> tuple[str, bool]:
        """
        Return *key* as it is stored.

        Raises:
            StateError: It is no text, or longer than 1,024 characters.
        """
        if type(key) is not str or len(key) > _KEY_LIMIT:
            raise StateError("a state key is text of at most 1,024 characters")
        return key, True

    def get(self, key: Any, raw: Any) -> str:
        """
        Return the stored *key*.

        Raises:
            StateError: The row is not one of ours.
        """
        if not raw or type(key) is not str:
            raise StateError("the state holds a foreign key")
        return key

    def store(self, value: Any, read: bool, key: Any = core.UNKNOWN) -> tuple[int, int, None, Any]:  # noqa: ARG002
        """
        Return *value* as it is stored in its row.

        Raises:
            StateError: It is no text, integer or bytes, or larger than 1 MiB.
        """
        if read or type(value) not in {str, int, bytes}:
            raise StateError(f"a state value is text, an integer or bytes, not {type(value).__name__}")
        if type(value) is not int and len(value) > _VALUE_LIMIT:
            raise StateError("a state value is at most 1 MiB")
        return 0, core.MODE_RAW, None, sqlite3.Binary(value) if type(value) is bytes else value

    def fetch(self, mode: Any, filename: Any, value: Any, read: Any) -> Any:
        """
        Return the stored *value*.

        Raises:
            StateError: The row is not one of ours.
        """
        if read or mode != core.MODE_RAW or filename is not None or type(value) not in {str, int, bytes}:
            raise StateError("the state holds a foreign value")
        return value

    def filename(self, key: Any = core.UNKNOWN, value: Any = core.UNKNOWN) -> Any:  # noqa: ARG002
        """Refuse: nothing is stored in files."""
        raise StateError("the state stores nothing in files")

    def remove(self, file_path: Any) -> None:  # noqa: ARG002
        """Refuse: a file that a row names is not ours to delete."""
        raise StateError("the state deletes no file that a row names")
