"""
Check that the descriptors of an image agree with its content.

A reader that believes a descriptor must get what another reader gets that parses the content (CVE-2021-41190).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from imgsync.errors import UnsupportedContentError
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.digest import shorten_digest
from imgsync.oci.spec.manifest import Manifest
from imgsync.oci.spec.media_types import IMAGE_TYPES, INDEX_TYPES, normalize_media_type

_HINT = "the image is damaged at its source; ask its publisher to push it again"


def check_children(parents: Iterable[Manifest], known: Mapping[str, Manifest]) -> None:
    """
    Check the children of *parents* that are *known*, by digest.

    Raises:
        UnsupportedContentError: A descriptor gives another size, or another kind.
    """
    for parent in parents:
        for child in parent.children:
            if child.digest in known:
                check_child(parent, child, known[child.digest])


def check_child(parent: Manifest, child: Descriptor, found: Manifest) -> None:
    """
    Check that *found* is what *child*, a descriptor of *parent*, says.

    OCI and Docker types of the same kind may stand for each other.

    Raises:
        UnsupportedContentError: It is not.
    """
    if child.size_bytes != found.size_bytes:
        raise _make_error(parent, child, f"{child.size_bytes} bytes", f"{found.size_bytes}")
    described = normalize_media_type(child.media_type)
    if described and described != found.media_type and _find_kind(described) != _find_kind(found.media_type):
        raise _make_error(parent, child, described, found.media_type)


def _find_kind(media_type: str) -> str:
    return "index" if media_type in INDEX_TYPES else "image" if media_type in IMAGE_TYPES else media_type


def _make_error(parent: Manifest, child: Descriptor, described: str, found: str) -> UnsupportedContentError:
    what = f"the index {shorten_digest(parent.digest)} describes its manifest {shorten_digest(child.digest)}"
    return UnsupportedContentError(f"{what} as {described}, but it is {found}", hint=_HINT)
