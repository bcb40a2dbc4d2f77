"""
Find images in values by the shape of their parts.

No list of kinds: any mapping with containers, an `image`, or a registry, repository and tag is read, so third-party resources are, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from imgsync.config.document import Path
from imgsync.config.yaml_stream import TextDocument, read_stream
from imgsync.discover.image_maps import PARTS, read_image_map
from imgsync.discover.model import Certainty
from imgsync.discover.names import ImageName, find_in_text, has_registry, has_template, is_image_key, is_image_variable, read_name, read_named
from imgsync.system.dataclass import dataclass

DEPTH_LIMIT = 100
_CONTAINERS = frozenset({"containers", "initContainers", "ephemeralContainers", "container", "initContainer", "init_container", "sidecars"})
_OF_CONTAINERS = frozenset({"command", "args", "env", "envFrom", "imagePullPolicy", "volumeMounts"})
# Kinds without images of their own: their texts are rules, patterns, schemas, messages or secrets.
_WITHOUT_IMAGES = frozenset({"CustomResourceDefinition", "Event", "Secret", "SealedSecret", "Lease", "APIService"})
_GROUPS_WITHOUT_IMAGES = (
    "rbac.authorization.k8s.io/",
    "admissionregistration.k8s.io/",
    "authorization.openshift.io/",
    "kyverno.io/",
    "policies.kyverno.io/",
    "constraints.gatekeeper.sh/",
    "templates.gatekeeper.sh/",
)
# YAML or JSON in a text, with a field of an image.
_DOCUMENT = re.compile(r"^[ \t]{0,80}(?:-[ \t]{1,20})?[\"']?[\w.-]{0,100}image[\w.-]{0,100}[\"']?[ \t]{0,20}:", re.IGNORECASE | re.MULTILINE | re.ASCII)
# Within `image`, as image volumes have it.
_REFERENCES = frozenset({"reference", "ref"})
_PARTS_APART = frozenset({"repository", "registry"})
# Pictures and disks, which other programs call images.
_OTHER_FILES = (".png", ".svg", ".jpg", ".jpeg", ".gif", ".ico", ".webp", ".iso", ".img", ".qcow2", ".raw", ".vmdk", ".ova", ".gz", ".xz", ".zip")


class TooDeepError(Exception):
    """Values that are nested deeper than any real file."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A name of an image, and the path of its field."""

    path: Path
    name: ImageName
    inner_line: int = 0
    """The line within a text of several lines, from 1; 0 for the text itself."""


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
        yield from _find_in_text(value, path)


def last_key(path: Path) -> str:
    """Return the name of the nearest mapping key of *path*."""
    return next((part for part in reversed(path) if isinstance(part, str)), "")


def is_without_images(mapping: Mapping[str, Any]) -> bool:
    """Return whether *mapping* is an object of a kind that has none."""
    group = mapping.get("apiVersion")
    return mapping.get("kind") in _WITHOUT_IMAGES or (isinstance(group, str) and "kind" in mapping and group.startswith(_GROUPS_WITHOUT_IMAGES))


def lower(mention: Mention) -> Mention:
    """Return *mention* as likely if it is sure."""
    name = mention.name
    if name.certainty is not Certainty.SURE:
        return mention
    return Mention(mention.path, ImageName(name.text, name.reference, Certainty.LIKELY), mention.inner_line)


def _find_in_text(text: str, path: Path) -> Iterator[Mention]:
    key = last_key(path)
    if key in _REFERENCES and is_image_key(last_key(path[:-1])):
        yield Mention(path, read_name(text))
    elif "\n" in text and _DOCUMENT.search(text) is not None and (documents := _read_embedded(text)):
        for document in documents:
            for mention in find_in_value(document.value, path):
                line = document.find_line(mention.path[len(path) :]) + max(0, mention.inner_line)
                yield lower(Mention(mention.path, mention.name, line))
    elif "annotations" in path:
        yield from _place(_read_variable(key, text), path)
    else:
        yield from _place(_read_text(text, key=key), path)


def _read_embedded(text: str) -> list[TextDocument]:
    """Return the YAML documents in *text*, if it is YAML."""
    found = list(read_stream(text.encode("utf-8", "replace"), file=""))
    documents = [one for one in found if isinstance(one, TextDocument)]
    return documents if len(documents) == len(found) and all(isinstance(one.value, dict | list) for one in documents) else []


def _find_in_mapping(mapping: Mapping[str, Any], path: Path) -> Iterator[Mention]:
    if is_without_images(mapping):
        return
    if _is_variable(mapping):
        yield from _place(_read_variable(mapping["name"], mapping["value"]), (*path, "value"))
        return
    key = last_key(path)
    read: frozenset[str] = frozenset()
    if _is_container(mapping, key):
        if isinstance(mapping.get("image"), str) and mapping["image"]:
            yield Mention((*path, "image"), read_name(mapping["image"]))
            read = frozenset({"image"})
    elif (found := read_image_map(mapping, key=key, is_item=isinstance(path[-1] if path else "", int))) is not None:
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
            yield from _find_in_text(item, (*path, index))
        flag = item.lstrip("-") if isinstance(item, str) and item.startswith("-") else ""


def _place(found: Iterator[tuple[ImageName, int]], path: Path) -> Iterator[Mention]:
    """Yield the names in a text, with their lines."""
    return (Mention(path, name, line) for name, line in found)


def _is_container(mapping: Mapping[str, Any], key: str) -> bool:
    is_named_so = key in _CONTAINERS or ("image" in mapping and not _OF_CONTAINERS.isdisjoint(mapping))
    return is_named_so and _PARTS_APART.isdisjoint(mapping)


def _is_variable(mapping: Mapping[str, Any]) -> bool:
    """Return whether *mapping* is a name with its value."""
    return isinstance(mapping.get("name"), str) and isinstance(mapping.get("value"), str)


def _read_variable(name: str, value: str) -> Iterator[tuple[ImageName, int]]:
    found = read_named(value) if is_image_variable(name) else None
    if found is not None:
        yield found, 0
    else:
        yield from find_in_text(value)


def _read_text(text: str, *, key: str) -> Iterator[tuple[ImageName, int]]:
    """Yield the images of *text*, the value of *key*, with their lines."""
    found = _read_image_field(text, key=key) if is_image_key(key) or is_image_variable(key) else None
    if found is not None:
        yield found, 0
    elif "/" in text or "image" in text:
        yield from find_in_text(text)


def _read_image_field(text: str, *, key: str) -> ImageName | None:
    """Return the image of a field that is named after images."""
    found = read_name(text, certainty=Certainty.SURE if is_image_key(key) else Certainty.LIKELY)
    if text.lower().endswith(_OTHER_FILES):
        return None
    if found.certainty is not Certainty.UNRESOLVED or found.reference is None:
        return found if found.reference is not None or has_template(text) else None
    return found if has_registry(text) else None
