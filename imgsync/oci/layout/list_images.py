"""List the images that a layout names."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from imgsync.oci.layout.index_json import parse_index
from imgsync.oci.layout.names import find_name
from imgsync.oci.layout.open_files import open_files
from imgsync.oci.spec.digest import is_digest
from imgsync.oci.spec.referrers import is_referrers_tag
from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class LayoutImage:
    """An image of a layout; `tag` is "" if it has none."""

    path: str
    tag: str
    digest: str

    @property
    def is_referrer(self) -> bool:
        """Return whether the tag is that of a signature or another referrer."""
        return is_referrers_tag(self.tag)

    def __str__(self) -> str:
        """Return `path:tag`, or the digest."""
        return f"{self.path}:{self.tag}" if self.tag else self.digest


def list_images(path: str, *, own_repository: str, is_own_declared: bool) -> list[LayoutImage]:
    """
    Return the images in the index of the layout at *path*.

    Images without a name, and those that imgsync cannot name, come only if there are no others.

    Raises:
        LayoutError: There is no layout, or it is damaged or hostile.
        OSError: It cannot be read.
    """
    with contextlib.closing(open_files(path)) as files:
        entries = parse_index(files.read_index(), where=path).entries

    def iter_images() -> Iterator[LayoutImage]:
        for entry in entries:
            name = find_name(entry, own_repository, is_own_declared=is_own_declared)
            if not isinstance(name, str):
                yield LayoutImage(name.path, name.tag, entry.digest)
            elif is_digest(entry.digest):
                yield LayoutImage(own_repository, "", entry.digest)

    found = list(iter_images())
    return [image for image in found if image.tag] or found
