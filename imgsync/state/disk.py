"""
A diskcache disk for plain values only: no pickle, no file.

Keys are text; values are text, integers or bytes, stored in the row. diskcache's own disks unpickle planted rows
(CVE-2025-69872) and read or delete any file that a row names. This one refuses both, when reading and when writing.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from diskcache import core

from imgsync.errors import StateError

_KEY_LIMIT = 1024
_VALUE_LIMIT = 1 << 20


class PlainDisk(core.Disk):  # type: ignore[misc]  # diskcache has no types
    """A diskcache disk without pickles and files."""

    def put(self, key: Any) -> tuple[str, bool]:
        """
        Return *key* in its stored form.

        Raises:
            StateError: *key* is not text, or longer than 1,024 characters.
        """
        if type(key) is not str or len(key) > _KEY_LIMIT:
            raise StateError("a state key must be text of at most 1,024 characters")
        return key, True

    def get(self, key: Any, raw: Any) -> str:
        """
        Return the stored *key*.

        Raises:
            StateError: imgsync did not write the row.
        """
        if not raw or type(key) is not str:
            raise StateError("the state has a key that imgsync did not write")
        return key

    def store(self, value: Any, read: bool, key: Any = core.UNKNOWN) -> tuple[int, int, None, Any]:  # noqa: ARG002
        """
        Return *value* in its stored form.

        Raises:
            StateError: *value* is not text, an integer or bytes, or larger than 1 MiB.
        """
        if read or type(value) not in {str, int, bytes}:
            raise StateError(f"a state value must be text, an integer or bytes, not {type(value).__name__}")
        if type(value) is not int and len(value) > _VALUE_LIMIT:
            raise StateError("a state value must be at most 1 MiB")
        return 0, core.MODE_RAW, None, sqlite3.Binary(value) if type(value) is bytes else value

    def fetch(self, mode: Any, filename: Any, value: Any, read: Any) -> Any:
        """
        Return the stored *value*.

        Raises:
            StateError: imgsync did not write the row.
        """
        if read or mode != core.MODE_RAW or filename is not None or type(value) not in {str, int, bytes}:
            raise StateError("the state has a value that imgsync did not write")
        return value

    def filename(self, key: Any = core.UNKNOWN, value: Any = core.UNKNOWN) -> Any:  # noqa: ARG002
        """Refuse to store a value in a file."""
        raise StateError("the state stores no values in files")

    def remove(self, file_path: Any) -> None:  # noqa: ARG002
        """Refuse to delete a file that a row names."""
        raise StateError("the state never deletes a file that a row names")
