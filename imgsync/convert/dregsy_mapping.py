"""Convert an entry of dregsy's `mappings`."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from imgsync.config.model import Destination, Mirror, Source
from imgsync.convert.build_mirrors import build_destination, derive_name
from imgsync.convert.dregsy_tags import read_line_search, read_tags
from imgsync.convert.input_file import Node
from imgsync.convert.read_references import read_image, read_platforms, select_repositories
from imgsync.convert.regex_to_globs import convert_to_name
from imgsync.filters.globs import compile_expression
from imgsync.oci.spec.reference import is_repository_path

_KEYS = ("from", "to", "tags", "platform")
_REGEX = "regex:"
_GROUP = re.compile(r"\$(?:\{([A-Za-z0-9_]+)\}|([A-Za-z0-9_]+)|(\$))")


class MappingReader:
    """Reads one entry of `mappings`."""

    def __init__(self, mapping: Node, *, task: str, source: str, target: str) -> None:
        """Set the task's name and its two registries."""
        self._mapping = mapping
        self._task = task
        self._source = source
        self._target = target

    def read_mirrors(self, name: str) -> list[Mirror]:
        """Return the mirrors, called *name* if not empty."""
        self._mapping.check_keys(_KEYS)
        origin = self._mapping.require("from")
        if origin is None:
            return []
        text = origin.read_text()
        found = self._read_regex(origin, text.removeprefix(_REGEX)) if text.startswith(_REGEX) else self._read_path(origin, text)
        if found is None:
            return []
        source, destination = found
        name = name or f"{self._task}-{derive_name((*source.repositories, *source.namespaces)[0])}"
        platforms = self._read_platforms()
        file, line = self._mapping.document.file, self._mapping.line
        return [Mirror(name, source, (destination,), tags=tags, platforms=platforms, file=file, line=line) for tags in read_tags(self._mapping)]

    def _read_path(self, origin: Node, text: str) -> tuple[Source, Destination] | None:
        """Return source and destination of a single repository."""
        image = read_image(origin, f"{self._source}/{text.strip('/')}")
        target = self._mapping.get("to")
        path = self._compute_path(text.strip("/"), target)
        if image is None or path is None:
            return None
        if target is not None and not is_repository_path(path):
            target.report_error(f"invalid repository path {path!r}")
            return None
        return Source(self._source, repositories=(image.repository.path,)), build_destination(image.repository.path, self._target, path)

    def _compute_path(self, path: str, target: Node | None) -> str | None:
        """Return the destination path, None if `to` is invalid."""
        if target is None:
            return path
        text = target.read_text()
        return _replace_path(target, text.removeprefix(_REGEX), path) if text.startswith(_REGEX) else text.strip("/")

    def _read_regex(self, origin: Node, pattern: str) -> tuple[Source, Destination] | None:
        """Return source and destination of all repositories that match."""
        search = read_line_search(origin, pattern)
        if search is None:
            return None
        source = replace(select_repositories([search]), registry=self._source)
        destination = self._read_destination(source)
        return (source, destination) if destination is not None else None

    def _read_destination(self, source: Source) -> Destination | None:
        target = self._mapping.get("to")
        if target is None:
            return Destination(self._target)
        text = target.read_text()
        if not text.startswith(_REGEX):
            return Destination(self._target, text.strip("/"))
        namespace = _replace_namespace(text.removeprefix(_REGEX), source)
        if namespace is None:
            target.report_lost("imgsync cannot express this path change; the mapping is skipped", hint="see {path}, {name} and {relative} of `destinations`")
            return None
        return Destination(self._target, namespace, "{relative}")

    def _read_platforms(self) -> tuple[str, ...] | None:
        platform = self._mapping.get("platform")
        if platform is None or platform.value == "all":
            return None
        platform.report_note("the destination gets an index with this platform; dregsy copies the image without its index")
        return read_platforms(platform, [platform.read_text()])


def _replace_namespace(text: str, source: Source) -> str | None:
    """Return the new namespace, None if imgsync cannot express it."""
    pattern, comma, replacement = text.partition(",")
    old = convert_to_name(f"^{pattern}$")
    new = replacement.strip("/")
    if not comma or source.repositories or len(source.namespaces) != 1 or old is None or "$" in replacement:
        return None
    namespace = source.namespaces[0]
    if not namespace or old.strip("/") != namespace or old.endswith("/") != replacement.endswith("/") or not is_repository_path(new):
        return None
    return new


def _replace_path(target: Node, text: str, path: str) -> str | None:
    """Apply `PATTERN,REPLACEMENT` to *path*; report an error if invalid."""
    pattern, comma, replacement = text.partition(",")
    if not comma:
        target.report_error("missing replacement", hint="write regex:PATTERN,REPLACEMENT")
        return None
    try:
        expression = compile_expression(pattern)
    except ValueError as error:
        target.report_error(str(error))
        return None
    # dregsy's paths start with a slash.
    return str(expression.sub(lambda found: _expand_groups(replacement, found), f"/{path}")).strip("/")


def _expand_groups(replacement: str, found: Any) -> str:
    """Expand the groups in Go's *replacement*; unknown ones are empty."""

    def expand(mark: re.Match[str]) -> str:
        name = mark[1] or mark[2]
        if name is None:
            return "$"
        if not name.isdigit() or int(name) > found.re.groups:
            return ""
        return str(found.group(int(name)) or "")

    return _GROUP.sub(expand, replacement)
