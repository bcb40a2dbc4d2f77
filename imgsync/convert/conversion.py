"""The result of a conversion: mirrors, registry settings and remarks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from imgsync.config.model import Mirror
from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Remark:
    """
    Information about one line of the converted file.

    `lost` means that the result lacks what the line sets, or gives it another meaning.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str = ""
    lost: bool = False

    def __str__(self) -> str:
        """Return `FILE:LINE:COLUMN: PATH: MESSAGE (HINT)`, the form of errors."""
        where = f"{self.file}:{self.line}:{self.column}: {'not carried over: ' if self.lost else ''}{f'{self.path}: ' if self.path else ''}"
        return f"{where}{self.message} ({self.hint})" if self.hint else f"{where}{self.message}"


@dataclass(frozen=True, slots=True)
class RegistryEntry:
    """
    The settings of one registry in `registries.yaml`.

    `username` and `password` are variables such as `${REGISTRY_INTERNAL_PASSWORD}`, never values.
    `password_file` replaces `password`.
    """

    registry: str
    username: str = ""
    password: str = ""
    password_file: str = ""
    tls: bool = True
    verify: bool = True
    ca: str = ""
    cert: str = ""
    key: str = ""
    rate: str = ""
    connections: int | None = None
    create_repositories: bool = False

    @property
    def has_settings(self) -> bool:
        """Whether any setting differs from its default."""
        return self != RegistryEntry(self.registry)


@dataclass(frozen=True, slots=True)
class ConvertOptions:
    """
    Options of the command line.

    `destination` and `scoped` are only for `skopeo sync`. `variables` replace templates, and name what a file lacks.
    """

    destination: str = ""
    scoped: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Conversion:
    """
    A converted file.

    `format` is the name of the other tool. Each mirror has the `file` and `line` that it comes from.
    """

    format: str
    mirrors: tuple[Mirror, ...]
    registries: tuple[RegistryEntry, ...]
    remarks: tuple[Remark, ...]

    @property
    def lost_lines(self) -> int:
        """The number of lines that were not carried over."""
        return len({(remark.file, remark.line) for remark in self.remarks if remark.lost})
