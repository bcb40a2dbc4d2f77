"""Find the files of a configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imgsync.errors import FileError

_DEFAULT_FOLDER = "mirrors.d"
_START_HINT = "`imgsync init` creates one with all that it needs, or name a folder or a file"
_PATH_HINT = "name a folder such as mirrors.d, or a file"


def list_files(paths: Sequence[str], errors: list[FileError]) -> list[str]:
    """Return the files at *paths*; add what cannot be read to *errors*."""
    found: list[str] = []
    for text in paths:
        try:
            found += _list_files_at(text, errors)
        except OSError as error:
            # The name is too long, or the folder may not be read.
            errors.append(FileError(text, 0, 0, "", f"cannot be read: {error.strerror}", _PATH_HINT))
    return list(dict.fromkeys(found))


def _list_files_at(text: str, errors: list[FileError]) -> list[str]:
    path = Path(text)
    if not path.is_dir():
        if path.exists():
            return [text]
        errors.append(FileError(text, 0, 0, "", "no such file or folder", _START_HINT if text == _DEFAULT_FOLDER else _PATH_HINT))
        return []
    inside = sorted(str(one) for one in path.iterdir() if is_config_file(one.name) and not one.is_dir())
    wrong = [error for file in inside if (error := _check_file(path, file)) is not None]
    errors += wrong
    if not inside:
        errors.append(FileError(text, 0, 0, "", "no *.yaml or *.yml file in this folder", "`imgsync init DIR` writes an example"))
    left_out = {error.file for error in wrong}
    return [file for file in inside if file not in left_out]


def _check_file(folder: Path, file: str) -> FileError | None:
    """
    Return an error if *file* is not a regular file inside *folder*.

    A pull request must not make imgsync read, and quote, other files.
    """
    try:
        target = Path(file).resolve(strict=True)
    except (OSError, RuntimeError):
        # A broken link or a loop; Python before 3.13 raises RuntimeError for a loop.
        target = None
    if target is not None and not target.is_relative_to(folder.resolve()):
        return FileError(file, 0, 0, "", "the link points outside the folder", "put the file itself here, or name it on the command line")
    if target is None or not target.is_file():
        return FileError(file, 0, 0, "", "not a regular file", "put the declarations themselves here")
    return None


def is_config_file(name: str) -> bool:
    """Return whether a file of this name in a folder is configuration."""
    return not name.startswith(".") and name.endswith((".yaml", ".yml"))
