"""
Find the images of GitLab's pipelines.

Variables have the values that the file gives them, in the job, in what it extends, or at the top. Those of GitLab are not known here.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice, product
from typing import Any

from imgsync.config.document import Path, format_path
from imgsync.discover.documents import SourceDocument
from imgsync.discover.model import FoundImage
from imgsync.discover.names import has_template, make_unresolved, read_name
from imgsync.discover.variables import UnknownVariableError, fill_in

_SCRIPTS = frozenset({"script", "before_script", "after_script", "trigger"})
_ROWS_LIMIT = 200
_KEYS_LIMIT = 30
# More than GitLab allows.
_EXTENDS_LIMIT = 30

Variables = Mapping[str, str]


def is_pipeline(value: Any) -> bool:
    """Return whether *value* is a pipeline of GitLab."""
    return isinstance(value, dict) and "kind" not in value and any(isinstance(job, dict) and not _SCRIPTS.isdisjoint(job) for job in value.values())


def find_in_pipeline(document: SourceDocument, *, file: str) -> Iterator[FoundImage]:
    """Yield the images of the pipeline in *document*."""
    top = document.value
    known = _Known(top)
    parts = [((), top)] + [((name,), job) for name, job in top.items() if isinstance(job, dict) and name not in {"variables", "include", "spec"}]
    for place, part in parts:
        images = list(_list_images(part, place))
        rows = list(known.list_rows(part)) if images and place else [known.of_top]
        for path, text in images:
            yield from dict.fromkeys(_describe(text, path, row, document, file=file) for row in rows)


class _Known:
    """The variables that jobs have from the file."""

    def __init__(self, top: Mapping[str, Any]) -> None:
        self._top = top
        self._read: dict[int, dict[str, str]] = {}
        self.of_top: Variables = self._read_variables(top)

    def list_rows(self, job: Mapping[str, Any]) -> Iterator[Variables]:
        """Yield the variables of *job*, for each row of its matrix."""
        inherited = [*self._list_inherited(job), self.of_top]
        parallel = job.get("parallel")
        matrix = parallel.get("matrix") if isinstance(parallel, dict) else None
        entries = [one for one in matrix if isinstance(one, dict) and len(one) <= _KEYS_LIMIT] if isinstance(matrix, list) else []
        for entry in entries[:_ROWS_LIMIT] or [{}]:
            axes = {key: [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)] for key, value in entry.items()}
            for values in islice(product(*axes.values()), _ROWS_LIMIT):
                yield ChainMap(dict(zip(axes, values, strict=True)), *inherited)  # type: ignore[arg-type]  # only read

    def _list_inherited(self, job: Mapping[str, Any]) -> list[Variables]:
        """Return the variables of *job* and of what it extends, nearest first."""
        found: list[Variables] = []
        seen: set[str] = set()
        waiting: list[Mapping[str, Any]] = [job]
        while waiting and len(found) < _EXTENDS_LIMIT:
            one = waiting.pop(0)
            found.append(self._read_variables(one))
            extends = one.get("extends")
            names = [name for name in (reversed(extends) if isinstance(extends, list) else [extends]) if isinstance(name, str) and name not in seen]
            seen.update(names)
            waiting += [below for name in names[:_EXTENDS_LIMIT] if isinstance(below := self._top.get(name), dict)]
        return found

    def _read_variables(self, part: Mapping[str, Any]) -> dict[str, str]:
        if id(part) not in self._read:
            variables = part.get("variables")
            pairs = variables.items() if isinstance(variables, dict) else ()
            values = ((name, value.get("value") if isinstance(value, dict) else value) for name, value in pairs)
            self._read[id(part)] = {name: value for name, value in values if isinstance(value, str)}
        return self._read[id(part)]


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
        return make_unresolved(text, "an input that is not filled in").place(file, line, field)
    try:
        name = fill_in(text, variables)
    except UnknownVariableError as error:
        return make_unresolved(text, f"{error} has no value in this file").place(file, line, field)
    found = read_name(name, written=text)
    return (replace(found, reason="a variable that has no value here") if has_template(name) else found).place(file, line, field)
