"""Find the folders that the arguments of `bundle load` and `verify` name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from imgsync.bundle.model import DOCUMENT_NAME
from imgsync.errors import UsageError


def find_folders(path: str, others: Iterable[str]) -> tuple[Path, ...]:
    """
    Return the folder of a bundle and those of `--volumes`.

    *path* is the folder, or its document.

    Raises:
        UsageError: One is not there, or is not a folder.
    """
    first = Path(path)
    if first.name == DOCUMENT_NAME and first.is_file():
        first = first.parent
    elif not first.exists():
        raise UsageError(f"there is no {path}", hint="name the folder that has imgsync-bundle.json; if it is on a disk, check that the disk is mounted")
    elif not first.is_dir():
        raise UsageError(f"{path} is not a folder", hint="name the folder that has imgsync-bundle.json; `imgsync bundle verify` takes a volume alone")
    folders = tuple(map(Path, others))
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"--volumes {folder} is not a folder", hint="name a folder that has volumes; if it is on a disk, check that the disk is mounted")
    return (first, *folders)
