"""
Find the images that a chart lists: annotations and lock files.

Annotations are those of Artifact Hub and of Bitnami; lock files those of `helm dt` and of HIP 19.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from imgsync.config.document import Document, Path, format_path
from imgsync.config.yaml_reader import parse_documents
from imgsync.discover.chart_files import CHART_FILE, Chart
from imgsync.discover.model import FoundImage, SkippedInput
from imgsync.discover.names import read_name

_ANNOTATIONS = ("artifacthub.io/images", "images")


def is_library(chart: Chart) -> bool:
    """Return whether the chart only helps other charts, and renders nothing."""
    documents, _ = parse_documents(chart.files[CHART_FILE], file=CHART_FILE)
    return bool(documents) and isinstance(documents[0].value, dict) and documents[0].value.get("type") == "library"


def find_in_metadata(chart: Chart) -> Iterator[FoundImage | SkippedInput]:
    """Yield the images that the files of *chart* list, and errors."""
    for name, data in chart.files.items():
        file = f"{chart.path.rstrip('/')}/{name}"
        documents, errors = parse_documents(data, file=file)
        yield from (SkippedInput(file, error.line, error.message, error.hint) for error in errors)
        for document in documents:
            yield from _find_in_annotations(document, data) if name == CHART_FILE else _find_in_list(document, (), _list_lines(data))


def _find_in_annotations(document: Document, data: bytes) -> Iterator[FoundImage | SkippedInput]:
    annotations = _get(document.value, "annotations")
    for name in _ANNOTATIONS if isinstance(annotations, dict) else ():
        text = annotations.get(name)
        if isinstance(text, str) and text.strip():
            place: Path = ("annotations", name)
            begins = document.places[place][0]
            inner, errors = parse_documents(text.encode(), file=document.file)
            yield from (SkippedInput(document.file, begins, f"{format_path(place)}: {error.message}", error.hint) for error in errors)
            for one in inner:
                yield from _find_in_list(one, place, _list_lines(data), begins)


def _find_in_list(document: Document, place: Path, lines: list[str], begins: int = 1) -> Iterator[FoundImage]:
    """Yield the images of a list, or of a lock file."""
    below: Path = () if isinstance(document.value, list) else ("images",)
    entries = _get(document.value, "images") if below else document.value
    for number, entry in enumerate(entries if isinstance(entries, list) else ()):
        text = entry if isinstance(entry, str) else _get(entry, "image")
        if isinstance(text, str):
            field = format_path((*place, *below, number, *(() if isinstance(entry, str) else ("image",))))
            line = next((at for at in range(begins, len(lines) + 1) if text in lines[at - 1]), begins)
            yield read_name(text).place(document.file, line, field)


def _get(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _list_lines(data: bytes) -> list[str]:
    return data.decode("utf-8", "replace").splitlines()
