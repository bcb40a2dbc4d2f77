"""What a conversion comes to: mirrors as our own loader would read them, the registries they need, and what was left behind."""

from __future__ import annotations

from dataclasses import dataclass

from imgsync.config.model import Mirror


@dataclass(frozen=True, slots=True, order=True)
class Remark:
    """
    Something a person should know about one line of the converted file.

    `lost` says that what the line asks for is not in the result, or is something else there.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str = ""
    lost: bool = False

    def __str__(self) -> str:
        """`FILE:LINE:COLUMN: PATH: what to know (hint)`, as faults are written."""
        where = f"{self.file}:{self.line}:{self.column}: {'not carried over: ' if self.lost else ''}{f'{self.path}: ' if self.path else ''}"
        return f"{where}{self.message} ({self.hint})" if self.hint else f"{where}{self.message}"


@dataclass(frozen=True, slots=True)
class RegistryEntry:
    """
    How one registry is reached, for `registries.yaml`.

    `username` and `password` are variables such as `${REGISTRY_INTERNAL_PASSWORD}`, never a value; `password_file` stands in for `password`.
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
    def says_something(self) -> bool:
        """Return whether this is more than what holds for any registry."""
        return self != RegistryEntry(self.registry)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line adds: where `skopeo sync` was told to copy to, and whether with `--scoped`."""

    destination: str = ""
    scoped: bool = False


@dataclass(frozen=True, slots=True)
class Conversion:
    """
    A file converted: `mirrors` in their order, each with the `file` and `line` it came from, and `registries` by registry.

    `format` is the name of the tool whose file it was.
    """

    format: str
    mirrors: tuple[Mirror, ...]
    registries: tuple[RegistryEntry, ...]
    remarks: tuple[Remark, ...]

    @property
    def lost(self) -> int:
        """Return how many lines ask for something that is not in the result."""
        return len({(remark.file, remark.line) for remark in self.remarks if remark.lost})
