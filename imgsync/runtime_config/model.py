"""What a node needs to pull from the mirror, as values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field

from imgsync.config.model import Mirror
from imgsync.errors import FileError
from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class RuntimeOptions:
    """
    How nodes use the mirror.

    With `digest_only`, they ask it only for digests. With `has_fallback` False, they never ask the source.
    """

    digest_only: bool = False
    has_fallback: bool = True


@dataclass(frozen=True, slots=True)
class RuntimeConfig:
    """
    The files of one runtime, by their path below the output folder.

    `errors` name what the runtime cannot express; with one of them, nothing is written. `warnings` name what differs from what users may expect.
    `needs` are what a node needs and what is not in the files, such as a login.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    errors: tuple[FileError, ...] = ()
    warnings: tuple[FileError, ...] = ()
    needs: tuple[str, ...] = ()


class Findings:
    """Collects errors and warnings about mirrors, each once, in order."""

    def __init__(self) -> None:
        self._errors: dict[FileError, None] = {}
        self._warnings: dict[FileError, None] = {}

    @property
    def errors(self) -> tuple[FileError, ...]:
        """Return the errors."""
        return tuple(self._errors)

    @property
    def warnings(self) -> tuple[FileError, ...]:
        """Return the warnings."""
        return tuple(self._warnings)

    def add_error(self, mirror: Mirror, message: str, hint: str) -> None:
        """Add an error: the runtime cannot express *mirror*."""
        self._errors[_locate(mirror, message, hint)] = None

    def add_warning(self, mirror: Mirror, message: str, hint: str = "") -> None:
        """Add a warning about *mirror*."""
        self._warnings[_locate(mirror, message, hint)] = None


def _locate(mirror: Mirror, message: str, hint: str) -> FileError:
    return FileError(mirror.file, mirror.line, 1, mirror.name, message, hint)


def describe_mirrors(mirrors: Iterable[Mirror]) -> str:
    """Return the names and places of *mirrors*, for comments."""
    return ", ".join(dict.fromkeys(f"{mirror.name} ({mirror.file}:{mirror.line})" for mirror in mirrors))
