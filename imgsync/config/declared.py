"""A mirror with the place of each of its settings."""

from __future__ import annotations

from dataclasses import replace

from imgsync.config.document import Document, Path
from imgsync.config.model import Mirror, RegistriesConfig
from imgsync.config.registry_names import name_registries
from imgsync.errors import FileError
from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class DeclaredMirror:
    """A mirror, and where its document declares it."""

    mirror: Mirror
    document: Document
    path: Path

    def make_error(self, setting: Path, message: str, hint: str = "") -> FileError:
        """Return an error about *setting*, or what holds it if inherited."""
        return self.document.error(self._find_path(setting), message, hint=hint)

    def locate(self, setting: Path = ()) -> str:
        """Return file and line of *setting*."""
        return f"{self.document.file}:{self.document.places[self._find_path(setting)][0]}"

    def with_names_of(self, registries: RegistriesConfig) -> DeclaredMirror:
        """Return the mirror with the one name of each registry."""
        return replace(self, mirror=name_registries(self.mirror, registries))

    def _find_path(self, setting: Path) -> Path:
        return next(path for end in range(len(setting), -1, -1) if (path := (*self.path, *setting[:end])) in self.document.places)
