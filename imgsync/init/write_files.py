"""Write new files into a folder, never overwriting."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from imgsync.errors import UsageError
from imgsync.init.render_files import NewFile
from imgsync.system.dataclass import dataclass
from imgsync.text.units import format_subject


@dataclass(frozen=True, slots=True)
class WrittenFiles:
    """The paths of created and of kept files."""

    created: tuple[str, ...]
    kept: tuple[str, ...]


def write_files(folder: Path, files: Sequence[NewFile], *, missing_only: bool) -> WrittenFiles:
    """
    Write *files* below *folder*, which is created if needed.

    Args:
        folder: The folder of the repository.
        files: The files.
        missing_only: Whether to skip existing files. Otherwise one existing file is an error, and nothing is written.

    Raises:
        UsageError: A file exists or cannot be written.
    """
    existing = tuple(file.path for file in files if os.path.lexists(folder / file.path))
    if existing and not missing_only:
        raise UsageError(
            f"{folder} already has {', '.join(existing)}; nothing was written",
            hint="choose another folder, or write only the missing files with --missing",
        )
    created: list[str] = []
    for file in files:
        if file.path not in existing:
            _write(folder / file.path, file.text, written=len(created))
            created.append(file.path)
    return WrittenFiles(tuple(created), existing)


def _write(path: Path, text: str, *, written: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # "x" also keeps a file that appeared after the check, and a broken link.
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        rest = "; write the rest with --missing" if written else ""
        raise UsageError(f"{path} cannot be written: {error.strerror}", hint=f"{format_subject(written, 'file')} already written{rest}") from error
