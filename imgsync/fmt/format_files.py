"""Format files of declarations, all or none."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path

from imgsync.config.files import list_files
from imgsync.config.yaml_reader import read_limited
from imgsync.errors import ConfigError, FileError, OutputError
from imgsync.fmt.format_text import format_text, has_registry_settings
from imgsync.system.atomic_write import write_atomically
from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class FormattedFile:
    """
    A file, its content and its new text.

    `text` is None if the file is left as it is, because it holds registry settings.
    """

    path: str
    before: bytes
    text: str | None

    @property
    def is_changed(self) -> bool:
        """Return whether the layout differs."""
        return self.text is not None and self.before != self.text.encode()

    def diff(self) -> Iterator[str]:
        """Yield the lines of a unified diff."""
        old = self.before.decode("utf-8-sig").splitlines()
        yield from difflib.unified_diff(old, (self.text or "").splitlines(), self.path, self.path, lineterm="")

    def write(self) -> None:
        """
        Write the new text, keeping the permissions of the file.

        Raises:
            OutputError: It cannot be written, or was changed since it was read; the file is left as it is.
        """
        # Resolved: the final rename would replace a symlink by a file.
        target = Path(self.path).resolve()
        try:
            if read_limited(str(target)) != self.before:
                raise OutputError(f"{self.path} was changed meanwhile; it is not formatted", hint="run `imgsync fmt` again")
            mode = target.stat().st_mode
            write_atomically(target, [(self.text or "").encode()])
            target.chmod(mode & 0o7777)
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written: {error.strerror}") from error


def format_files(paths: Sequence[str]) -> tuple[FormattedFile, ...]:
    """
    Format the files at *paths*, which are folders or files; write nothing.

    A file of registry settings is an error in a folder, and left as it is if *paths* name it: pre-commit names what a pattern matches.

    Raises:
        ConfigError: With every error of every file.
    """
    errors: list[FileError] = []
    found: list[FormattedFile] = []
    for path in list_files(paths, errors):
        try:
            data = read_limited(path)
            is_left = path in paths and has_registry_settings(data, file=path)
            found.append(FormattedFile(path, data, None if is_left else format_text(data, file=path)))
        except OSError as error:
            errors.append(FileError(path, 1, 1, "", f"cannot be read: {error.strerror}"))
        except ConfigError as error:
            errors += error.errors
    if errors:
        raise ConfigError(tuple(dict.fromkeys(errors)))
    return tuple(found)
