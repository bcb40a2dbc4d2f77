"""The lock of one mirror as a value."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter

from imgsync.oci.spec.reference import split_reference
from imgsync.system.dataclass import dataclass
from imgsync.system.packed_map import PackedMap
from imgsync.system.sorted_runs import SortedRuns


@dataclass(frozen=True, slots=True)
class LockedImage:
    """
    A locked image: its name, digest and line.

    The name has no digest, such as `docker.io/library/alpine:3.22`, unless the image was declared by its digest alone.
    """

    image: str
    digest: str
    line: int = 0

    @property
    def reference(self) -> str:
        """Return the image with its digest, as its line has it."""
        return self.image if self.image.endswith(f"@{self.digest}") else f"{self.image}@{self.digest}"

    @property
    def repository(self) -> str:
        """Return the repository with its registry."""
        return split_reference(self.image)[0]

    @property
    def tag_or_digest(self) -> str:
        """Return the tag, or the digest if the image has no tag."""
        return split_reference(self.image)[1][1:]

    @property
    def row(self) -> tuple[str, str, int]:
        """Return the fields, to be packed."""
        return self.image, self.digest, self.line


@dataclass(frozen=True, slots=True)
class Lock:
    """
    The lock of one mirror, as read from its file.

    `declaration` is what it was made for, in line `declaration_line`. `images` are by their name, sorted.
    """

    file: str
    mirror: str
    declaration: str
    declaration_line: int
    images: PackedMap[LockedImage]

    def iter_repositories(self) -> Iterator[tuple[str, Iterator[LockedImage]]]:
        """Yield each repository with its images."""
        return groupby(self.images.values(), key=attrgetter("repository"))


def make_sorted_images() -> SortedRuns[LockedImage]:
    """Return what collects images and sorts them by their name."""
    return SortedRuns(attrgetter("image"), attrgetter("row"), LockedImage)
