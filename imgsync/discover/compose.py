"""
Find the images of a Compose file.

Variables take the default that the file gives them. A service that is only built has no image to mirror, but its build has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from imgsync.config.document import Path, format_path
from imgsync.discover.dockerfile import find_in_dockerfile
from imgsync.discover.documents import SourceDocument
from imgsync.discover.model import Certainty, FoundImage
from imgsync.discover.names import make_unresolved, read_name
from imgsync.discover.variables import UnknownVariableError, fill_in

_IMAGE_CONTEXT = "docker-image://"


def is_compose(value: Any) -> bool:
    """Return whether *value* is a Compose file."""
    services = value.get("services") if isinstance(value, dict) and "kind" not in value else None
    return isinstance(services, dict) and any(isinstance(one, dict) and not {"image", "build", "extends"}.isdisjoint(one) for one in services.values())


def find_in_compose(document: SourceDocument, *, file: str) -> Iterator[FoundImage]:
    """Yield the images of the services in *document*."""
    for name, service in document.value["services"].items():
        if not isinstance(service, dict):
            continue
        place: Path = ("services", name)
        image, build = service.get("image"), service.get("build")
        if isinstance(image, str):
            # With a build the name is that of the result, which Compose may still pull.
            certainty = Certainty.SURE if build is None else Certainty.LIKELY
            yield _describe(image, (*place, "image"), document, file=file, certainty=certainty)
        if isinstance(build, dict):
            yield from _find_in_build(build, (*place, "build"), document, file=file)
        yield from _find_in_volumes(service.get("volumes"), (*place, "volumes"), document, file=file)


def _find_in_build(build: Mapping[str, Any], place: Path, document: SourceDocument, *, file: str) -> Iterator[FoundImage]:
    inline = build.get("dockerfile_inline")
    if isinstance(inline, str):
        # The text begins in the line after its key.
        first_line = document.find_line((*place, "dockerfile_inline")) + 1
        yield from find_in_dockerfile(inline.replace("$$", "$").encode(), file=file, first_line=first_line)
    contexts = build.get("additional_contexts")
    pairs = contexts.items() if isinstance(contexts, dict) else enumerate(contexts) if isinstance(contexts, list) else ()
    for key, value in pairs:
        if isinstance(value, str) and _IMAGE_CONTEXT in value:
            text = value[value.index(_IMAGE_CONTEXT) :]
            yield _describe(text, (*place, "additional_contexts", key), document, file=file, certainty=Certainty.SURE)


def _find_in_volumes(volumes: Any, place: Path, document: SourceDocument, *, file: str) -> Iterator[FoundImage]:
    """Yield the images that are mounted: `type: image`."""
    for index, volume in enumerate(volumes if isinstance(volumes, list) else ()):
        if isinstance(volume, dict) and volume.get("type") == "image" and isinstance(volume.get("source"), str):
            yield _describe(volume["source"], (*place, index, "source"), document, file=file, certainty=Certainty.SURE)


def _describe(text: str, path: Path, document: SourceDocument, *, file: str, certainty: Certainty) -> FoundImage:
    line, field = document.find_line(path), format_path(path)
    try:
        name = fill_in(text, {})
    except UnknownVariableError as error:
        return make_unresolved(text, f"{error} has no default").place(file, line, field)
    return read_name(name, certainty=certainty, written=text).place(file, line, field)
