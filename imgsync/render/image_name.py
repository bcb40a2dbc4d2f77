"""Names of images in tables: repository and tag, and where they go."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from itertools import takewhile

from imgsync.oci.spec.reference import Reference, Repository, split_reference
from imgsync.system.dataclass import dataclass
from imgsync.text.sanitize import sanitize_short


@dataclass(frozen=True, slots=True)
class Name:
    """
    An image's repository and tag.

    `to_repository` and `to_tag` are its destination, "" if the heading says it.
    """

    repository: str
    tag: str
    to_repository: str = ""
    to_tag: str = ""

    @property
    def heading(self) -> str:
        """Return the part that the tags of a repository share."""
        return f"{self.repository} → {self.to_repository}" if self.to_repository else self.repository

    @property
    def within(self) -> str:
        """Return the part that is left below the heading."""
        tag = self.tag.lstrip(":@")
        return f"{tag} → {self.to_tag.lstrip(':@')}" if self.to_repository and self.to_tag != self.tag else tag

    @property
    def whole(self) -> str:
        """Return the whole name."""
        name = f"{self.repository}{self.tag}"
        return f"{name} → {self.to_repository}{self.to_tag}" if self.to_repository else name


def make_name(source: Reference, destination: Reference, *, prefix: str) -> Name:
    """Return the name of *source*; the heading shows the *prefix*."""
    path, tag = _format_path(source.repository), _format_tag(source)
    to_repository, to_tag = str(destination.repository), _format_tag(destination)
    if to_repository == f"{prefix}/{source.repository.path}" and source.tag_or_digest == destination.tag_or_digest:
        return Name(path, tag)
    return Name(path, tag, sanitize_short(to_repository), to_tag)


@functools.lru_cache(maxsize=1024)
def _format_path(repository: Repository) -> str:
    return sanitize_short(repository.path or repository.registry)


def _format_tag(reference: Reference) -> str:
    tag = f":{reference.tag}" if reference.tag else ""
    return sanitize_short(f"{tag}@{reference.digest}" if reference.digest else tag)


def name_destination(reference: str, *, prefix: str) -> Name:
    """Return the name of the destination *reference* below *prefix*."""
    repository, tag = split_reference(reference.removeprefix(f"{prefix}/") if prefix else reference)
    return Name(sanitize_short(repository), sanitize_short(tag))


def find_prefix(references: Iterable[str]) -> str:
    """Return the registry and namespaces that all *references* share."""
    paths = [split_reference(reference)[0].split("/")[:-1] for reference in references]
    shared = takewhile(lambda parts: len(set(parts)) == 1, zip(*paths, strict=False))
    return "/".join(parts[0] for parts in shared)
