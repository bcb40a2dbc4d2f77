"""
Remember which documents their schema accepted.

The JSON Schema library takes longer to import than all that an unchanged run sends and reads. Only what the schema says is remembered: it depends on
the document and on nothing else. All other checks, and the warnings, are made each time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import imgsync
from imgsync.config.document import LOGIN, Document
from imgsync.config.schema_files import read_schema
from imgsync.errors import FileError
from imgsync.system.own_files import has_own_writer

FILE = "accepted-documents"
_NEW = f"{FILE}.new"
_DIGESTS_LIMIT = 10_000
_LINE_BYTES = 65
_FILE_LIMIT_BYTES = _DIGESTS_LIMIT * _LINE_BYTES
_LINE = re.compile(r"^[0-9a-f]{64}$", re.MULTILINE)
_SECRETS = ("password", "secret", "token")
_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")


class AcceptedDocuments:
    """
    The digests of accepted documents, in a file beside the state.

    A file that is damaged, or that others own or can write to, is ignored: then the schema checks the documents. Who can write to the file
    can write to the state too.
    """

    def __init__(self, directory: str | None = None) -> None:
        """Read the file in *directory*, if both exist; None remembers nothing."""
        self._directory = None if directory is None else Path(directory).absolute()
        self._known = frozenset[str]() if self._directory is None else _read(self._directory)
        self._used: dict[str, None] = {}

    def check(self, document: Document, schema: str, find_errors: Callable[[Document], list[FileError]]) -> list[FileError]:
        """Return `find_errors(document)`, or nothing if *schema* has accepted it."""
        if self._directory is None:
            return find_errors(document)
        digest = _digest(document, schema)
        if digest not in self._known:
            errors = find_errors(document)
            if errors or not digest:
                return errors
        self._used[digest] = None
        return []

    def save(self) -> None:
        """
        Write what is new, if the directory exists.

        The state is locked meanwhile. Without a file, or where it cannot be written, the next run checks again.
        """
        if self._directory is None or self._used.keys() <= self._known:
            return
        digests = [*self._used, *sorted(self._known - self._used.keys())][:_DIGESTS_LIMIT]
        # Renamed, because `plan` may read it now. It need not survive a power failure.
        with contextlib.suppress(OSError), _open_own(str(self._directory), stat.S_ISDIR, os.O_DIRECTORY) as folder:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(_NEW, dir_fd=folder)
            with os.fdopen(os.open(_NEW, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder), "w", encoding="ascii") as file:
                file.writelines(f"{digest}\n" for digest in digests)
            os.replace(_NEW, FILE, src_dir_fd=folder, dst_dir_fd=folder)


NONE_ACCEPTED = AcceptedDocuments()


def _digest(document: Document, schema: str) -> str:
    """
    Return the digest of what the check depends on.

    It is "" for a document that must not be kept.
    """
    if _has_secret(document.value):
        # From the digest, a weak password can be guessed.
        return ""
    try:
        text = json.dumps(document.value)
    except TypeError:
        # It has a date, which no schema accepts.
        return ""
    made = _begin_digest(schema).copy()
    made.update(text.encode())
    return made.hexdigest()


@cache
def _begin_digest(schema: str) -> hashlib._Hash:
    return hashlib.sha256(json.dumps([imgsync.__version__, read_schema(schema)]).encode())


def _has_secret(value: object, key: str = "") -> bool:
    """Return whether *value* has a password or a login."""
    if isinstance(value, dict):
        return any(_has_secret(one, str(name)) for name, one in value.items())
    if isinstance(value, list):
        return any(_has_secret(one, key) for one in value)
    return isinstance(value, str) and ((key in _SECRETS and not _VARIABLE.fullmatch(value)) or LOGIN.search(value) is not None)


def _read(directory: Path) -> frozenset[str]:
    try:
        with _open_own(str(directory), stat.S_ISDIR, os.O_DIRECTORY) as folder, _open_own(FILE, stat.S_ISREG, os.O_NONBLOCK, folder=folder) as file:
            data = b"".join(iter(lambda: os.read(file, _FILE_LIMIT_BYTES), b"")) if os.fstat(file).st_size <= _FILE_LIMIT_BYTES else b""
    except OSError:
        return frozenset()
    return frozenset(_LINE.findall(data.decode("ascii", "replace")))


@contextlib.contextmanager
def _open_own(path: str, is_kind: Callable[[int], bool], flags: int, *, folder: int | None = None) -> Iterator[int]:
    """
    Open what only this user can write to.

    Raises:
        OSError: It is a link or of another kind, others own it or can write to it, or it cannot be opened.
    """
    opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, dir_fd=folder)
    try:
        found = os.fstat(opened)
        if not is_kind(found.st_mode) or not has_own_writer(found):
            raise PermissionError(f"others can write to {path}")
        yield opened
    finally:
        os.close(opened)
