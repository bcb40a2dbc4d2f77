"""
Find images in values by the shape of their parts.

No list of kinds: any mapping with containers, an `image`, or a registry, repository and tag is read, so third-party resources are, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from imgsync.config.document import Path
from imgsync.config.yaml_stream import TextDocument, read_stream
from imgsync.discover.fields import Found, may_name_image, read_field, read_variable
from imgsync.discover.image_maps import PARTS, read_image_map
from imgsync.discover.model import Certainty
from imgsync.discover.names import ImageName, is_image_key, read_likely, read_name, read_named
from imgsync.system.dataclass import dataclass

DEPTH_LIMIT = 100
_CONTAINERS = frozenset({"containers", "initContainers", "ephemeralContainers", "container", "initContainer", "init_container", "sidecars"})
_OF_CONTAINERS = frozenset({"command", "args", "env", "envFrom", "imagePullPolicy", "volumeMounts"})
_PARTS_APART = frozenset({"repository", "registry"})
_IMAGE = frozenset({"image"})
_NOTHING: frozenset[str] = frozenset()
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
# A template within the YAML of a ConfigMap is the third.
_EMBEDDED_LIMIT = 3
_ANNOTATIONS = "annotations"
_OCI = "oci://"


class TooDeepError(Exception):
    """Values that are nested deeper than any real file."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A name of an image, and the path of its field."""

    path: Path
    name: ImageName
    inner_line: int = 0
    """The line within a text of several lines, from 1; 0 for the text itself."""


def find_in_value(value: Any, path: Path) -> list[Mention]:
    """
    Return the images in *value*, in order.

    Raises:
        TooDeepError: It is nested too deep.
    """
    return _find_in_value(value, path, 0)


def _find_in_value(value: Any, path: Path, embedded: int) -> list[Mention]:
    keys = [part for part in path if isinstance(part, str)]
    walk = _Walk(embedded)
    walk.read(value, path, keys[-1] if keys else "", keys[-2] if len(keys) > 1 else "")
    return walk.found


def is_without_images(mapping: Mapping[str, Any]) -> bool:
    """Return whether *mapping* is an object of a kind that has none."""
    if "kind" not in mapping:
        return False
    group = mapping.get("apiVersion")
    return mapping["kind"] in _WITHOUT_IMAGES or (isinstance(group, str) and group.startswith(_GROUPS_WITHOUT_IMAGES))


def lower(mention: Mention) -> Mention:
    """Return *mention* as likely if it is sure."""
    name = mention.name
    if name.certainty is not Certainty.SURE:
        return mention
    return Mention(mention.path, ImageName(name.text, name.reference, Certainty.LIKELY), mention.inner_line)


class _Walk:
    """
    Collects the images of a tree of values.

    Its methods take the nearest key of a value, and the key of the mapping that has it.
    """

    def __init__(self, embedded: int) -> None:
        self._embedded = embedded
        self.found: list[Mention] = []

    def read(self, value: Any, path: Path, key: str, above: str) -> None:
        if isinstance(value, str):
            if may_name_image(value, key, above):
                self._read_text(value, path, key, above)
        elif len(path) > DEPTH_LIMIT:
            raise TooDeepError
        elif isinstance(value, dict):
            self._read_mapping(value, path, key)
        elif isinstance(value, list):
            self._read_list(value, path, key, above)

    def _read_mapping(self, mapping: Mapping[str, Any], path: Path, key: str) -> None:
        if is_without_images(mapping):
            return
        name, text = mapping.get("name"), mapping.get("value")
        if isinstance(name, str) and isinstance(text, str):
            self._add(read_variable(name, text), (*path, "value"))
            return
        read = self._read_parts(mapping, path, key)
        for below, value in mapping.items():
            if value and (below not in read or not isinstance(value, str)):
                self.read(value, (*path, below), below, key)

    def _read_parts(self, mapping: Mapping[str, Any], path: Path, key: str) -> frozenset[str]:
        """Read a container or an image; return the keys it has."""
        if _is_container(mapping, key):
            image = mapping.get("image")
            if isinstance(image, str) and image:
                self.found.append(Mention((*path, "image"), read_name(image)))
            return _IMAGE
        found = read_image_map(mapping, key=key, is_item=bool(path) and isinstance(path[-1], int))
        if found is not None:
            self.found.append(Mention((*path, found[0]), found[1]))
            return PARTS
        if "url" in mapping and (artifact := _read_artifact(mapping)) is not None:
            self.found.append(Mention((*path, "url"), artifact))
        return _NOTHING

    def _read_list(self, items: list[Any], path: Path, key: str, above: str) -> None:
        """Read *items*; the value of a flag may be the next one."""
        flag = ""
        for index, item in enumerate(items):
            is_text = isinstance(item, str)
            if is_text and flag and is_image_key(flag) and (name := read_named(item)) is not None:
                self.found.append(Mention((*path, index), name))
            else:
                self.read(item, (*path, index), key, above)
            flag = item.lstrip("-") if is_text and item.startswith("-") else ""

    def _read_text(self, text: str, path: Path, key: str, above: str) -> None:
        if "\n" in text and self._embedded < _EMBEDDED_LIMIT and _DOCUMENT.search(text) is not None and (documents := _read_embedded(text)):
            for document in documents:
                for mention in _find_in_value(document.value, path, self._embedded + 1):
                    line = document.find_line(mention.path[len(path) :]) + max(0, mention.inner_line)
                    self.found.append(lower(Mention(mention.path, mention.name, line)))
        elif above == _ANNOTATIONS:
            self._add(read_variable(key, text), path)
        else:
            self._add(read_field(text, key=key, above=above), path)

    def _add(self, found: Found, path: Path) -> None:
        self.found += [Mention(path, name, line) for name, line in found]


def _read_embedded(text: str) -> list[TextDocument]:
    """Return the YAML documents in *text*, if it is YAML."""
    found = list(read_stream(text.encode("utf-8", "replace"), file=""))
    documents = [one for one in found if isinstance(one, TextDocument)]
    return documents if len(documents) == len(found) and all(isinstance(one.value, dict | list) for one in documents) else []


def _is_container(mapping: Mapping[str, Any], key: str) -> bool:
    is_named_so = key in _CONTAINERS or ("image" in mapping and not _OF_CONTAINERS.isdisjoint(mapping))
    return is_named_so and _PARTS_APART.isdisjoint(mapping)


def _read_artifact(mapping: Mapping[str, Any]) -> ImageName | None:
    """Return the artifact of an OCIRepository of Flux."""
    url, version = mapping.get("url"), mapping.get("ref")
    if not (isinstance(url, str) and url.startswith(_OCI) and isinstance(version, dict)):
        return None
    tag, digest = (value if isinstance(value, str) else "" for value in (version.get("tag"), version.get("digest")))
    return read_likely(f"{url.removeprefix(_OCI)}{':' if tag else ''}{tag}{'@' if digest else ''}{digest}")
