"""
Join the parts of an image that a mapping holds apart.

Charts and operators write `{registry, repository, tag, digest}` in many spellings. A mapping without enough of them is unresolved.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from imgsync.discover.model import Certainty
from imgsync.discover.names import ImageName, has_registry, is_image_key, read_name

_REGISTRIES = ("registry", "imageRegistry", "hub")
_REPOSITORIES = ("repository", "repo", "imageRepository")
_TAGS = ("tag", "imageTag", "version", "imageVersion")
_VERSIONS = ("version", "imageVersion")
_DIGESTS = ("digest", "sha", "sha256", "imageDigest", "imageSHA")
PARTS = frozenset({*_REGISTRIES, *_REPOSITORIES, *_TAGS, *_DIGESTS, "image", "imageName", "name"})
"""Keys whose texts are parts of the image, and no images themselves."""
_HEX = re.compile(r"[0-9a-f]{64}")


def read_image_map(mapping: Mapping[str, Any], *, key: str) -> tuple[str, ImageName] | None:
    """
    Return the image of *mapping*, and its main key.

    Args:
        mapping: A mapping that may be about anything.
        key: The key whose value it is.

    Returns:
        None if the mapping is not about an image.
    """
    is_image = is_image_key(key)
    registry = _first(mapping, _REGISTRIES)[1]
    repository_key, repository = _first(mapping, _REPOSITORIES)
    image_key, image = _first(mapping, ("image", "imageName", "name") if is_image and not repository else ("image", "imageName"))
    tag_key, tag = _first(mapping, _TAGS)
    digest = _first(mapping, _DIGESTS)[1]
    if not repository and not image:
        return _report_half(mapping, tag_key) if is_image and tag else None
    if not repository and tag_key in _VERSIONS and not registry and "/" not in image:
        tag = ""
    parts = [part.strip("/") for part in (registry, repository, image) if part]
    if not is_image and (len(parts) == 1) and not tag and not digest:
        return None
    if registry and len(parts) > 1 and has_registry("/".join(parts[1:])):
        parts = parts[1:]
    if any("://" in part for part in parts):
        return None
    return repository_key or image_key, read_name(_add_version("/".join(parts), tag, digest))


def _add_version(name: str, tag: str, digest: str) -> str:
    """Return *name* with its tag and digest, unless it has them."""
    digest = f"sha256:{digest}" if _HEX.fullmatch(digest) else digest
    if tag.startswith("sha256:"):
        tag, digest = "", digest or tag
    if "@" in name:
        return name
    if tag and ":" not in name.rpartition("/")[2]:
        name = f"{name}:{tag}"
    return f"{name}@{digest}" if digest else name


def _report_half(mapping: Mapping[str, Any], key: str) -> tuple[str, ImageName]:
    """Return the tag of *mapping*, whose image is not there."""
    return key, ImageName(f"{key}: {mapping[key]}", None, Certainty.UNRESOLVED, "the repository of this tag is not here")


def _first(mapping: Mapping[str, Any], keys: tuple[str, ...]) -> tuple[str, str]:
    """Return the first of *keys* that has a text, and the text."""
    for key in keys:
        value = mapping.get(key)
        if isinstance(value, str) and value:
            return key, value
    return "", ""
