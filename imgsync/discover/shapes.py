"""
Find images in values by the shape of their parts.

No list of kinds: any mapping with containers, an `image`, or a registry, repository and tag is read, so third-party resources are, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from imgsync.config.document import Path
from imgsync.discover.image_maps import PARTS, read_image_map
from imgsync.discover.model import Certainty
from imgsync.discover.names import ImageName, find_in_text, has_registry, has_template, is_image_key, is_image_variable, read_name, read_named
from imgsync.system.dataclass import dataclass

DEPTH_LIMIT = 100
_CONTAINERS = frozenset({"containers", "initContainers", "ephemeralContainers", "container", "initContainer", "sidecars"})
_OF_CONTAINERS = frozenset({"command", "args", "env", "envFrom", "imagePullPolicy", "volumeMounts"})
# Within `image`, as image volumes have it.
_REFERENCES = frozenset({"reference", "ref"})
# Pictures and disks, which other programs call images.
_OTHER_FILES = (".png", ".svg", ".jpg", ".jpeg", ".gif", ".ico", ".webp", ".iso", ".img", ".qcow2", ".raw", ".vmdk", ".ova", ".gz", ".xz", ".zip")


class TooDeepError(Exception):
    """Values that are nested deeper than any real file."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A name of an image, and the path of its field."""

    path: Path
    name: ImageName


def find_in_value(value: Any, path: Path) -> Iterator[Mention]:
    """
    Yield the images in *value*.

    Raises:
        TooDeepError: It is nested too deep.
    """
    if len(path) > DEPTH_LIMIT:
        raise TooDeepError
    if isinstance(value, dict):
        yield from _find_in_mapping(value, path)
    elif isinstance(value, list):
        yield from _find_in_list(value, path)
    elif isinstance(value, str):
        key = last_key(path)
        if key in _REFERENCES and is_image_key(last_key(path[:-1])):
            yield Mention(path, read_name(value))
        elif value and "annotations" not in path:
            yield from (Mention(path, name) for name in _read_text(value, key=key))
        else:
            yield from (Mention(path, name) for name in _read_variable(key, value))


def last_key(path: Path) -> str:
    """Return the name of the nearest mapping key of *path*."""
    return next((part for part in reversed(path) if isinstance(part, str)), "")


def _find_in_mapping(mapping: Mapping[str, Any], path: Path) -> Iterator[Mention]:
    if _is_variable(mapping):
        yield from (Mention((*path, "value"), name) for name in _read_variable(mapping["name"], mapping["value"]))
        return
    key = last_key(path)
    read: frozenset[str] = frozenset()
    if _is_container(mapping, key):
        if isinstance(mapping.get("image"), str):
            yield Mention((*path, "image"), read_name(mapping["image"]))
            read = frozenset({"image"})
    elif (found := read_image_map(mapping, key=key)) is not None:
        yield Mention((*path, found[0]), found[1])
        read = PARTS
    for below, value in mapping.items():
        if value and (below not in read or not isinstance(value, str)):
            yield from find_in_value(value, (*path, below))


def _find_in_list(items: list[Any], path: Path) -> Iterator[Mention]:
    """Yield the images in *items*, also in values after a flag."""
    flag = ""
    for index, item in enumerate(items):
        if not isinstance(item, str):
            yield from find_in_value(item, (*path, index))
        elif is_image_key(flag) and (name := read_named(item)) is not None:
            yield Mention((*path, index), name)
        else:
            yield from (Mention((*path, index), name) for name in _read_text(item, key=last_key(path)))
        flag = item.lstrip("-") if isinstance(item, str) and item.startswith("-") else ""


def _is_container(mapping: Mapping[str, Any], key: str) -> bool:
    return key in _CONTAINERS or ("image" in mapping and not _OF_CONTAINERS.isdisjoint(mapping))


def _is_variable(mapping: Mapping[str, Any]) -> bool:
    """Return whether *mapping* is a name with its value."""
    return isinstance(mapping.get("name"), str) and isinstance(mapping.get("value"), str)


def _read_variable(name: str, value: str) -> Iterator[ImageName]:
    found = read_named(value) if is_image_variable(name) else None
    if found is not None:
        yield found
    else:
        yield from find_in_text(value)


def _read_text(text: str, *, key: str) -> Iterator[ImageName]:
    """Yield the images of *text*, the value of *key*."""
    if is_image_key(key) or is_image_variable(key):
        found = _read_image_field(text, key=key)
        if found is not None:
            yield found
            return
    if "/" in text or "image" in text:
        yield from find_in_text(text)


def _read_image_field(text: str, *, key: str) -> ImageName | None:
    """Return the image of a field that is named after images."""
    found = read_name(text, certainty=Certainty.SURE if is_image_key(key) else Certainty.LIKELY)
    if text.lower().endswith(_OTHER_FILES):
        return None
    if found.certainty is not Certainty.UNRESOLVED or found.reference is None:
        return found if found.reference is not None or has_template(text) else None
    return found if key == "image" or has_registry(text) else None
