"""
Find the images of GitHub's workflows and actions.

An expression of the job's matrix takes each of its values. Other expressions are not known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice, product
from typing import Any

from imgsync.config.document import Path, format_path
from imgsync.discover.documents import SourceDocument
from imgsync.discover.model import FoundImage
from imgsync.discover.names import make_unresolved, read_name

_DOCKER = "docker://"
_EXPRESSION = re.compile(r"\$\{\{\s{0,20}(?P<body>[^{}]{0,200}?)\s{0,20}\}\}")
_OF_MATRIX = re.compile(r"matrix\.(?P<name>[A-Za-z0-9_-]+)(?:\.(?P<below>[A-Za-z0-9_.-]+))?", re.ASCII)
# What GitHub allows.
_ROWS_LIMIT = 256
_KEYS_LIMIT = 30

_LONGEST = 1024

Row = Mapping[str, Any]


def is_workflow(value: Any) -> bool:
    """Return whether *value* is a workflow."""
    jobs = value.get("jobs") if isinstance(value, dict) and "kind" not in value else None
    return isinstance(jobs, dict) and any(isinstance(job, dict) and ("runs-on" in job or "uses" in job) for job in jobs.values())


def is_action(value: Any) -> bool:
    """Return whether *value* is the description of an action."""
    return isinstance(value, dict) and isinstance(value.get("runs"), dict) and "using" in value["runs"]


def find_in_workflow(document: SourceDocument, *, file: str) -> Iterator[FoundImage]:
    """Yield the images of the jobs in *document*."""
    for name, job in document.value["jobs"].items():
        if not isinstance(job, dict):
            continue
        rows = _list_rows(job)
        place: Path = ("jobs", name)
        services = job.get("services")
        containers = [((*place, "container"), job.get("container"))]
        containers += [((*place, "services", key), one) for key, one in services.items()] if isinstance(services, dict) else []
        for path, container in containers:
            image = container.get("image") if isinstance(container, dict) else container
            if isinstance(image, str) and image:
                yield from _describe(image, (*path, "image") if isinstance(container, dict) else path, rows, document, file=file)
        yield from _find_in_steps(job.get("steps"), (*place, "steps"), rows, document, file=file)


def find_in_action(document: SourceDocument, *, file: str) -> Iterator[FoundImage]:
    """Yield the images that the action in *document* runs."""
    runs = document.value["runs"]
    image = runs.get("image")
    if isinstance(image, str) and image.startswith(_DOCKER):
        yield from _describe(image, ("runs", "image"), [{}], document, file=file)
    yield from _find_in_steps(runs.get("steps"), ("runs", "steps"), [{}], document, file=file)


def _find_in_steps(steps: Any, place: Path, rows: list[Row], document: SourceDocument, *, file: str) -> Iterator[FoundImage]:
    for index, step in enumerate(steps if isinstance(steps, list) else ()):
        uses = step.get("uses") if isinstance(step, dict) else None
        if isinstance(uses, str) and uses.startswith(_DOCKER):
            yield from _describe(uses, (*place, index, "uses"), rows, document, file=file)


def _describe(text: str, path: Path, rows: list[Row], document: SourceDocument, *, file: str) -> Iterator[FoundImage]:
    """Yield the image of *text* for each row of the matrix."""
    for name in dict.fromkeys(_fill_in(text, row) for row in rows) if len(text) <= _LONGEST else (text,):
        if "${{" in name:
            found = make_unresolved(text, "an expression that has no value here")
        elif not name.removeprefix(_DOCKER):
            continue
        else:
            found = read_name(name, written=text)
        yield found.place(file, document.find_line(path), format_path(path))


def _fill_in(text: str, row: Row) -> str:
    def value_of(expression: re.Match[str]) -> str:
        named = _OF_MATRIX.fullmatch(expression["body"])
        value = row.get(named["name"]) if named is not None else None
        for part in (named["below"] or "").split(".") if named is not None else ():
            value = value.get(part) if isinstance(value, dict) and part else value
        return value if isinstance(value, str) else expression[0]

    return _EXPRESSION.sub(value_of, text)


def _list_rows(job: Mapping[str, Any]) -> list[Row]:
    """Return the rows of the job's matrix, one without it."""
    strategy = job.get("strategy")
    matrix = strategy.get("matrix") if isinstance(strategy, dict) else None
    if not isinstance(matrix, dict) or len(matrix) > _KEYS_LIMIT:
        return [{}]
    axes = {key: value for key, value in matrix.items() if isinstance(value, list) and key not in {"include", "exclude"}}
    rows: list[dict[str, Any]] = [dict(zip(axes, values, strict=True)) for values in islice(product(*axes.values()), _ROWS_LIMIT)] if axes else []
    excluded = [one for one in _mappings(matrix.get("exclude")) if one]
    rows = [row for row in rows if not any(all(row.get(key) == value for key, value in one.items()) for one in excluded)]
    added: list[dict[str, Any]] = []
    for one in _mappings(matrix.get("include")):
        fitting = [row for row in rows if all(row.get(key) == value for key, value in one.items() if key in axes)]
        for row in fitting:
            row.update(one)
        if not fitting:
            added.append(dict(one))
    return [*rows, *added] or [{}]


def _mappings(value: Any) -> list[dict[str, Any]]:
    return [one for one in value[:_ROWS_LIMIT] if isinstance(one, dict) and len(one) <= _KEYS_LIMIT] if isinstance(value, list) else []
