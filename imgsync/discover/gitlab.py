"""
Find the images of GitLab's pipelines.

Variables have the values that the file gives them, in the job, in what it extends, or at the top. Those of GitLab are not known here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice, product
from typing import Any

from imgsync.config.document import Path, format_path
from imgsync.discover.documents import SourceDocument
from imgsync.discover.model import Certainty, FoundImage
from imgsync.discover.names import has_template, read_name
from imgsync.discover.variables import UnknownVariableError, fill_in

_SCRIPTS = frozenset({"script", "before_script", "after_script", "trigger"})
_ROWS_LIMIT = 200
_EXTENDS_LIMIT = 11

Variables = Mapping[str, str]


def is_pipeline(value: Any) -> bool:
    """Return whether *value* is a pipeline of GitLab."""
    return isinstance(value, dict) and "kind" not in value and any(isinstance(job, dict) and not _SCRIPTS.isdisjoint(job) for job in value.values())


def find_in_pipeline(document: SourceDocument, *, file: str) -> Iterator[FoundImage]:
    """Yield the images of the pipeline in *document*."""
    top = document.value
    parts = [((), top)] + [((name,), job) for name, job in top.items() if isinstance(job, dict) and name not in {"variables", "include", "spec"}]
    for place, part in parts:
        rows = list(_list_rows(part, top)) if place else [_read_variables(top.get("variables"))]
        for path, text in _list_images(part, place):
            yield from dict.fromkeys(_describe(text, path, row, document, file=file) for row in rows)


def _list_images(part: Mapping[str, Any], place: Path) -> Iterator[tuple[Path, str]]:
    """Yield path and text of the images of a job."""
    services = part.get("services")
    images = [((*place, "image"), part.get("image"))]
    images += [((*place, "services", index), one) for index, one in enumerate(services)] if isinstance(services, list) else []
    for path, image in images:
        text = image.get("name") if isinstance(image, dict) else image
        if isinstance(text, str) and text:
            yield (*path, "name") if isinstance(image, dict) else path, text


def _describe(text: str, path: Path, variables: Variables, document: SourceDocument, *, file: str) -> FoundImage:
    line, field = document.find_line(path), format_path(path)
    if "$[[" in text:
        return FoundImage(text, None, Certainty.UNRESOLVED, file, line, field, "an input that is not filled in")
    try:
        name = fill_in(text, variables)
    except UnknownVariableError as error:
        return FoundImage(text, None, Certainty.UNRESOLVED, file, line, field, f"{error} has no value in this file")
    found = read_name(name)
    reason = "a variable that has no value here" if has_template(name) else found.reason
    return FoundImage(text, found.reference, found.certainty, file, line, field, reason)


def _list_rows(job: Mapping[str, Any], top: Mapping[str, Any]) -> Iterator[Variables]:
    """Yield the variables of *job*, once for each entry of its matrix."""
    variables = {**_read_variables(top.get("variables")), **_read_inherited(job, top, 0)}
    parallel = job.get("parallel")
    matrix = parallel.get("matrix") if isinstance(parallel, dict) else None
    entries = [one for one in matrix if isinstance(one, dict)] if isinstance(matrix, list) else []
    for entry in entries or [{}]:
        axes = {key: [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)] for key, value in entry.items()}
        for values in islice(product(*axes.values()), _ROWS_LIMIT):
            yield {**variables, **dict(zip(axes, values, strict=True))}


def _read_inherited(job: Mapping[str, Any], top: Mapping[str, Any], depth: int) -> dict[str, str]:
    """Return the variables of *job* and of what it extends."""
    found: dict[str, str] = {}
    extends = job.get("extends")
    for name in extends if isinstance(extends, list) else [extends]:
        below = top.get(name) if isinstance(name, str) else None
        if isinstance(below, dict) and depth < _EXTENDS_LIMIT:
            found |= _read_inherited(below, top, depth + 1)
    return found | _read_variables(job.get("variables"))


def _read_variables(variables: Any) -> dict[str, str]:
    pairs = variables.items() if isinstance(variables, dict) else ()
    values = ((name, value.get("value") if isinstance(value, dict) else value) for name, value in pairs)
    return {name: value for name, value in values if isinstance(value, str)}
