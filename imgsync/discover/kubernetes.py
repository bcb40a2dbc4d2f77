"""
Find the images of Kubernetes objects, in YAML or JSON.

What a cluster writes, such as the status and the last applied copy, is left out, but for the digests that pods run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from imgsync.config.document import Path, format_path
from imgsync.discover.documents import SourceDocument, find_in_each
from imgsync.discover.model import Certainty, FoundImage, SkippedInput
from imgsync.discover.names import read_name
from imgsync.discover.shapes import Mention, find_in_value, is_without_images, lower
from imgsync.oci.spec.digest import is_digest
from imgsync.system.dataclass import dataclass

_FREE_TEXT = frozenset({"ConfigMap"})
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_STATUSES = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")


@dataclass(frozen=True, slots=True)
class _Object:
    """A Kubernetes object, and where it is in its document."""

    value: Mapping[str, Any]
    path: Path

    @property
    def kind(self) -> str:
        """Its kind, "" without one."""
        return _text(self.value.get("kind"))

    @property
    def label(self) -> str:
        """Its kind, namespace and name, as `kubectl` writes them."""
        metadata = self.value.get("metadata")
        about = metadata if isinstance(metadata, dict) else {}
        name = _text(about.get("name")) or _text(about.get("generateName"))
        namespace = _text(about.get("namespace"))
        return f"{self.kind} {namespace}{'/' if namespace else ''}{name}".strip()


def find_in_documents(data: bytes, *, file: str) -> Iterator[FoundImage | SkippedInput]:
    """
    Yield the images in *data*, Kubernetes objects as YAML or JSON.

    Args:
        data: The output of `kubectl`, `helm template` or a program like them.
        file: What the finds name as their file.
    """
    return find_in_each(data, lambda document: find_in_objects(document, file=file), file=file)


def find_in_objects(document: SourceDocument, *, file: str) -> Iterator[FoundImage]:
    """Yield the images of the objects in *document*."""
    for one in _list_objects(document.value, ()):
        for mention in _find_in_object(one):
            field = f"{one.label}: {format_path(mention.path[len(one.path) :])}" if one.label else format_path(mention.path)
            name, line = mention.name, document.find_line(mention.path, mention.inner_line)
            yield name.place(file, line, field)


def is_object(value: Any) -> bool:
    """Return whether *value* has the head of a Kubernetes object."""
    return isinstance(value, dict) and isinstance(value.get("kind"), str) and ("apiVersion" in value or "metadata" in value or "spec" in value)


def _list_objects(value: Any, path: Path) -> Iterator[_Object]:
    items = value.get("items") if isinstance(value, dict) else value
    if isinstance(items, list) and (not isinstance(value, dict) or _text(value.get("kind")).endswith("List")):
        for index, item in enumerate(items):
            place = (*path, "items", index) if isinstance(value, dict) else (*path, index)
            if isinstance(item, dict):
                yield from [_Object(item, place)]
    elif isinstance(value, dict):
        yield _Object(value, path)


def _find_in_object(one: _Object) -> Iterator[Mention]:
    if not is_object(one.value):
        yield from map(lower, find_in_value(one.value, one.path))
        return
    if is_without_images(one.value):
        return
    for key, value in one.value.items():
        if key == "metadata":
            yield from _find_in_annotations(value, (*one.path, key))
        elif key == "status":
            yield from _find_in_status(value, (*one.path, key))
        elif one.kind in _FREE_TEXT:
            found = map(lower, find_in_value(value, (*one.path, key)))
            yield from (mention for mention in found if mention.name.certainty is Certainty.LIKELY)
        else:
            yield from find_in_value(value, (*one.path, key))


def _find_in_annotations(metadata: Any, path: Path) -> Iterator[Mention]:
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    for key, value in annotations.items() if isinstance(annotations, dict) else ():
        if key != _LAST_APPLIED and isinstance(value, str):
            yield from find_in_value(value, (*path, "annotations", key))


def _find_in_status(status: Any, path: Path) -> Iterator[Mention]:
    """Yield the names with digests that a pod runs."""
    for key in _STATUSES:
        statuses = status.get(key) if isinstance(status, dict) else None
        for index, one in enumerate(statuses if isinstance(statuses, list) else ()):
            running = one.get("imageID") if isinstance(one, dict) else None
            if isinstance(running, str) and "@" in running:
                name = read_name(running)
                if name.reference is not None and is_digest(name.reference.digest):
                    yield Mention((*path, key, index, "imageID"), name)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
