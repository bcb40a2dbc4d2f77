"""Write all files of a runtime, or none."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from imgsync.errors import UsageError
from imgsync.system.atomic_write import write_atomically


def write_files(files: Mapping[str, str], folder: str) -> tuple[str, ...]:
    """
    Write *files* below *folder*, which is created if needed.

    A file that exists with the same text stays; one with another text is an error, because it may be the one that a node uses.

    Returns:
        The paths of all files.

    Raises:
        UsageError: A file cannot be written, or exists; nothing was written.
    """
    texts = {Path(folder, name): text.encode() for name, text in files.items()}
    for path in texts:
        _refuse_links(path, Path(folder))
    new = {path: text for path, text in texts.items() if not _has_text(path, text)}
    existing = [str(path) for path in new if os.path.lexists(path)]
    if existing:
        raise UsageError(f"{existing[0]} already exists, with another text; nothing was written", hint="delete the folder first, or choose another one")
    written: list[Path] = []
    try:
        for path, text in new.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, (text,), private=False)
            written.append(path)
    except OSError as error:
        for path in written:
            with contextlib.suppress(OSError):
                path.unlink()
        raise UsageError(f"{error.filename or folder} cannot be written: {error.strerror}") from error
    return tuple(map(str, texts))


def _refuse_links(path: Path, folder: Path) -> None:
    """Refuse a link below *folder*: it may lead anywhere."""
    for part in (path, *path.parents):
        if part == folder:
            return
        if part.is_symlink():
            raise UsageError(f"{part} is a symbolic link; nothing was written", hint="delete the folder first, or choose another one")


def _has_text(path: Path, text: bytes) -> bool:
    if not path.is_file():
        # To open a pipe would wait for its writer.
        return False
    try:
        # As much as one byte more shows that it differs.
        with path.open("rb") as file:
            return file.read(len(text) + 1) == text
    except OSError:
        return False
