"""
Join the parts of an image that a mapping holds apart.

Charts and operators write `{registry, repository, tag, digest}` in many spellings. A mapping without enough of them is unresolved.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from imgsync.discover.model import Certainty
from imgsync.discover.names import ImageName, has_registry, has_template, is_image_key, read_name

_REGISTRIES = ("registry", "imageRegistry", "hub")
_REPOSITORIES = ("repository", "repo", "imageRepository")
_IMAGES = ("newName", "image", "imageName", "baseImage")
_TAGS = ("newTag", "tag", "imageTag", "version", "imageVersion")
_VERSIONS = frozenset({"version", "imageVersion"})
_DIGESTS = ("digest", "sha", "sha256", "imageDigest", "imageSHA")
PARTS = frozenset({*_REGISTRIES, *_REPOSITORIES, *_IMAGES, *_TAGS, *_DIGESTS, "name"})
"""Keys whose texts are parts of the image, and no images themselves."""
_MAIN_PARTS = frozenset({*_REPOSITORIES, *_IMAGES})
# `imageRepository` of `dns` and `etcd.local` is the repository above the image.
_NAMED_BY_KUBEADM = frozenset({"dns", "local"})
_HEX = re.compile(r"[0-9a-f]{64}")


def read_image_map(mapping: Mapping[str, Any], *, key: str, is_item: bool = False) -> tuple[str, ImageName] | None:
    """
    Return the image of *mapping*, and its main key.

    Args:
        mapping: A mapping that may be about anything.
        key: The key whose value it is, or that of the list it is in.
        is_item: Whether it is an item of a list, where `name` is not a part of the image.

    Returns:
        None if the mapping is not about an image.
    """
    is_image = is_image_key(key)
    if (PARTS if is_image else _MAIN_PARTS).isdisjoint(mapping):
        return None
    registry = _first(mapping, _REGISTRIES)[1]
    repository_key, repository = _first(mapping, _REPOSITORIES)
    image_key, image = _first(mapping, (*_IMAGES, "name") if is_image and not (repository and is_item) else _IMAGES)
    tag_key, tag = _first(mapping, _TAGS)
    digest = _first(mapping, _DIGESTS)[1]
    if key in _NAMED_BY_KUBEADM and repository_key == "imageRepository":
        return (tag_key, ImageName(f"{tag_key}: {tag}", None, Certainty.UNRESOLVED, "kubeadm adds the name of the image")) if tag else None
    if not repository and not image:
        return _report_half(mapping, tag_key) if is_image and tag else None
    if not repository and tag_key in _VERSIONS and not registry and "/" not in image:
        tag = ""
    if image_key == "name" and repository.strip("/").endswith(f"/{image}"):
        image = ""
    parts = [part.strip("/") for part in (registry, repository, image) if part]
    if not is_image and len(parts) == 1 and not tag and not digest:
        return None
    if registry and len(parts) > 1 and has_registry("/".join(parts[1:])):
        parts = parts[1:]
    found = _describe(
        _add_version("/".join(parts), tag, digest), lacks_name=is_image and not is_item and bool(repository) and mapping.get("name", "-") in {None, ""}
    )
    is_other = found.reference is None and not has_template(found.text) and not is_image
    return None if is_other or any("://" in part for part in parts) else (repository_key or image_key, found)


def _describe(name: str, *, lacks_name: bool) -> ImageName:
    return ImageName(name, None, Certainty.UNRESOLVED, "its name is empty") if lacks_name else read_name(name)


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
