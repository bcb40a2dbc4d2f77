"""One YAML document: its value, and where each part of it is."""

from __future__ import annotations

import re
from dataclasses import field
from typing import Any

from imgsync.errors import FileError
from imgsync.system.dataclass import dataclass
from imgsync.text.sanitize import sanitize_message

Path = tuple[str | int, ...]
Place = tuple[int, int]

# What may be the login in a URL of any kind: it is not shown, and its hash not kept.
LOGIN = re.compile(r"//[^/\s]*@")
# Keys at the top that are free for anchors, which may hold anything.
_FREE_KEYS = "x-"
_CREDENTIAL_SETTINGS = {"username", "password", "file"}


@dataclass(frozen=True, slots=True)
class Scalar:
    """An unquoted scalar that YAML does not read as text."""

    written: str
    kind: str


@dataclass(slots=True)
class Document:
    """
    One YAML document: its value, and the place of each part.

    Places are 1-based lines and columns.
    """

    file: str
    value: Any
    places: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    written: dict[Path, Scalar] = field(default_factory=dict)

    def error(self, path: Path, message: str, *, hint: str = "", at_key: bool = False) -> FileError:
        """Return an error at *path*, or at the nearest part above."""
        table = self.keys if at_key else self.places
        place = (
            table.get(path)
            or self.places.get(path)
            or next((self.places[path[:cut]] for cut in range(len(path) - 1, -1, -1) if path[:cut] in self.places), (1, 1))
        )
        return FileError(self.file, place[0], place[1], format_path(path), message, hint)


def format_path(path: Path) -> str:
    """Format *path* like `mirrors[2].tags.semver`, without secrets."""
    text = ""
    for part in cut_before_secret(path):
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{sanitize_message(part.rpartition('@')[2])}"
    return text


def cut_before_secret(path: Path) -> Path:
    """Return *path* without names that may be part of a secret."""
    # Without quotes, a password such as {x} is a mapping with x for a key.
    if path and str(path[0]).startswith(_FREE_KEYS):
        return path[:1]
    if "credentials" not in path:
        return path
    begins = path.index("credentials") + 1
    return next((path[:end] for end in range(begins, len(path)) if path[end] not in _CREDENTIAL_SETTINGS), path)
