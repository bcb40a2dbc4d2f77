"""Writing new files into a folder, never over what is there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imgsync.errors import UsageError
from imgsync.init.files import NewFile


@dataclass(frozen=True, slots=True)
class Written:
    """The paths that were written, and those that were there before and were left alone."""

    created: tuple[str, ...]
    left: tuple[str, ...]


def write_files(folder: Path, files: Sequence[NewFile], *, missing_only: bool) -> Written:
    """
    Write *files* below *folder*, which is made where it is missing.

    With *missing_only* those that are there already are left alone; without it, a single one is a reason to write nothing.

    Raises:
        UsageError: A file is there already, or cannot be written.
    """
    there = tuple(file.path for file in files if os.path.lexists(folder / file.path))
    if there and not missing_only:
        raise UsageError(
            f"{folder} has {', '.join(there)} already; nothing was written",
            hint="name another folder, or write only what is absent with --missing",
        )
    created: list[str] = []
    for file in files:
        if file.path not in there:
            _write(folder / file.path, file.text, before=len(created))
            created.append(file.path)
    return Written(tuple(created), there)


def _write(path: Path, text: str, *, before: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # "x": whatever has appeared since we looked stays what it is, a link that leads nowhere included.
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        rest = "; --missing writes the rest" if before else ""
        raise UsageError(f"{path} cannot be written: {error.strerror}", hint=f"{before} files were written before it{rest}") from error
